//! The exit code says what kind of failure it was; the message says the rest.

use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use crate::rig::{Place, refusal, replies, script, welcome};

#[test]
fn every_error_code_has_its_exit_code() {
    for (code, exit) in ErrorCode::ALL.iter().map(|code| (*code, expected(*code))) {
        let place = Place::new();
        let daemon = place.daemon(vec![script(move |mut session| {
            let request = session.request("turn/start");
            let error = WireError::daemon(code, Retry::Never, "could not ask: because").next(NextStep::Retry);
            session.fail(&request, &error);
        })]);
        let ran = place.run(&["query", "x"]);
        assert_eq!((ran.code(), ran.stdout.as_str()), (exit, ""), "{code:?}");
        assert_eq!(ran.stderr, "error: could not ask: because\nnext: try again\n", "{code:?}");
        daemon.done();
    }
}

fn expected(code: ErrorCode) -> i32 {
    match serde_json::to_value(code).unwrap().as_str().unwrap() {
        "invalid_arguments" => 2,
        "not_logged_in" | "login_expired" => 3,
        "usage_limit_reached" | "rate_limited" => 4,
        "upstream_unreachable" | "auth_unavailable" => 5,
        "daemon_unavailable"
        | "draining"
        | "overloaded"
        | "unsupported_version"
        | "other_credential_store"
        | "method_not_found"
        | "malformed" => 6,
        _ => 1,
    }
}

#[test]
fn a_question_that_meets_an_ending_daemon_is_asked_at_the_next_one() {
    let place = Place::new();
    let leaving = script(|mut session| {
        let request = session.request("turn/start");
        session
            .fail(&request, &WireError::daemon(ErrorCode::Draining, Retry::Safe, "could not take this on"));
    });
    let next = script(|mut session| {
        session.turn();
        session.complete(&serde_json::json!({ "answer": "so" }));
    });
    let daemon = place.daemon(vec![leaving, next]);
    let ran = place.run(&["query", "x"]);
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (0, "so\n", ""));
    daemon.done();
}

#[test]
fn a_program_that_reads_json_gets_the_error_as_json_too() {
    for args in [
        vec!["status", "--json"],
        vec!["--json"],
        vec!["models", "--json"],
        vec!["logout", "--json"],
        vec!["usage", "--json"],
        vec!["config", "--json"],
        vec!["query", "--json", "x"],
    ] {
        let ran = Place::new().run(&args);
        assert_eq!(
            (ran.code(), ran.json()["error"]["code"].as_str()),
            (6, Some("daemon_unavailable")),
            "{args:?}"
        );
        assert!(ran.stderr.starts_with("error: "), "{args:?}");
    }
}

#[test]
fn without_a_daemon_every_command_says_the_next_step() {
    for args in [
        vec![],
        vec!["status"],
        vec!["login"],
        vec!["logout"],
        vec!["models"],
        vec!["usage"],
        vec!["config"],
        vec!["query", "x"],
    ] {
        let ran = Place::new().run(&args);
        assert_eq!((ran.code(), ran.stdout.as_str()), (6, ""), "{args:?}");
        let told = "error: no daemon is running, and CODEX_OAUTH_NO_SPAWN=1 forbids starting one\n\
                    next: unset CODEX_OAUTH_NO_SPAWN, or start the daemon with `codex-oauth daemon run`\n";
        assert_eq!(ran.stderr, told, "{args:?}");
    }
}

#[test]
fn a_refusal_and_a_warning_are_passed_on_in_the_daemons_words() {
    let place = Place::new();
    let other = WireError::daemon(
        ErrorCode::OtherCredentialStore,
        Retry::Never,
        "could not serve this: it is not mine",
    )
    .next(NextStep::FixConfiguration { name: "CODEX_OAUTH_AUTH_FILE".to_owned() });
    let daemon = place.daemon_that_opens(&refusal(other), vec![script(drop)]);
    let ran = place.run(&["query", "x"]);
    let told =
        "error: could not serve this: it is not mine\nnext: correct CODEX_OAUTH_AUTH_FILE, then try again\n";
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (6, "", told));
    daemon.done();

    let place = Place::new();
    let daemon = place.daemon_that_opens(
        &welcome(&["HTTPS_PROXY is not used"]),
        vec![script(|mut session| {
            session.turn();
            session.complete(&serde_json::json!({ "answer": "so" }));
        })],
    );
    let ran = place.run(&["query", "x"]);
    assert_eq!(
        (ran.code(), ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "so\n", "note: HTTPS_PROXY is not used\n")
    );
    daemon.done();
}

#[test]
fn an_answer_that_cannot_be_understood_names_the_upgrade() {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("model/list", serde_json::json!({ "models": 7 }))]));
    let ran = place.run(&["models"]);
    assert_eq!(ran.code(), 6);
    assert!(ran.stderr.contains("\nnext: install the newest version"), "{}", ran.stderr);
    daemon.done();
}
