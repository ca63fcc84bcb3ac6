//! A daemon that dies.

use codex_oauth_proto::hello::Resume;
use serde_json::{Value, json};

use crate::rig::{INITIALIZE, INITIALIZED, Peer, Shim};

/// More than a socket holds unread.
const MORE_THAN_A_SOCKET: usize = 1024 * 1024;

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// A session of the older era, done with its handshake.
fn handshaken() -> (Shim, Peer) {
    let mut shim = Shim::start();
    shim.client.say(INITIALIZE);
    let (_, mut daemon) = shim.accept();
    daemon.next_request(0, "initialize");
    daemon.result(0, &json!({}));
    shim.client.next_result(0);
    shim.client.say(INITIALIZED);
    assert_eq!(daemon.next()["method"], "notifications/initialized");
    (shim, daemon)
}

#[test]
fn a_call_in_flight_fails_once_and_what_only_asks_is_asked_again() {
    let mut shim = Shim::start();
    shim.client.request(7, "tools/call");
    shim.client.modern_request(7, "tools/call");
    shim.client.modern_request("l", "tools/list");
    let (_, mut daemon) = shim.accept();
    for _ in 0..3 {
        daemon.next();
    }
    drop(daemon);
    let legacy = shim.client.next_result(7);
    assert_eq!((&legacy["isError"], legacy.get("resultType")), (&json!(true), None));
    assert!(text(&legacy).starts_with("could not get the answer: "), "{legacy}");
    assert!(text(&legacy).contains("\nnext: ask again"), "{legacy}");
    let modern = shim.client.next_result(7);
    assert_eq!((&modern["isError"], &modern["resultType"]), (&json!(true), &json!("complete")));
    let (opening, mut daemon) = shim.accept();
    assert_eq!((opening.next, opening.resume), (4, vec![Resume { n: 3, id: json!("l") }]));
    daemon.next_request("l", "tools/list");
    daemon.result("l", &json!({ "tools": [] }));
    shim.client.next_result("l");
    shim.end_in_silence();
}

#[test]
fn of_two_requests_with_one_id_the_latest_is_cancelled() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/call");
    shim.client.request(1, "tools/list");
    shim.client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    let (_, mut daemon) = shim.accept();
    for _ in 0..3 {
        daemon.next();
    }
    drop(daemon);
    assert_eq!(shim.client.next_result(1)["isError"], true);
    assert!(!shim.has_opened());
    shim.end_in_silence();
}

#[test]
fn what_was_answered_before_the_end_arrives_and_half_a_line_does_not() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/call");
    shim.client.request(2, "tools/call");
    let (_, mut daemon) = shim.accept();
    shim.client.say("everything above is read");
    assert_eq!(shim.client.next_error(Value::Null).0, -32700);
    daemon.result(1, &json!("whole"));
    std::io::Write::write_all(&mut daemon.writer, br#"{"jsonrpc":"2.0","id":2,"result":"ha"#).unwrap();
    // Its requests stay unread, so that the shim meets a reset and not a clean end.
    drop(daemon);
    assert_eq!(shim.client.next_result(1), "whole");
    assert_eq!(shim.client.next_result(2)["isError"], true);
    shim.end_in_silence();
}

#[test]
fn the_handshake_is_repeated_when_the_client_next_asks_and_its_answer_swallowed() {
    let (mut shim, daemon) = handshaken();
    drop(daemon);
    shim.wait_for_loss();
    assert!(!shim.has_opened(), "nothing is in flight");
    shim.client.request(1, "tools/call");
    let (opening, mut daemon) = shim.accept();
    assert_eq!((opening.next, opening.resume.len()), (2, 0));
    let replay = daemon.next();
    assert_eq!(
        (&replay["method"], &replay["params"]["protocolVersion"]),
        (&json!("initialize"), &json!("2025-06-18"))
    );
    assert!(replay["id"].as_str().unwrap().contains("test"), "{replay}");
    assert_eq!(daemon.next()["method"], "notifications/initialized");
    daemon.next_request(1, "tools/call");
    daemon.result(replay["id"].clone(), &json!({ "swallowed": true }));
    daemon.result(1, &json!("answer"));
    assert_eq!(shim.client.next_result(1), "answer");
    drop(daemon);
    shim.wait_for_loss();
    // The repeated handshake has had a number too.
    shim.client.request(2, "ping");
    let (opening, mut daemon) = shim.accept();
    assert_eq!(opening.next, 4);
    assert_ne!(daemon.next()["id"], replay["id"]);
    drop(shim);
}

