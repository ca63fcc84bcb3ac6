//! A connection that holds.

use std::io::Read as _;
use std::time::Duration;

use codex_oauth_mcp::{End, Limits};
use serde_json::{Value, json};

use crate::rig::{INITIALIZE, INITIALIZED, LIMITS, Peer, Shim};

/// The longest answer that a turn is expected to give.
const LONG: usize = 6 * 1024 * 1024;

#[test]
fn nothing_is_opened_before_the_first_request() {
    let mut shim = Shim::start();
    shim.client.say(INITIALIZED);
    shim.client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    shim.client.say(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    shim.client.say("junk");
    assert_eq!(shim.client.next_error(Value::Null).0, -32700);
    assert!(!shim.has_opened());
    shim.client.say(INITIALIZE);
    let (opening, mut daemon) = shim.accept();
    assert_eq!((opening.next, opening.resume.len()), (1, 0));
    daemon.next_request(0, "initialize");
    daemon.result(0, &json!({}));
    shim.client.next_result(0);
    shim.end_in_silence();
}

#[test]
fn sixteen_requests_in_flight_are_answered_in_any_order() {
    let mut shim = Shim::start();
    for id in 0..16 {
        shim.client.request(id, "tools/call");
    }
    let (_, mut daemon) = shim.accept();
    for id in 0..16 {
        daemon.next_request(id, "tools/call");
    }
    let order: Vec<i32> = (0..16).map(|place| place * 7 % 16).collect();
    for id in &order {
        daemon.result(*id, &json!(id));
    }
    for id in &order {
        assert_eq!(shim.client.next_result(*id), *id);
    }
    shim.end_in_silence();
}

#[test]
fn each_of_several_requests_with_one_id_gets_one_answer() {
    let mut shim = Shim::start();
    for _ in 0..3 {
        shim.client.request(1, "tools/call");
    }
    let (_, mut daemon) = shim.accept();
    for _ in 0..3 {
        daemon.next_request(1, "tools/call");
    }
    // One more answer than requests.
    for answer in 0..4 {
        daemon.result(1, &json!(answer));
    }
    for answer in 0..3 {
        assert_eq!(shim.client.next_result(1), answer);
    }
    // An id has a type: "1" is not 1.
    shim.client.request(1, "ping");
    daemon.next_request(1, "ping");
    daemon.result("1", &json!("wrong"));
    daemon.result(1, &json!("right"));
    assert_eq!(shim.client.next_result(1), "right");
    shim.end_in_silence();
}

#[test]
fn a_cancelled_request_is_forgotten_and_its_late_answer_dropped() {
    let mut shim = Shim::start();
    let cancel =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"user"}}"#;
    shim.client.request(1, "tools/call");
    shim.client.say(cancel);
    shim.client.request(2, "ping");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "tools/call");
    assert_eq!(daemon.next()["params"]["requestId"], 1);
    daemon.next_request(2, "ping");
    daemon.result(1, &json!("late"));
    daemon.result(2, &json!({}));
    shim.client.next_result(2);
    shim.end_in_silence();
}

#[test]
fn a_cancellation_that_crossed_its_answer_is_the_daemons_to_judge() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/call");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "tools/call");
    daemon.result(1, &json!("in time"));
    shim.client.next_result(1);
    shim.client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"timed out"}}"#);
    assert_eq!(daemon.next()["params"]["requestId"], 1);
    shim.client.request(1, "tools/call");
    daemon.next_request(1, "tools/call");
    shim.end_in_silence();
}

#[test]
fn a_question_of_the_daemon_is_answered_once_and_by_its_id() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/call");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "tools/call");
    daemon.request("a/1", "roots/list");
    daemon.request("a/2", "roots/list");
    shim.client.next_request("a/1", "roots/list");
    shim.client.next_request("a/2", "roots/list");
    // The daemon takes the second one back.
    daemon.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a/2"}}"#);
    assert_eq!(shim.client.next()["params"]["requestId"], "a/2");
    for id in ["a/2", "never asked", "a/1", "a/1"] {
        shim.client.result(id, &json!({ "roots": [] }));
    }
    shim.client.request(2, "ping");
    daemon.next_result("a/1");
    daemon.next_request(2, "ping");
    drop(shim);
}

#[test]
fn long_answers_reach_a_slow_client_that_writes_long_requests_meanwhile() {
    const COUNT: u64 = 4;
    let mut shim = Shim::start();
    let mut writer = Peer::new(shim.client.writer.try_clone().unwrap());
    let writing = std::thread::spawn(move || {
        for id in 0..COUNT {
            writer.send(
                &json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": "q".repeat(LONG) }),
            );
        }
    });
    let (_, mut daemon) = shim.accept();
    let answering = std::thread::spawn(move || {
        for id in 0..COUNT {
            assert_eq!(daemon.next()["id"], id);
            daemon.result(id, &json!("a".repeat(LONG)));
        }
        daemon
    });
    // Nothing is read before two requests are written in full: the shim must take both while an answer waits.
    for id in 0..COUNT {
        let mut line = Vec::new();
        let mut piece = [0; 700];
        while !line.ends_with(b"\n") {
            let read = shim.client.reader.get_mut().read(&mut piece).unwrap();
            line.extend_from_slice(&piece[..read]);
        }
        let answer: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&answer["id"], answer["result"].as_str().unwrap().len()), (&json!(id), LONG));
    }
    writing.join().unwrap();
    drop(answering.join().unwrap());
    shim.end_in_silence();
}

#[test]
fn a_client_that_writes_twice_before_it_reads_is_not_stopped_by_an_answer() {
    let mut shim = Shim::start();
    let request =
        |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": "q".repeat(LONG) });
    shim.client.send(&request(1));
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "tools/call");
    // Both return only when the shim has taken the bytes, though the client reads nothing.
    daemon.result(1, &json!("a".repeat(LONG)));
    let answering = std::thread::spawn(move || {
        daemon.next_request(2, "tools/call");
        daemon.result(2, &json!("second"));
        daemon
    });
    shim.client.send(&request(2));
    assert_eq!(shim.client.next_result(1).as_str().unwrap().len(), LONG);
    assert_eq!(shim.client.next_result(2), "second");
    drop(answering.join().unwrap());
    shim.end_in_silence();
}

#[test]
fn answers_are_relayed_after_the_client_closed_its_side() {
    let mut shim = Shim::start();
    shim.client.request(1, "tools/call");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "tools/call");
    shim.client.finish();
    // The daemon is told, and may still answer.
    daemon.expect_end();
    daemon.result(1, &json!("in time"));
    let (end, rest) = shim.end();
    assert_eq!((end, rest.len(), &rest[0]["result"]), (End::InputEnded, 1, &json!("in time")));
}

#[test]
fn it_ends_in_mid_call_with_its_client() {
    for leave in [|shim: Shim| shim.end().0, Shim::drop_client] {
        let mut shim = Shim::start_with(Limits { last_answers: Duration::from_millis(1), ..LIMITS });
        shim.client.request(1, "tools/call");
        let (_, mut daemon) = shim.accept();
        daemon.next_request(1, "tools/call");
        leave(shim);
        daemon.expect_end();
    }
}

#[test]
fn a_subscription_does_not_delay_the_end() {
    let mut shim = Shim::start();
    shim.client.modern_request("listen:0", "subscriptions/listen");
    let (_, mut daemon) = shim.accept();
    daemon.next_request("listen:0", "subscriptions/listen");
    shim.end_in_silence();
}
