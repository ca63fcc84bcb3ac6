//! Ctrl-C and what it costs.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::mpsc;

use serde_json::json;

use crate::rig::{PATIENCE, Place, Running, script};

#[test]
fn ctrl_c_calls_the_turn_off_and_keeps_what_came() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.delta("half");
        let request = session.request("turn/interrupt");
        assert_eq!(request.params, json!({ "turnId": "t" }));
        session.reply(&request, json!({}));
        session.delta(" more that nobody wants");
        session.complete(&json!({ "status": "interrupted", "answer": "half more that nobody wants" }));
    })]);
    let mut running = Running::start(&mut place.command(&["query", "x"]));
    running.expect_out("half");
    running.interrupt();
    let ran = running.finish();
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (130, "\n", "stopped\n"));
    daemon.done();
}

#[test]
fn an_answer_that_was_whole_by_then_is_printed() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.delta("half");
        session.request("turn/interrupt");
        session.complete(&json!({ "answer": "half and half" }));
    })]);
    let mut running = Running::start(&mut place.command(&["query", "x"]));
    running.expect_out("half");
    running.interrupt();
    let ran = running.finish();
    assert_eq!((ran.code(), ran.stdout.as_str()), (130, " and half\n"));
    daemon.done();
}

#[test]
fn in_json_the_turns_last_word_is_printed() {
    let place = Place::new();
    let (told, started) = mpsc::channel();
    let daemon = place.daemon(vec![script(move |mut session| {
        session.turn();
        session.delta("half");
        told.send(()).unwrap();
        session.request("turn/interrupt");
        session.complete(&json!({ "status": "interrupted", "answer": "half" }));
    })]);
    let running = Running::start(&mut place.command(&["query", "--json", "x"]));
    started.recv_timeout(PATIENCE).unwrap();
    running.interrupt();
    let ran = running.finish();
    assert_eq!((ran.code(), &ran.json()["answer"]), (130, &json!("half")));
    daemon.done();
}

#[test]
fn a_daemon_that_does_not_answer_is_not_waited_for() {
    for args in [vec!["query", "x"], vec!["query", "--json", "x"]] {
        let place = Place::new();
        let (told, started) = mpsc::channel();
        let daemon = place.daemon(vec![script(move |mut session| {
            session.turn();
            session.delta("half");
            told.send(()).unwrap();
            session.request("turn/interrupt");
            assert_eq!(session.next(), None);
        })]);
        let running = Running::start(&mut place.command(&args));
        started.recv_timeout(PATIENCE).unwrap();
        running.interrupt();
        let ran = running.finish();
        assert_eq!(ran.code(), 130);
        if args.len() == 3 {
            assert_eq!(ran.json()["error"]["code"], "outcome_unknown");
        }
        daemon.done();
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let place = Place::new();
    let (told, called_off) = mpsc::channel();
    let daemon = place.daemon(vec![script(move |mut session| {
        session.turn();
        session.delta("half");
        session.request("turn/interrupt");
        told.send(()).unwrap();
        assert_eq!(session.next(), None);
    })]);
    let mut running = Running::start(&mut place.command(&["query", "x"]));
    running.expect_out("half");
    running.interrupt();
    called_off.recv_timeout(PATIENCE).unwrap();
    running.interrupt();
    assert_eq!(running.finish().status.signal(), Some(2));
    daemon.done();
}