#[test]
fn a_handshake_without_an_answer_is_sent_again_as_it_was() {
    let mut shim = Shim::start();
    shim.client.say(INITIALIZE);
    shim.client.say(INITIALIZED);
    shim.client.request(1, "tools/list");
    let (_, mut daemon) = shim.accept();
    for _ in 0..3 {
        daemon.next();
    }
    drop(daemon);
    let (opening, mut daemon) = shim.accept();
    assert_eq!(opening.resume, [Resume { n: 1, id: json!(0) }, Resume { n: 2, id: json!(1) }]);
    assert_eq!(daemon.line().unwrap(), INITIALIZE.as_bytes());
    assert_eq!(daemon.next()["method"], "notifications/initialized");
    daemon.next_request(1, "tools/list");
    daemon.result(0, &json!({}));
    shim.client.next_result(0);
    drop(shim);
}

#[test]
fn a_refused_handshake_is_not_repeated() {
    let mut shim = Shim::start();
    shim.client.say(INITIALIZE);
    let (_, mut daemon) = shim.accept();
    daemon.next();
    daemon.say(r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no"}}"#);
    assert_eq!(shim.client.next_error(0).0, -32602);
    drop(daemon);
    shim.wait_for_loss();
    shim.client.request(1, "ping");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "ping");
    drop(shim);
}

#[test]
fn a_question_of_a_dead_daemon_is_cancelled_and_a_late_answer_to_it_dropped() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/call");
    let (_, mut daemon) = shim.accept();
    daemon.next();
    daemon.request("first/1", "elicitation/create");
    shim.client.next_request("first/1", "elicitation/create");
    drop(daemon);
    let cancelled = shim.client.next();
    assert_eq!(
        (&cancelled["method"], &cancelled["params"]["requestId"]),
        (&json!("notifications/cancelled"), &json!("first/1"))
    );
    shim.client.next_result(1);
    shim.client.request(2, "ping");
    let (_, mut daemon) = shim.accept();
    shim.client.result("first/1", &json!({ "action": "accept" }));
    shim.client.request(3, "ping");
    daemon.next_request(2, "ping");
    daemon.next_request(3, "ping");
    drop(shim);
}

#[test]
fn a_call_of_which_nothing_was_written_is_sent_again_and_one_in_part_is_not() {
    let mut shim = Shim::start();
    let long = "q".repeat(MORE_THAN_A_SOCKET);
    shim.client.send(&json!({ "jsonrpc": "2.0", "id": "part", "method": "tools/call", "params": long }));
    shim.client.request("none", "tools/call");
    shim.client.request("gone", "tools/call");
    shim.client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"gone"}}"#);
    shim.client.say("now everything above is read");
    let (_, mut daemon) = shim.accept();
    assert_eq!(shim.client.next_error(Value::Null).0, -32700);
    daemon.read_bytes(10);
    drop(daemon);
    assert_eq!(shim.client.next_result("part")["isError"], true);
    let (opening, mut daemon) = shim.accept();
    // No daemon has seen it under its first number.
    assert_eq!((opening.next, opening.resume.len()), (4, 0));
    daemon.next_request("none", "tools/call");
    daemon.result("none", &json!("answer"));
    assert_eq!(shim.client.next_result("none"), "answer");
    shim.client.request("after", "ping");
    daemon.next_request("after", "ping");
    drop(shim);
}

#[test]
fn a_daemon_that_dies_of_each_request_is_given_up() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/list");
    shim.client.request(2, "resources/list");
    for _ in 0..3 {
        let (_, mut daemon) = shim.accept();
        daemon.next_request(1, "tools/list");
        daemon.next_request(2, "resources/list");
    }
    assert_eq!(shim.client.next_result(1)["tools"].as_array().unwrap().len(), 5);
    assert_eq!(shim.client.next_error(2).0, -32601);
    assert!(!shim.has_opened());
    // The next request has its own chance.
    shim.client.request(3, "ping");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(3, "ping");
    daemon.result(3, &json!({}));
    shim.client.next_result(3);
    shim.end_in_silence();
}

#[test]
fn a_subscription_ends_with_its_connection() {
    let mut shim = Shim::start();
    shim.client.modern_request("listen:0", "subscriptions/listen");
    let (_, mut daemon) = shim.accept();
    daemon.next();
    drop(daemon);
    assert_eq!(shim.client.next_error("listen:0").1, "daemon_unavailable");
    assert!(!shim.has_opened());
    shim.end_in_silence();
}

#[test]
fn nothing_is_sent_again_for_a_client_that_has_left() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/list");
    shim.client.request(2, "tools/call");
    let (_, mut daemon) = shim.accept();
    daemon.next();
    daemon.next();
    shim.client.finish();
    daemon.expect_end();
    drop(daemon);
    shim.client.next_result(1);
    assert_eq!(shim.client.next_result(2)["isError"], true);
    assert!(!shim.has_opened());
    shim.end_in_silence();
}
