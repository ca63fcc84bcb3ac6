//! `status`, which is also what the bare command shows.

use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use codex_oauth_proto::{BUILD, ErrorCode, NextStep, Retry, WireError};
use codex_oauth_rig::{Rig, Shim, binary, eventually, text_of};
use serde_json::{Value, json};

use crate::rig::{Place, Ran, Running, replies};

fn in_seconds(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds
}

fn account(fields: &Value) -> Value {
    let mut whole = json!({
        "status": "authenticated",
        "account": { "accountId": "acc", "email": "ada@example.com", "planType": "plus" },
        "expiresAt": in_seconds(6 * 86_400 + 1_800), "canRefresh": true, "note": null,
        "credentialFile": "/home/ada/.claude/auth.json", "pendingLogin": null, "probe": null,
    });
    for (name, value) in fields.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole
}

pub(crate) fn daemon_status() -> Value {
    json!({
        "build": BUILD, "protocol": 1, "pid": 4711, "nonce": "run", "phase": "serving", "uptimeMs": 10_800_000_u64,
        "sessions": 6, "turnsRunning": 1, "turnsEnded": 12, "peersRefused": 0, "socket": "/run/user/1000/daemon.sock",
        "credentialFile": "/home/ada/.claude/auth.json", "issuer": "https://auth.openai.com",
        "backend": "https://chatgpt.com/backend-api", "pssBytes": 9_437_184, "openFiles": 21, "logLinesLost": 0, "managed": false,
    })
}

fn limits() -> Value {
    json!({ "rateLimits": [{
        "limitId": "codex", "limitName": null,
        "primary": { "usedPercent": 42.4, "windowMinutes": 300, "resetsAt": in_seconds(7_830) },
        "secondary": { "usedPercent": 81.0, "windowMinutes": 10_080, "resetsAt": in_seconds(273_630) },
        "credits": null,
    }] })
}

fn shown(args: &[&str], account: Value, limits: Value, daemon_status: Value) -> Ran {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![
        ("account/read", account),
        ("account/rateLimits/read", limits),
        ("daemon/status", daemon_status),
    ]));
    let ran = place.run(args);
    daemon.done();
    ran
}

#[test]
fn three_lines_say_how_it_stands() {
    for args in [vec![], vec!["status"]] {
        let ran = shown(&args, account(&json!({})), limits(), daemon_status());
        assert_eq!(
            ran.stdout,
            format!(
                "signed in  ada@example.com (Plus) · token 6 d\n\
                 limits     5h 42 %, resets in 2 h 10 min · week 81 % (!), resets in 3 d 4 h\n\
                 daemon     {BUILD} up 3 h · 5 sessions · 1 running\n"
            )
        );
        assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80));
    }
}

#[test]
fn each_state_of_the_login_has_its_line_its_next_step_and_its_exit_code() {
    let none = json!({ "rateLimits": [] });
    for (fields, first, next, code) in [
        (
            json!({ "status": "not_authenticated", "account": null, "expiresAt": null }),
            "signed out",
            Some("`codex-oauth login`"),
            3,
        ),
        (json!({ "status": "expired" }), "expired    ada@example.com (Plus)", Some("`codex-oauth login`"), 3),
        (
            json!({ "status": "needs_refresh" }),
            "signed in  ada@example.com (Plus) · token renews with the next question",
            None,
            0,
        ),
        (
            json!({ "status": "unreadable" }),
            "unusable   /home/ada/.claude/auth.json",
            Some("repair or move away"),
            1,
        ),
        (json!({ "status": "of_a_newer_daemon" }), "unknown    ", Some("install the newest version"), 1),
    ] {
        let ran = shown(&["status"], account(&fields), none.clone(), daemon_status());
        assert!(ran.stdout.starts_with(first), "{}", ran.stdout);
        let found = ran.stdout.lines().find(|line| line.starts_with("next ")).map(str::to_owned);
        assert_eq!(found.is_some(), next.is_some(), "{}", ran.stdout);
        assert!(found.unwrap_or_default().contains(next.unwrap_or_default()), "{}", ran.stdout);
        assert_eq!(ran.code(), code, "{fields}");
        // Limits are of no use without a login.
        assert_eq!(ran.stdout.contains("\nlimits     not known yet"), code == 0, "{}", ran.stdout);
    }
}

