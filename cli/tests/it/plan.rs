//! `usage`: what of the plan is used, asked now.

use std::time::{SystemTime, UNIX_EPOCH};

use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};
use serde_json::{Value, json};

use crate::rig::{Place, Ran, script};

fn asked(args: &[&str], result: Result<Value, WireError>) -> Ran {
    let place = Place::new();
    let daemon = place.daemon(vec![script(move |mut session| {
        let request = session.request("account/rateLimits/read");
        assert_eq!(request.params, json!({ "refresh": true }));
        match result {
            Ok(result) => session.reply(&request, result),
            Err(error) => session.fail(&request, &error),
        }
    })]);
    let ran = place.run(args);
    daemon.done();
    ran
}

fn limits() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({ "rateLimits": [{
        "limitId": "codex", "limitName": null,
        "primary": { "usedPercent": 42.0, "windowMinutes": 300, "resetsAt": now + 4_230 },
        "secondary": { "usedPercent": 100.0, "windowMinutes": 10_080, "resetsAt": null },
        "credits": null,
    }] })
}

#[test]
fn a_reached_limit_is_shown_and_is_no_failure() {
    let ran = asked(&["usage"], Ok(limits()));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("5h    42 %       resets "), "{}", ran.stdout);
    assert!(lines[0].ends_with("(in 1 h 10 min)"), "{}", ran.stdout);
    assert_eq!((lines.len(), lines[1]), (2, "week  100 % (!)"));
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
}

#[test]
fn json_is_what_the_daemon_said() {
    let said = limits();
    assert_eq!(asked(&["usage", "--json"], Ok(said.clone())).json(), said);
}

#[test]
fn an_account_without_limits_is_told_so() {
    let ran = asked(&["usage"], Ok(json!({ "rateLimits": [] })));
    let told = "note: OpenAI names no limits for this account\n";
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (0, "", told));
}

#[test]
fn a_backend_that_does_not_answer_is_a_failure() {
    let error =
        WireError::upstream(ErrorCode::UpstreamUnreachable, Retry::Safe, "could not reach the backend")
            .next(NextStep::CheckNetwork);
    let ran = asked(&["usage"], Err(error));
    assert_eq!((ran.code(), ran.stdout.as_str()), (5, ""));
    assert!(ran.stderr.contains("could not reach the backend\nnext: "), "{}", ran.stderr);
}
