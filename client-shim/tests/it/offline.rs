//! No daemon, and none to be had.

use std::time::Duration;

use codex_oauth_mcp::Limits;
use serde_json::{Value, json};

use crate::rig::{INITIALIZE, INITIALIZED, LIMITS, Shim};

#[test]
fn a_session_without_a_daemon_stays_alive_and_says_why() {
    let mut shim = Shim::start();
    let mut ask = |modern: bool, method: &str| -> Value {
        shim.refuse_next();
        if modern {
            shim.client.modern_request(1, method);
        } else {
            shim.client.request(1, method);
        }
        let answer = shim.client.next();
        assert_eq!(answer["id"], 1);
        answer
    };
    for method in ["server/discover", "resources/list", "subscriptions/listen", "no/such/method"] {
        assert_eq!(ask(true, method)["error"]["code"], -32601, "{method}");
    }
    assert_eq!(ask(false, "ping")["result"], json!({}));
    for (modern, result_type) in [(false, Value::Null), (true, json!("complete"))] {
        let list = ask(modern, "tools/list")["result"].take();
        assert_eq!(list["tools"].as_array().unwrap().len(), 5);
        assert_eq!(list["resultType"], result_type);
        assert_eq!((list["ttlMs"].is_u64(), list["cacheScope"].is_string()), (modern, modern));
        let call = ask(modern, "tools/call")["result"].take();
        assert_eq!((&call["isError"], &call["resultType"]), (&json!(true), &result_type));
        let text = call["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("could not start the daemon: a test says so\nnext: "), "{text}");
    }
    assert!(!shim.has_opened());
    shim.end_in_silence();
}

#[test]
fn a_known_revision_is_echoed_without_a_daemon() {
    for (asked, answered) in
        [("2024-11-05", "2024-11-05"), ("2025-11-25", "2025-11-25"), ("2026-07-28", "2025-11-25")]
    {
        let mut shim = Shim::start();
        shim.refuse_next();
        shim.client.say(&INITIALIZE.replace("2025-06-18", asked));
        let result = shim.client.next_result(0);
        assert_eq!(result["protocolVersion"], answered);
        assert_eq!(
            (&result["serverInfo"]["name"], &result["capabilities"]["tools"]),
            (&json!("codex-oauth"), &json!({}))
        );
        shim.end_in_silence();
    }
}

#[test]
fn a_session_that_began_without_a_daemon_heals() {
    let mut shim = Shim::start();
    shim.refuse_next();
    shim.client.say(INITIALIZE);
    shim.client.next_result(0);
    shim.client.say(INITIALIZED);
    shim.client.request(1, "tools/call");
    let (opening, mut daemon) = shim.accept();
    assert_eq!((opening.next, opening.resume.len()), (1, 0));
    let replay = daemon.next();
    assert_eq!(replay["method"], "initialize");
    assert_eq!(daemon.next()["method"], "notifications/initialized");
    daemon.next_request(1, "tools/call");
    daemon.result(replay["id"].clone(), &json!({}));
    daemon.result(1, &json!("answer"));
    assert_eq!(shim.client.next_result(1), "answer");
    shim.end_in_silence();
}

#[test]
fn requests_of_a_lost_connection_are_answered_when_there_is_no_other() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/list");
    let (_, mut daemon) = shim.accept();
    daemon.next();
    shim.refuse_next();
    drop(daemon);
    assert_eq!(shim.client.next_result(1)["tools"].as_array().unwrap().len(), 5);
    shim.end_in_silence();
}

#[test]
fn a_slow_refusal_is_believed_for_a_while_and_a_fast_one_is_not() {
    let hour = Duration::from_secs(3600);
    for (slow_refusal, refusal_holds, believed) in
        [(Duration::ZERO, hour, true), (hour, hour, false), (Duration::ZERO, Duration::ZERO, false)]
    {
        let mut shim = Shim::start_with(Limits { slow_refusal, refusal_holds, ..LIMITS });
        shim.refuse_next();
        shim.client.request(1, "ping");
        shim.client.next_result(1);
        shim.client.request(2, "tools/call");
        if believed {
            assert_eq!(shim.client.next_result(2)["isError"], true);
            assert!(!shim.has_opened());
        } else {
            shim.accept().1.next_request(2, "tools/call");
        }
    }
}