#[test]
fn a_default_account_that_is_signed_out_hides_no_other_one() {
    let work = json!({ "name": "work", "isDefault": false, "status": "authenticated", "codexMode": null, "codexFile": null,
                       "account": { "accountId": "acc", "email": "bob@example.com", "planType": "pro" } });
    let fields = json!({ "status": "not_authenticated", "account": null, "expiresAt": null, "accountName": "default",
                         "accounts": [work], "nextStep": { "do": "use_account", "name": "work" } });
    let ran = shown(&["status"], account(&fields), json!({ "rateLimits": [] }), daemon_status());
    assert_eq!(
        ran.stdout,
        format!(
            "signed out (account default)\n\
             account    work: bob@example.com (Pro)\n\
             daemon     {BUILD} up 3 h · 5 sessions · 1 running\n\
             next       run `codex-oauth account use work`\n"
        )
    );
    assert_eq!(ran.code(), 3);
}

#[test]
fn a_next_step_with_a_long_path_is_broken_between_words_and_its_command_stays_whole() {
    let name = "backend_url in `/home/ada/.config/codex-oauth/config.toml`";
    let fields = json!({ "nextStep": { "do": "check_address", "name": name } });
    let ran = shown(&["status"], account(&fields), limits(), daemon_status());
    let next = "\nnext       check the address in backend_url in\n           \
                `/home/ada/.config/codex-oauth/config.toml`, then run\n           `codex-oauth daemon stop`\n";
    assert!(ran.stdout.ends_with(next), "{}", ran.stdout);
}

#[test]
fn notes_a_waiting_login_and_an_older_daemon_are_shown() {
    let fields = json!({ "note": "the login cannot be renewed", "pendingLogin": {
        "loginId": "l", "authUrl": "https://a", "expiresAt": in_seconds(270), "browserOpened": true } });
    let mut old = daemon_status();
    old["build"] = json!("0.0.1");
    old["phase"] = json!("draining");
    let ran = shown(&["status"], account(&fields), limits(), old);
    for line in [
        "note       the login cannot be renewed",
        "waiting    a login waits for you, 4 min left; `codex-oauth login` joins it,",
        "           `codex-oauth login --cancel` calls it off",
        "daemon     0.0.1 up 3 h · 5 sessions · 1 running · draining",
        &format!("note       this command is {BUILD}; `codex-oauth daemon stop` renews the daemon"),
    ] {
        assert!(ran.stdout.lines().any(|found| found == line), "{line}\n{}", ran.stdout);
    }

    let mut managed = daemon_status();
    managed["build"] = json!("0.0.1");
    managed["managed"] = json!(true);
    let ran = shown(&["status"], account(&json!({})), limits(), managed);
    let note = format!("\nnote       this command is {BUILD}; `codex-oauth service install` renews the\n");
    assert!(ran.stdout.contains(&note), "the service would start the same program again: {}", ran.stdout);
}

