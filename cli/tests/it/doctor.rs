//! `doctor` in a whole house: a real daemon, fake OpenAI, and what is wrong with the files.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use codex_oauth_proto::lock::FileLock;
use codex_oauth_rig::{Home, Rig, binary};
use fake_openai::Endpoint;
use serde_json::Value;

use crate::machine::{Machine, repository};
use crate::rig::{Ran, Running};
use crate::terminal::pty::{Streams, on_terminal};

/// Runs it in this home.
pub(crate) fn doctor(home: &Home, args: &[&str]) -> Ran {
    run(home.command(&binary("codex-oauth")).arg("doctor").args(args))
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())).finish()
}

/// A check of its JSON.
pub(crate) fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no check `{id}`: {report}"))
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn in_a_house_that_is_well_there_is_nothing_to_do_and_nothing_is_spent() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.clear_journal();
    let ran = doctor(&rig.home, &[]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("ada@example.com (Plus) · token"), "{}", ran.stdout);
    assert!(ran.stdout.lines().last().unwrap().starts_with("next               nothing"), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    assert!(rig.fake.requests(Endpoint::Responses).is_empty(), "no question was asked");
    for secret in rig.fake.secrets_seen() {
        assert!(!ran.stdout.contains(&secret));
    }
}

#[test]
fn the_report_fits_a_terminal_and_leaves_no_progress_in_it() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    set_mode(&rig.home.path().join("state"), 0o755);
    let mut command = rig.home.command(&binary("codex-oauth"));
    command.arg("doctor");
    let shown = on_terminal(command, Streams { stdout: true, stderr: true }, 80);
    // What a line shows in the end is what was written after its last return to the first column.
    let screen: Vec<&str> =
        shown.screen.lines().map(|line| line.rsplit('\r').next().unwrap_or_default()).collect();
    assert!(screen.iter().all(|line| line.chars().count() <= 80), "{screen:#?}");
    assert!(screen[0].starts_with("ok    programs     "), "{screen:#?}");
    // It takes as many lines as it needs, and nothing follows.
    let next = screen.iter().rposition(|line| !line.starts_with(' ')).unwrap();
    let step = "next               (folders) run `codex-oauth doctor --fix`";
    assert!(screen[next].starts_with(step), "{screen:#?}");
}

#[test]
fn the_page_in_the_docs_lists_the_checks_in_their_order() {
    let rig = Rig::new();
    let report = doctor(&rig.home, &["--json"]).json();
    let ids: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    let page = std::fs::read_to_string(repository().join("docs/DOCTOR.md")).unwrap();
    let rows: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(rows, ids);
    for check in report["checks"].as_array().unwrap() {
        let bad = matches!(check["status"].as_str(), Some("warn" | "fail"));
        assert_eq!(bad, check["remedy"].is_string(), "a remedy for each trouble: {check}");
        assert!(check["durationMs"].is_u64() && !check["detail"].as_str().unwrap().is_empty(), "{check}");
    }
}

#[test]
fn without_a_daemon_the_rest_is_looked_at() {
    let rig = Rig::new();
    let ran = doctor(&rig.home, &["--json"]);
    let report = ran.json();
    assert_eq!((ran.code(), &report["first"]), (6, &"daemon".into()), "{report}");
    assert!(report["next"].as_str().unwrap().contains("unset CODEX_OAUTH_NO_SPAWN"), "{report}");
    for (id, status) in [("programs", "ok"), ("folders", "ok"), ("disk", "ok"), ("login", "skip")] {
        assert_eq!(check(&report, id)["status"], status, "{report}");
    }
}

