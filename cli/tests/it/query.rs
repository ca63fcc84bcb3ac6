//! `query`: the answer as it comes, and nothing else on standard output.

use std::process::Stdio;
use std::sync::mpsc;

use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Place, Running, completed, script};

#[test]
fn a_daemon_that_hangs_in_the_middle_of_an_answer_is_named_and_one_that_is_silent_is_waited_for() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.delta("half");
        let asked = session.request("daemon/status");
        session.reply(&asked, json!({}));
        session.request("daemon/status");
        // Without an answer the question is given up, and called off for what it is worth.
        session.request("turn/interrupt");
    })]);
    let mut command = place.command(&["query", "x"]);
    let ran = Running::start(command.env("CODEX_OAUTH_TEST_QUIET_MS", "1000")).finish();
    assert_eq!((ran.code(), ran.stdout.as_str()), (1, "half\n"));
    assert!(ran.stderr.contains("process 4711 hangs") && ran.stderr.contains("kill"), "{}", ran.stderr);
    daemon.done();
}

#[test]
fn each_piece_is_printed_before_the_next_one_exists() {
    let place = Place::new();
    let (printed, next) = mpsc::channel();
    let daemon = place.daemon(vec![script(move |mut session| {
        session.turn();
        for piece in ["one ", "two ", "three"] {
            session.delta(piece);
            next.recv_timeout(PATIENCE).unwrap();
        }
        session.complete(&json!({ "answer": "one two three" }));
    })]);
    let mut running = Running::start(&mut place.command(&["query", "count"]));
    for piece in ["one ", "two ", "three"] {
        running.expect_out(piece);
        printed.send(()).unwrap();
    }
    let ran = running.finish();
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (0, "\n", ""));
    daemon.done();
}

#[test]
fn what_was_asked_travels_as_it_was_given() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        assert_eq!(
            session.turn(),
            json!({ "input": [{ "type": "text", "text": "is this prime" }],
                    "model": "gpt-5.5", "effort": "high", "instructions": "be brief" })
        );
        session.complete(&json!({ "answer": "no\n" }));
    })]);
    let ran = place.run(&["ask", "-m", "gpt-5.5", "-e", "high", "-s", "be brief", "is", "this", "prime"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "no\n"));
    daemon.done();
}

#[test]
fn piped_text_stands_below_the_question() {
    for (args, stdin, asked) in [
        (vec!["query", "why"], "log\n", "why\n\nlog\n"),
        (vec!["query"], "whole question", "whole question"),
        (vec!["query", "-"], "whole question", "whole question"),
        (vec!["query", "why", "-"], "log", "why\n\nlog"),
        (vec!["query", "why"], "", "why"),
    ] {
        let place = Place::new();
        let daemon = place.daemon(vec![script(move |mut session| {
            assert_eq!(session.turn()["input"][0]["text"], asked);
            session.complete(&json!({ "answer": "so" }));
        })]);
        let mut running = Running::start(place.command(&args).stdin(Stdio::piped()));
        running.feed(stdin.as_bytes());
        assert_eq!(running.finish().code(), 0, "{args:?}");
        daemon.done();
    }
}

#[test]
fn a_pipe_that_stays_open_is_explained() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.complete(&json!({ "answer": "so" }));
    })]);
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    let stdin = std::os::fd::OwnedFd::from(reader);
    let mut command = place.command(&["query", "why"]);
    let (ours, theirs) = std::io::pipe().unwrap();
    let running = Running::start(command.stdin(stdin).stderr(theirs));
    drop(command);
    let mut stderr = std::io::BufReader::new(ours);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    assert!(line.contains("waiting for the end of standard input"), "{line}");
    drop(writer);
    assert_eq!(running.finish().code(), 0);
    daemon.done();
}

#[test]
fn a_question_that_is_none_is_refused_before_the_daemon_is_asked() {
    let place = Place::new();
    for (stdin, code, message) in [
        (b" \n".to_vec(), 2, "there is no question"),
        (vec![0xff, 0xfe], 2, "not UTF-8"),
        (vec![b'x'; 4 * 1024 * 1024 + 1], 1, "more than 4194304 bytes"),
    ] {
        let mut running = Running::start(place.command(&["query"]).stdin(Stdio::piped()));
        running.feed(&stdin);
        let ran = running.finish();
        assert_eq!((ran.code(), ran.stdout.as_str()), (code, ""), "{message}");
        assert!(ran.stderr.contains(message) && ran.stderr.contains("\nnext: "), "{}", ran.stderr);
    }
}

#[test]
fn without_streaming_the_answer_comes_once_and_whole() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.delta("on");
        session.delta("e");
        session.complete(&json!({ "answer": "one" }));
    })]);
    let ran = place.run(&["query", "--no-stream", "x"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "one\n"));
    daemon.done();
}

