//! `test` and `bug-report`, with a real daemon and a fake issuer and backend.

use std::path::Path;
use std::process::Command;

use codex_oauth_rig::{Rig, binary};
use fake_openai::{Effect, Endpoint};

use crate::machine::copy;
use crate::rig::{Place, Ran, Running};

fn ran(rig: &Rig, args: &[&str]) -> Ran {
    rig.home.command(&binary("codex-oauth")).args(args).output().unwrap().into()
}

/// The steps that are told, without their times.
fn steps(ran: &Ran) -> Vec<(String, String)> {
    let told = ran.stdout.lines().filter(|line| line.starts_with("ok ") || line.starts_with("FAIL "));
    let word = |line: &str, at: usize| line.split_whitespace().nth(at).unwrap().to_owned();
    told.map(|line| (word(line, 0), word(line, 1))).collect()
}

const STEPS: [&str; 6] = ["daemon", "login", "token", "accounts/check", "models", "question"];

#[test]
fn the_test_walks_from_the_login_to_an_answer_and_times_each_step() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let ran = ran(&rig, &["test"]);
    assert_eq!(ran.code(), 0, "{}{}", ran.stdout, ran.stderr);
    let told: Vec<_> = steps(&ran).into_iter().map(|(ok, step)| (ok == "ok", step)).collect();
    assert_eq!(told, STEPS.map(|step| (true, step.to_owned())));
    assert!(ran.stdout.contains("first byte") && ran.stdout.ends_with("all of it works\n"), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 1);
    // One is the test's own; the question may have needed another.
    assert!(!rig.fake.requests(Endpoint::AccountsCheck).is_empty());
}

#[test]
fn the_first_step_that_fails_is_the_last_one_and_says_why_and_what_to_do() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let nobody = ran(&rig, &["test"]);
    assert_eq!((nobody.code(), steps(&nobody).last().unwrap().1.as_str()), (3, "login"));
    assert!(nobody.stderr.contains("next: run `codex-oauth login`"), "{}", nobody.stderr);
    rig.sign_in();
    rig.fake.next(Endpoint::AccountsCheck, Effect::gateway_error(502));
    let broken = ran(&rig, &["test"]);
    assert_eq!(steps(&broken).last().unwrap(), &("FAIL".to_owned(), "accounts/check".to_owned()));
    assert!(broken.stderr.contains("HTTP 502") && broken.stderr.contains("\nnext: "), "{}", broken.stderr);
    rig.fake.next(Endpoint::Responses, Effect::usage_not_included_in_stream());
    let refused = ran(&rig, &["test"]);
    assert_eq!(steps(&refused).last().unwrap(), &("FAIL".to_owned(), "question".to_owned()));
    assert!(refused.stderr.contains("\ndetails: codex-oauth explain "), "{}", refused.stderr);
    assert!(!refused.stdout.contains("all of it works"));
}