#[test]
fn a_service_is_shown_and_one_whose_program_is_gone_is_the_first_thing_to_see_to() {
    let machine = Machine::new();
    machine.tool("systemctl", "case $* in *ActiveState*) echo active ;; esac");
    assert_eq!(machine.install(&["--no-plugin", "--service"]).code(), 0);
    let look = || {
        let mut command = machine.command(machine.prefix().join("bin/codex-oauth"));
        run(command.args(["doctor", "--json"]).env("CODEX_OAUTH_NO_SPAWN", "1")).json()
    };
    assert_eq!(check(&look(), "service")["detail"], "socket active, daemon active");
    let unit = machine.path("home/.config/systemd/user/codex-oauthd.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    let moved: String = text
        .lines()
        .map(|line| match line.strip_prefix("ExecStart=") {
            Some(_) => "ExecStart=/nonexistent/codex-oauthd run\n".to_owned(),
            None => format!("{line}\n"),
        })
        .collect();
    std::fs::File::create(&unit).unwrap().write_all(moved.as_bytes()).unwrap();
    let report = look();
    assert_eq!(report["first"], "service", "{report}");
    assert!(report["next"].as_str().unwrap().contains("codex-oauth service install"), "{report}");
}

#[test]
fn missing_folders_are_made_when_it_is_asked_for() {
    let rig = Rig::new();
    let folders = ["run", "state"].map(|name| rig.home.path().join(name));
    doctor(&rig.home, &[]);
    assert!(folders.iter().all(|folder| !folder.exists()));
    let report = doctor(&rig.home, &["--fix", "--json"]).json();
    assert_eq!(check(&report, "folders")["mended"].as_array().unwrap().len(), 2, "{report}");
    assert!(folders.iter().all(|folder| mode(folder) == 0o700));
}

#[test]
fn it_starts_the_daemon_that_it_looks_at() {
    let rig = Rig::new();
    let home = rig.home.spawning();
    let ran = doctor(&home, &["--json"]);
    let report = ran.json();
    assert_eq!((ran.code(), &report["first"]), (3, &"login".into()), "{report}");
    assert!(check(&report, "daemon")["detail"].as_str().unwrap().ends_with("started for this"), "{report}");
    assert_eq!(report["next"], "run `codex-oauth login`");
}

#[test]
fn fix_mends_permissions_and_leftovers_and_leaves_the_login_as_it_is() {
    let rig = Rig::new();
    rig.signed_in().kill();
    let login = rig.home.auth_file();
    let before = std::fs::read(&login).unwrap();
    let (state, run) = (rig.home.path().join("state"), rig.home.path().join("run"));
    let config = rig.home.path().join("config");
    for (path, open) in [(&login, 0o644), (&state, 0o755), (&run, 0o710), (&config, 0o777)] {
        set_mode(path, open);
    }
    let ran = doctor(&rig.home, &["--json"]);
    let report = ran.json();
    assert_eq!(report["first"], "folders", "{report}");
    assert!(
        report["next"].as_str().unwrap().starts_with("run `codex-oauth doctor --fix`: chmod 700"),
        "{report}"
    );
    assert_eq!(check(&report, "credentials")["status"], "warn", "{report}");
    assert_eq!(mode(&state), 0o755, "nothing is changed without being asked for");

    let report = doctor(&rig.home, &["--fix", "--json"]).json();
    let mended = |id: &str| check(&report, id)["mended"].as_array().unwrap().len();
    assert_eq!((mended("folders"), mended("credentials"), mended("socket")), (3, 1, 1), "{report}");
    for (path, closed) in [(&login, 0o600), (&state, 0o700), (&run, 0o700), (&config, 0o755)] {
        assert_eq!(mode(path), closed, "{}", path.display());
    }
    assert!(!run.join("daemon.sock").exists(), "the socket of the daemon that was killed");
    assert_eq!(std::fs::read(&login).unwrap(), before, "the login is as it was");

    let shown = doctor(&rig.home, &["--fix"]).stdout;
    assert!(!shown.contains("done:"), "a second time there is nothing to mend: {shown}");
    let _daemon = rig.daemon();
    assert_eq!(doctor(&rig.home, &[]).code(), 0);
}

#[test]
fn a_socket_of_which_a_daemon_holds_the_lock_is_not_removed() {
    let rig = Rig::new();
    let run = rig.home.path().join("run");
    std::fs::create_dir(&run).unwrap();
    set_mode(&run, 0o700);
    let mut held = FileLock::try_acquire(&run.join("instance.lock")).unwrap();
    held.describe("pid 4711").unwrap();
    drop(UnixListener::bind(run.join("daemon.sock")).unwrap());
    let report = doctor(&rig.home, &["--fix", "--json"]).json();
    let found = check(&report, "socket");
    assert_eq!((&found["status"], report["first"].as_str()), (&"fail".into(), Some("socket")), "{report}");
    assert!(found["detail"].as_str().unwrap().ends_with("a daemon holds its lock (pid 4711)"), "{report}");
    assert!(run.join("daemon.sock").exists());
}
