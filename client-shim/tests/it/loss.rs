//! A daemon that dies.

use codex_oauth_proto::ProtocolVersion;
use codex_oauth_proto::hello::Resume;
use serde_json::{Value, json};

use crate::rig::{INITIALIZE, INITIALIZED, Peer, Shim};

/// More than a socket holds unread.
const MORE_THAN_A_SOCKET: usize = 1024 * 1024;

/// Request `n` as a hello lists it that follows a loss: its daemon had not sent it upstream.
fn listed(n: u64, id: impl Into<Value>) -> Resume {
    Resume { n, id: id.into(), sent: false }
}

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
fn what_is_unanswered_is_listed_and_sent_again_and_answered_once() {
    let mut shim = Shim::start();
    shim.client.request(7, "tools/call");
    shim.client.modern_request(7, "tools/call");
    shim.client.modern_request("l", "tools/list");
    shim.client.request("done", "ping");
    let (_, mut daemon) = shim.accept();
    let lines: Vec<_> = (0..4).map(|_| daemon.line().unwrap()).collect();
    daemon.result("done", &json!({}));
    shim.client.next_result("done");
    drop(daemon);
    let (opening, mut daemon) = shim.accept();
    assert_eq!((opening.next, opening.resume), (5, vec![listed(1, 7), listed(2, 7), listed(3, "l")]));
    for line in &lines[..3] {
        assert_eq!(daemon.line().as_ref(), Some(line), "as it was, in its order");
    }
    daemon.result(7, &json!("first"));
    daemon.result("l", &json!({ "tools": [] }));
    daemon.result(7, &json!("second"));
    // The answers of the dead connection have no request any more.
    daemon.result(7, &json!("third"));
    assert_eq!(shim.client.next_result(7), "first");
    shim.client.next_result("l");
    assert_eq!(shim.client.next_result(7), "second");
    shim.end_in_silence();
}

#[test]
fn without_a_daemon_the_outcome_of_what_was_sent_is_unknown_and_of_the_rest_it_is_not() {
    let mut shim = Shim::start();
    let long = "q".repeat(MORE_THAN_A_SOCKET);
    shim.client.modern_request("sent", "tools/call");
    shim.client.send(&json!({ "jsonrpc": "2.0", "id": "part", "method": "tools/call", "params": long }));
    shim.client.request("unsent", "tools/call");
    shim.client.request("list", "tools/list");
    shim.client.say("now everything above is read");
    let (_, mut daemon) = shim.accept();
    assert_eq!(shim.client.next_error(Value::Null).0, -32700);
    daemon.next_request("sent", "tools/call");
    daemon.say("@sent 1");
    shim.refuse_next();
    drop(daemon);
    let sent = shim.client.next_result("sent");
    assert_eq!((&sent["isError"], &sent["resultType"]), (&json!(true), &json!("complete")));
    assert!(text(&sent).starts_with("could not get the answer: "), "{sent}");
    assert!(text(&sent).contains("\nnext: ask again"), "{sent}");
    for id in ["part", "unsent"] {
        let unsent = shim.client.next_result(id);
        assert!(text(&unsent).starts_with("could not start the daemon: "), "{unsent}");
    }
    assert_eq!(shim.client.next_result("list")["tools"].as_array().unwrap().len(), 5);
    assert!(!shim.has_opened());
    shim.end_in_silence();
}

#[test]
fn a_call_that_is_too_long_to_keep_is_not_sent_again() {
    for (word, next) in [("@sent 1", "\nnext: ask again"), ("@later", "\nnext: try again")] {
        let mut shim = Shim::start();
        let long = "q".repeat(5 * MORE_THAN_A_SOCKET);
        shim.client.send(&json!({ "jsonrpc": "2.0", "id": "long", "method": "tools/call", "params": long }));
        let (_, mut daemon) = shim.accept();
        daemon.next_request("long", "tools/call");
        daemon.say(word);
        drop(daemon);
        let lost = shim.client.next_result("long");
        assert!(text(&lost).contains(next), "{lost}");
        assert!(!shim.has_opened());
        shim.end_in_silence();
    }
}