#[test]
fn the_demo_needs_no_account_and_leaves_nothing() {
    let rig = Rig::new();
    let temporary = rig.home.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = rig.home.command(&binary("codex-oauth"));
    let ran: Ran = command.args(["test", "--demo"]).env("TMPDIR", &temporary).output().unwrap().into();
    assert_eq!(ran.code(), 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.starts_with("SIMULATED: ") && ran.stdout.ends_with("all of it works\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "its home is removed");
    assert!(!rig.home.auth_file().exists(), "the person's own login is not touched");
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 0);
}

#[test]
fn without_the_fake_the_demo_says_how_to_get_it() {
    let rig = Rig::new();
    copy(&binary("codex-oauth"), rig.home.path());
    let alone = rig.home.path().join("codex-oauth");
    let ran: Ran = rig.home.command(&alone).args(["test", "--demo"]).output().unwrap().into();
    assert!(ran.code() == 1 && ran.stderr.contains("cargo build -p fake-openai"), "{}", ran.stderr);
}

/// A file of the archive, as the system's own tar reads it.
fn text_of(archive: &Path, name: &str) -> String {
    let output = Command::new("tar").arg("-xOf").arg(archive).arg(name).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_bug_report_says_what_is_in_it_and_holds_no_prompt_no_token_and_no_address() {
    const CANARY: &str = "CANARY-5d1e";
    let rig = Rig::new();
    let log = rig.home.path().join("state/daemon.log");
    let daemon = rig.signed_in();
    ran(&rig, &["query", CANARY]);
    rig.fake.next(Endpoint::Responses, Effect::bad_request(&format!("FAKE {CANARY}")));
    ran(&rig, &["query", CANARY]);
    // The daemon of a test has its log elsewhere; a line that some build should never have written is redacted too.
    let secrets = rig.fake.secrets_seen();
    let lines = format!("{}\nsigned in as ada@example.com\n{}\n", rig.log(&daemon), secrets.join("\n"));
    std::io::Write::write_all(&mut std::fs::File::create(&log).unwrap(), lines.as_bytes()).unwrap();
    let report = rig.home.path().join("report.tar");
    let output = report.display().to_string();
    let ran_once = ran(&rig, &["bug-report", "--output", &output]);
    assert_eq!(ran_once.code(), 0, "{}{}", ran_once.stdout, ran_once.stderr);
    let listed = Command::new("tar").arg("-tf").arg(&report).output().unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    for name in [
        "versions.txt",
        "daemon.txt",
        "status.json",
        "login.json",
        "history.json",
        "settings.json",
        "traces.json",
        "doctor.json",
        "log.txt",
    ] {
        assert!(names.lines().any(|listed| listed == name), "{name}: {names}");
        assert!(ran_once.stdout.contains(&format!("{name} ")), "{name}: {}", ran_once.stdout);
        if name.ends_with("json") {
            serde_json::from_str::<serde_json::Value>(&text_of(&report, name)).unwrap();
        }
    }
    assert!(
        ran_once.stdout.lines().all(|line| line.len() <= 80 || line.contains(&output)),
        "{}",
        ran_once.stdout
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&report.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let whole = String::from_utf8(std::fs::read(&report).unwrap()).unwrap();
    assert!(text_of(&report, "traces.json").contains("\"upstream_rejected\""), "the failure is told");
    assert!(text_of(&report, "log.txt").contains("turn ended"), "the log is there");
    assert!(secrets.len() >= 4);
    for secret in secrets.iter().map(|secret| secret.split('.').nth(1).unwrap_or(secret)) {
        assert!(!whole.contains(secret), "a token or code is in it");
    }
    let account = "11111111-2222-4333-8444-555555555555";
    let home = rig.home.path().join("home").display().to_string();
    for person in [CANARY, "@example", account, home.as_str()] {
        assert!(!whole.contains(person), "`{person}` is in it");
    }
    let again = ran(&rig, &["bug-report", "-o", &output]);
    assert!(again.code() == 1 && again.stderr.contains("could not write"), "{}", again.stderr);
}

#[test]
fn a_house_without_a_daemon_can_be_reported_too() {
    let rig = Rig::new();
    let report = rig.home.path().join("report.tar");
    let ran = ran(&rig, &["bug-report", "-o", report.to_str().unwrap()]);
    assert_eq!(ran.code(), 0, "{}{}", ran.stdout, ran.stderr);
    assert!(text_of(&report, "daemon.txt").contains("CODEX_OAUTH_NO_SPAWN"));
    assert!(
        text_of(&report, "doctor.json").contains("daemon")
            && text_of(&report, "log.txt").starts_with("none: ")
    );
}

#[test]
fn a_second_report_of_the_same_second_lies_beside_the_first() {
    let place = Place::new();
    let reports: Vec<Ran> = (0..3)
        .map(|_| Running::start(place.command(&["bug-report"]).current_dir(place.path())))
        .collect::<Vec<_>>()
        .into_iter()
        .map(Running::finish)
        .collect();
    for ran in &reports {
        assert_eq!(ran.code(), 0, "{}{}", ran.stdout, ran.stderr);
    }
    let written = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let named = |name: &std::ffi::OsString| name.to_str().unwrap().starts_with("codex-oauth-bug-report-");
    assert_eq!(written.filter(named).count(), 3);
}

#[test]
fn under_systemd_the_report_holds_the_journal_or_says_why_not() {
    const LINE: &str = "T codex-oauthd[7]:  INFO codex_oauthd::server: ready for ada@example.com";
    let place = Place::new();
    let unit = place.path().join(".config/systemd/user/codex-oauthd.service");
    std::fs::create_dir_all(unit.parent().unwrap()).unwrap();
    std::fs::File::create(&unit).unwrap();
    let report = |name: &str| {
        let file = place.path().join(name);
        let mut command = place.command(&["bug-report", "-o", name]);
        let ran = Running::start(command.env("PATH", place.path()).current_dir(place.path())).finish();
        assert_eq!(ran.code(), 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("journal.txt "), "{}", ran.stdout);
        text_of(&file, "journal.txt")
    };
    assert!(report("without.tar").contains("there is no journalctl on PATH"));
    // As many lines as journalctl may give are more than the archive takes.
    let asked = "--user -u codex-oauthd -o short-iso -q --no-pager --no-hostname -n 2000";
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = '{asked}' ] || exit 1\nfor n in $(/usr/bin/seq 2000); do\n\
         echo \"$n {}\"; done\necho '{LINE}'\n",
        "x ".repeat(100)
    );
    crate::machine::write_program(&place.path().join("journalctl"), &script);
    let journal = report("with.tar");
    assert!(journal.ends_with("ready for <e-mail>\n"), "{}", &journal[journal.len() - 100..]);
    assert!(
        journal.len() <= 256 * 1024
            && journal.lines().all(|line| line.contains("x x") || line.starts_with('T'))
    );
}
