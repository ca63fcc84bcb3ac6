//! The client against a scripted daemon.

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread;

use serde_json::json;

use super::*;
use crate::api::model;
use crate::api::turn::{Interrupt, InterruptParams, Start, StartParams};
use crate::version::ProtocolVersion;

/// No test needs a tenth of it.
const SOON: Duration = Duration::from_secs(20);

fn pair() -> (Client, UnixStream) {
    let (ours, daemon) = UnixStream::pair().unwrap();
    let welcome = Welcome {
        protocol: ProtocolVersion(1),
        build: "0.1.0".to_owned(),
        pid: 1,
        nonce: Nonce::from("run"),
        warnings: Vec::new(),
    };
    let buffer = LineBuffer::new(MAX_LINE_BYTES);
    (Client::from_session(Session { stream: ours, buffer, welcome, started: false }), daemon)
}

fn notification(name: &str) -> Vec<u8> {
    format!("{}\n", json!(Request::notification(name, json!({})))).into_bytes()
}

#[test]
fn a_wait_ends_with_what_comes_with_the_wake_or_at_the_deadline() {
    let (mut client, mut daemon) = pair();
    let (wake, mut waker) = UnixStream::pair().unwrap();
    assert_eq!(client.wait(Some(Instant::now()), Some(wake.as_fd())).unwrap(), Waited::TimedOut);
    daemon.write_all(&notification("a")).unwrap();
    let deadline = Some(Instant::now() + SOON);
    let Waited::Notification(found) = client.wait(deadline, Some(wake.as_fd())).unwrap() else {
        panic!("a notification")
    };
    assert_eq!(found.method, "a");
    daemon.write_all(&notification("b")).unwrap();
    waker.write_all(b"!").unwrap();
    assert_eq!(client.wait(deadline, Some(wake.as_fd())).unwrap(), Waited::Woken);
}

#[test]
fn the_answer_to_a_request_that_nobody_waits_for_is_passed_over() {
    let (mut client, daemon) = pair();
    let served = thread::spawn(move || {
        let mut lines = BufReader::new(&daemon).lines();
        for result in [json!({}), json!({ "models": [], "default": null })] {
            let request: Request = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            let answer = json!(Response::ok(request.id.unwrap(), result));
            (&daemon).write_all(format!("@moved\n{answer}\n").as_bytes()).unwrap();
        }
        (&daemon).write_all(&notification("last")).unwrap();
    });
    client.send::<Interrupt>(&InterruptParams { turn_id: "t".to_owned() }).unwrap();
    assert_eq!(client.call::<model::List>(&crate::api::account::OfAccount::default()).unwrap().models, []);
    assert_eq!(client.notification().unwrap().method, "last");
    served.join().unwrap();
}

#[test]
fn an_answer_comes_in_its_order_among_what_else_the_daemon_says() {
    let (mut client, daemon) = pair();
    let served = thread::spawn(move || {
        let line = BufReader::new(&daemon).lines().next().unwrap().unwrap();
        let request: Request = serde_json::from_str(&line).unwrap();
        (&daemon).write_all(&notification("before")).unwrap();
        let answer = json!(Response::ok(request.id.unwrap(), json!({})));
        (&daemon).write_all(format!("{answer}\n").as_bytes()).unwrap();
        (&daemon).write_all(&notification("after")).unwrap();
    });
    let asked = client.ask::<Interrupt>(&InterruptParams { turn_id: "t".to_owned() }).unwrap();
    let mut hear = || client.hear(Some(asked), Some(Instant::now() + SOON), None).unwrap();
    let told = |heard| matches!(heard, Heard::Other(Waited::Notification(incoming)) if ["before", "after"].contains(&&*incoming.method));
    assert!(told(hear()));
    assert_eq!(hear(), Heard::Answer(Ok(json!({}))));
    assert!(told(hear()));
    served.join().unwrap();
}

#[test]
fn what_the_daemon_never_got_may_be_asked_again() {
    let (mut client, daemon) = pair();
    drop(daemon);
    let question = client.call::<Start>(&StartParams::default()).unwrap_err();
    assert_eq!((question.code, question.retry), (ErrorCode::DaemonUnavailable, Retry::Safe));
    assert!(question.message.starts_with("could not send turn/start to the daemon: "), "{question:?}");
}

#[test]
fn only_a_lost_question_is_in_doubt() {
    let lost = |ask: fn(&mut Client) -> WireError| {
        let (mut client, daemon) = pair();
        let served = thread::spawn(move || BufReader::new(daemon).lines().next());
        let error = ask(&mut client);
        assert!(served.join().unwrap().is_some(), "it had come");
        error
    };
    let question = lost(|client| client.call::<Start>(&StartParams::default()).unwrap_err());
    assert_eq!((question.code, question.next_step), (ErrorCode::OutcomeUnknown, Some(NextStep::AskAgain)));
    let list =
        lost(|client| client.call::<model::List>(&crate::api::account::OfAccount::default()).unwrap_err());
    assert_eq!((list.code, list.next_step), (ErrorCode::DaemonUnavailable, Some(NextStep::Retry)));
    let (mut client, daemon) = pair();
    drop(daemon);
    let wait = client.notification().unwrap_err();
    assert_eq!(wait.message, "could not hear from the daemon: it closed the connection");
}