#[test]
fn pieces_that_were_missed_are_made_up_for_by_the_whole_answer() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.delta("one ");
        session.notify("item/agentMessage/delta", json!({ "turnId": "another", "delta": "NOT MINE" }));
        session.notify("thread/somethingNew", json!({}));
        session.complete(&json!({ "answer": "one two" }));
    })]);
    let ran = place.run(&["query", "x"]);
    assert_eq!(ran.stdout, "one two\n");
    daemon.done();
}

#[test]
fn an_answer_that_was_corrected_is_printed_again() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.delta("wrong");
        session.complete(&json!({ "answer": "right" }));
    })]);
    let ran = place.run(&["query", "x"]);
    assert_eq!(ran.stdout, "wrong\nright\n");
    assert!(ran.stderr.contains("differs"), "{}", ran.stderr);
    daemon.done();
}

#[test]
fn json_is_one_object_with_everything_the_daemon_said() {
    let place = Place::new();
    let end = json!({ "answer": "one", "notes": ["temperature was left out"], "fieldOfANewerDaemon": 7 });
    let sent = end.clone();
    let daemon = place.daemon(vec![script(move |mut session| {
        session.turn();
        session.delta("one");
        session.complete(&sent);
    })]);
    let ran = place.run(&["query", "--json", "x"]);
    assert_eq!(ran.json(), completed(&end));
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, "note: temperature was left out\n"));
    daemon.done();
}

#[test]
fn control_characters_reach_a_pipe_unchanged() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.delta("\u{1b}[31mred\r\n");
        session.complete(&json!({ "answer": "\u{1b}[31mred\r\n" }));
    })]);
    assert_eq!(place.run(&["query", "x"]).stdout, "\u{1b}[31mred\r\n");
    daemon.done();
}

#[test]
fn a_question_that_a_leaving_daemon_did_not_take_goes_to_the_next_one() {
    let place = Place::new();
    let daemon = place.daemon_that_leaves(script(|mut session| {
        session.turn();
        session.complete(&json!({ "answer": "from the next" }));
    }));
    let ran = place.run(&["query", "x"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "from the next\n"), "{}", ran.stderr);
    daemon.done();
}

fn failed() -> Value {
    let error =
        WireError::upstream(ErrorCode::StreamInterrupted, Retry::Unknown, "could not finish: it broke off")
            .next(NextStep::AskAgain);
    json!({ "status": "failed", "answer": "half", "error": error })
}

#[test]
fn a_failure_leaves_the_part_that_came_and_says_what_to_do() {
    for args in [vec!["query", "x"], vec!["query", "--no-stream", "x"]] {
        let place = Place::new();
        let daemon = place.daemon(vec![script(|mut session| {
            session.turn();
            session.delta("ha");
            session.complete(&failed());
        })]);
        let ran = place.run(&args);
        assert_eq!((ran.code(), ran.stdout.as_str()), (1, "half\n"));
        let (message, next) = ran.stderr.split_once('\n').unwrap();
        assert_eq!(message, "error: could not finish: it broke off");
        assert!(next.starts_with("next: ask again"), "{next}");
        daemon.done();
    }
}

#[test]
fn a_failure_in_json_is_in_the_same_object() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.complete(&failed());
    })]);
    let ran = place.run(&["query", "--json", "x"]);
    assert_eq!((ran.code(), &ran.json()["error"]["code"]), (1, &json!("stream_interrupted")));
    assert_eq!(ran.json()["answer"], "half");
    daemon.done();
}

#[test]
fn an_end_of_a_newer_kind_is_no_success() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        session.complete(&json!({ "status": "postponed" }));
    })]);
    let ran = place.run(&["query", "x"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr.contains("newer version"), "{}", ran.stderr);
    daemon.done();
}

#[test]
fn a_daemon_that_dies_in_the_middle_leaves_the_part_and_the_doubt() {
    for args in [vec!["query", "x"], vec!["query", "--json", "x"]] {
        let place = Place::new();
        let daemon = place.daemon(vec![script(|mut session| {
            session.turn();
            session.delta("half");
        })]);
        let ran = place.run(&args);
        assert_eq!(ran.code(), 1);
        assert!(ran.stderr.contains("closed the connection"), "{}", ran.stderr);
        assert!(ran.stderr.contains("may have been charged"), "{}", ran.stderr);
        if args.len() == 2 {
            assert_eq!(ran.stdout, "half\n");
        } else {
            assert_eq!(ran.json()["error"]["code"], "outcome_unknown");
        }
        daemon.done();
    }
}