#[test]
fn a_probe_is_asked_for_and_its_failure_counts() {
    let error =
        WireError::upstream(ErrorCode::UpstreamUnreachable, Retry::Safe, "could not reach chatgpt.com")
            .next(NextStep::CheckNetwork);
    let probe = |error: Value| {
        json!({ "probe": { "authenticated": true, "tokenValid": true, "backendReachable": error.is_null(),
                           "tookMs": 312, "error": error } })
    };
    let ran = shown(&["status", "--probe"], account(&probe(Value::Null)), limits(), daemon_status());
    assert!(
        ran.stdout.contains("\nprobe      the login works and OpenAI answers (312 ms)\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.code(), 0);
    let ran = shown(&["status", "--probe"], account(&probe(json!(error))), limits(), daemon_status());
    assert!(ran.stdout.contains("\nprobe      could not reach chatgpt.com\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nnext       run `codex-oauth doctor`"), "{}", ran.stdout);
    assert_eq!(ran.code(), 5);
}

#[test]
fn a_further_limit_is_named_on_a_line_of_its_own() {
    let further = json!({ "limitId": "codex_other", "limitName": "gpt-6.1-sol",
                          "primary": { "usedPercent": 3.0, "windowMinutes": 1_440, "resetsAt": null } });
    let mut both = limits();
    both["rateLimits"].as_array_mut().unwrap().push(further);
    let ran = shown(&["status"], account(&json!({})), both, daemon_status());
    assert!(ran.stdout.contains("\n           gpt-6.1-sol: 1d 3 %\n"), "{}", ran.stdout);
}

#[test]
fn json_holds_all_of_it() {
    let (account, limits) = (account(&json!({})), limits());
    let ran = shown(&["status", "--json"], account.clone(), limits.clone(), daemon_status());
    assert_eq!(
        ran.json(),
        json!({ "account": account, "rateLimits": limits["rateLimits"], "daemon": daemon_status(), "warnings": [] })
    );
}

#[test]
fn who_asks_in_a_shell_is_none_of_the_sessions_that_are_shown_and_a_window_is_one() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let shown = |args: &[&str]| {
        let mut command = rig.home.command(&binary("codex-oauth"));
        let command = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(command).finish().stdout
    };
    let said = |sessions: &str| {
        for args in [&["status"][..], &["daemon", "status"], &["doctor"]] {
            eventually("the command before has gone", || shown(args).contains(sessions));
        }
    };
    said(" · 0 sessions · ");
    let mut window = Shim::initialized(&rig.home);
    said(" · 1 session · ");
    let page = text_of(&window.request_tool("codex_status", &json!({})));
    assert!(page.contains(" · 1 session · "), "{page}");
}

#[test]
fn a_login_that_waits_for_another_account_is_joined_by_the_command_that_the_status_names() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let start = |args: &[&str]| {
        let mut command = rig.home.command(&binary("codex-oauth"));
        Running::start(command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    let mut begun = start(&["login", "--account", "work", "--no-browser"]);
    let link = begun.line();
    let status = start(&["status"]).finish().stdout;
    let said = status.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("a login to work waits for you, "), "{status}");
    let command = said.split('`').find(|words| words.starts_with("codex-oauth login")).expect("a command");
    assert_eq!(command, "codex-oauth login --account work");
    assert!(status.lines().all(|line| line.chars().count() <= 80), "{status}");
    let facts = start(&["status", "--json"]).finish().json();
    assert_eq!(facts["account"]["pendingLogin"]["account"], "work", "{facts}");
    let args: Vec<&str> = command.split(' ').skip(1).chain(["--no-browser"]).collect();
    let mut joined = start(&args);
    assert_eq!(joined.line(), link, "one login");
    joined.interrupt();
    assert!(joined.finish().stderr.contains("goes on"));
    begun.interrupt();
    assert!(begun.finish().stderr.contains("login called off"));
}

#[test]
fn a_login_whose_window_is_gone_is_called_off_by_the_command_that_the_status_names() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let start = |args: &[&str]| {
        let mut command = rig.home.command(&binary("codex-oauth"));
        Running::start(command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    for account in [&[][..], &["--account", "work"]] {
        let begin = [&["login", "--no-browser"], account].concat();
        let mut gone = start(&begin);
        gone.line();
        gone.hang_up();
        assert_eq!(gone.finish().status.code(), None, "it ended by the signal");
        let mut waits = start(&begin);
        waits.line();
        let status = start(&["status"]).finish().stdout;
        let said = status.split_whitespace().collect::<Vec<_>>().join(" ");
        let command = said.split('`').find(|words| words.ends_with("--cancel")).expect("a command");
        let args: Vec<&str> = command.split(' ').skip(1).collect();
        assert_eq!(args[1..], [account, &["--cancel"]].concat(), "{status}");
        let ran = start(&args).finish();
        let to = if account.is_empty() { "" } else { " to work" };
        assert_eq!((ran.code(), ran.stderr), (0, format!("login{to} called off\n")));
        assert!(waits.finish().stderr.contains("the login was cancelled"), "every window is told");
        let ran = start(&args).finish();
        assert!(ran.code() == 0 && ran.stderr.starts_with("no login waits"), "{}", ran.stderr);
    }
}

#[test]
fn the_login_of_the_account_that_is_named_is_called_off_and_the_other_one_stays() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let start = |args: &[&str]| {
        let mut command = rig.home.command(&binary("codex-oauth"));
        Running::start(command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    let mut first = start(&["login", "--no-browser"]);
    first.line();
    let mut work = start(&["login", "--no-browser", "--account", "work"]);
    work.line();
    let ran = start(&["login", "--cancel", "--account", "work"]).finish();
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, "login to work called off\n"));
    assert!(work.finish().stderr.contains("the login was cancelled"));
    assert!(first.still_runs());
    let ran = start(&["login", "--cancel"]).finish();
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, "login called off\n"));
    assert!(first.finish().stderr.contains("the login was cancelled"));
}
