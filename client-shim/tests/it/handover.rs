//! A daemon that hands over to its successor: `@moved`.

use codex_oauth_proto::hello::Resume;
use serde_json::{Value, json};

use crate::rig::{INITIALIZE, INITIALIZED, Shim};

#[test]
fn old_answers_come_over_the_old_connection_and_new_requests_go_to_the_new_one() {
    let mut shim = Shim::start();
    shim.client.say(INITIALIZE);
    let (_, mut old) = shim.accept();
    old.next();
    old.result(0, &json!({}));
    shim.client.next_result(0);
    shim.client.say(INITIALIZED);
    shim.client.request(1, "tools/call");
    shim.client.request(2, "tools/call");
    for _ in 0..3 {
        old.next();
    }
    old.request("old/1", "roots/list");
    shim.client.next_request("old/1", "roots/list");
    old.say("@moved");
    shim.client.request(1, "ping");
    let (opening, mut new) = shim.accept();
    assert_eq!((opening.next, opening.resume.len()), (4, 0));
    assert_eq!(new.next()["method"], "initialize");
    assert_eq!(new.next()["method"], "notifications/initialized");
    new.next_request(1, "ping");
    // Equal ids on two connections are two requests, and a cancellation finds the connection of its own.
    new.result(1, &json!("new"));
    assert_eq!(shim.client.next_result(1), "new");
    shim.client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#);
    assert_eq!(old.next()["params"]["requestId"], 2);
    shim.client.result("old/1", &json!({ "roots": [] }));
    old.next_result("old/1");
    old.result(1, &json!("old"));
    assert_eq!(shim.client.next_result(1), "old");
    // Nothing more can come over it.
    old.expect_end();
    shim.end_in_silence();
}

#[test]
fn what_the_old_daemon_has_not_read_goes_to_the_new_one() {
    let mut shim = Shim::start();
    let long = "q".repeat(1024 * 1024);
    shim.client.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": long }));
    shim.client.request(2, "tools/call");
    shim.client.say("everything above is read");
    let (_, mut old) = shim.accept();
    assert_eq!(shim.client.next_error(Value::Null).0, -32700);
    old.say("@moved");
    let (opening, mut new) = shim.accept();
    assert_eq!((opening.next, opening.resume.len()), (3, 0));
    new.next_request(2, "tools/call");
    // The half written one is finished where it began.
    old.next_request(1, "tools/call");
    new.result(2, &json!("new"));
    assert_eq!(shim.client.next_result(2), "new");
    old.result(1, &json!("old"));
    assert_eq!(shim.client.next_result(1), "old");
    old.expect_end();
    shim.end_in_silence();
}

#[test]
fn daemons_that_only_hand_over_are_given_up() {
    let mut shim = Shim::start();
    for _ in 0..3 {
        shim.move_next();
    }
    shim.client.request(1, "tools/call");
    assert_eq!(shim.client.next_result(1)["isError"], true);
    for _ in 0..3 {
        let (opening, mut daemon) = shim.accept();
        assert_eq!(opening.resume, []);
        daemon.expect_end();
    }
    assert!(!shim.has_opened());
    shim.end_in_silence();
}

#[test]
fn what_an_old_daemon_dies_with_is_sent_again_over_a_connection_of_its_own() {
    let mut shim = Shim::start();
    shim.client.request("long", "tools/call");
    let (_, mut old) = shim.accept();
    old.next_request("long", "tools/call");
    old.say("@moved");
    shim.client.request("new", "tools/call");
    let (_, mut new) = shim.accept();
    new.next_request("new", "tools/call");
    drop(old);
    // The hello of the connection that is there has not listed it.
    let (opening, mut newest) = shim.accept();
    assert_eq!((opening.next, opening.resume.len()), (3, 1));
    assert_eq!((opening.resume[0].n, &opening.resume[0].id), (1, &json!("long")));
    newest.next_request("long", "tools/call");
    shim.client.request("newest", "ping");
    newest.next_request("newest", "ping");
    new.result("new", &json!("its answer"));
    assert_eq!(shim.client.next_result("new"), "its answer");
    new.expect_end();
    newest.result("long", &json!("kept"));
    assert_eq!(shim.client.next_result("long"), "kept");
    newest.result("newest", &json!({}));
    shim.client.next_result("newest");
    shim.end_in_silence();
}

#[test]
fn of_a_connection_that_was_not_read_to_its_end_every_call_may_have_been_sent() {
    let mut shim = Shim::start();
    let mut peers = Vec::new();
    for id in 1..=4 {
        shim.client.request(id, "tools/call");
        let (_, mut daemon) = shim.accept();
        daemon.next_request(id, "tools/call");
        daemon.say("@moved");
        peers.push(daemon);
    }
    // One more than the shim keeps: the oldest is let go of, and what it might still have said is not heard.
    shim.client.request(5, "tools/call");
    let (opening, mut newest) = shim.accept();
    assert_eq!(opening.resume, [Resume { n: 1, id: json!(1), sent: true }]);
    peers[0].expect_end();
    newest.next_request(1, "tools/call");
    newest.next_request(5, "tools/call");
    drop(shim);
}