#[test]
fn what_the_daemon_said_of_a_call_is_known_after_its_death_also_if_the_client_was_not_reading() {
    let mut shim = Shim::start();
    for id in ["before", "sent", "unsent", "after"] {
        shim.client.request(id, "tools/call");
    }
    let (_, mut daemon) = shim.accept();
    for id in ["before", "sent", "unsent", "after"] {
        daemon.next_request(id, "tools/call");
    }
    // More than the shim takes for a client that does not read: what follows stays in the socket, as far as that goes, when
    // the daemon ends.
    daemon.say("@sent 1");
    let much = "m".repeat(8 * MORE_THAN_A_SOCKET - 1024);
    for _ in 0..2 {
        daemon.send(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": much }));
    }
    for line in ["@sent 2", "@sent 77", "@sent", "@sent x", "@later", "@debug [HTTP] to nobody", "@sent 4"] {
        daemon.say(line);
    }
    drop(daemon);
    assert!(!shim.has_opened(), "no other connection before this one is read to its end");
    for _ in 0..2 {
        assert_eq!(shim.client.next()["method"], "notifications/message");
    }
    let (opening, _daemon) = shim.accept();
    let sent = |n, id: &str| Resume { sent: true, ..listed(n, id) };
    assert_eq!(opening.resume, [sent(1, "before"), sent(2, "sent"), listed(3, "unsent"), sent(4, "after")]);
    drop(shim);
}

#[test]
fn of_a_daemon_that_does_not_say_what_it_sends_every_call_may_have_been_sent() {
    let mut shim = Shim::start();
    shim.speak(ProtocolVersion(1));
    shim.client.request("q", "tools/call");
    let (_, mut daemon) = shim.accept();
    daemon.next_request("q", "tools/call");
    drop(daemon);
    let (opening, mut daemon) = shim.accept();
    assert_eq!(opening.resume, [Resume { sent: true, ..listed(1, "q") }]);
    daemon.next_request("q", "tools/call");
    shim.refuse_next();
    drop(daemon);
    assert!(text(&shim.client.next_result("q")).contains("\nnext: ask again"));
    shim.end_in_silence();
}

#[test]
fn a_daemon_that_dies_of_a_call_each_time_leaves_its_outcome_unknown() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/call");
    for _ in 0..3 {
        let (_, mut daemon) = shim.accept();
        daemon.next_request(1, "tools/call");
        daemon.say("@sent 1");
    }
    assert!(text(&shim.client.next_result(1)).contains("\nnext: ask again"));
    assert!(!shim.has_opened());
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
    let (opening, mut daemon) = shim.accept();
    assert_eq!(opening.resume, [listed(1, 1)]);
    daemon.next_request(1, "tools/call");
    daemon.result(1, &json!("answer"));
    assert_eq!(shim.client.next_result(1), "answer");
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
    let (opening, mut daemon) = shim.accept();
    assert_eq!(opening.resume, [listed(2, 2)]);
    daemon.next_request(2, "tools/call");
    daemon.result(2, &json!("all of it"));
    assert_eq!(shim.client.next_result(2), "all of it");
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
    assert_eq!(opening.resume, [listed(1, 0), listed(2, 1)]);
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
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "tools/call");
    shim.client.result("first/1", &json!({ "action": "accept" }));
    daemon.request("second/1", "elicitation/create");
    shim.client.next_request("second/1", "elicitation/create");
    shim.client.result("second/1", &json!({ "action": "decline" }));
    assert_eq!(daemon.next_result("second/1")["action"], "decline", "the late one did not come first");
    drop(shim);
}

#[test]
fn a_call_keeps_its_number_once_a_byte_of_it_was_written() {
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
    let (opening, mut daemon) = shim.accept();
    // No daemon has seen the second one under its first number.
    assert_eq!((opening.next, opening.resume), (4, vec![listed(1, "part")]));
    daemon.next_request("part", "tools/call");
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
