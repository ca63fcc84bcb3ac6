//! `answers`.

use serde_json::{Value, json};

use crate::rig::{Place, replies};

fn kept(id: &str, answer: Option<&str>, error: &Value) -> Value {
    json!({ "endedAt": 0, "outcome": {
        "turnId": id, "status": if error.is_null() { "completed" } else { "failed" }, "answer": answer, "error": error,
        "model": "gpt-5.5", "effort": null, "usage": null, "durationMs": 7, "summary": null,
    } })
}

fn lost() -> Value {
    json!({ "code": "stream_interrupted", "origin": "upstream", "retry": { "kind": "unknown" },
        "message": "could not read the answer: it broke off" })
}

#[test]
fn the_list_shows_how_each_begins_or_why_it_failed() {
    let place = Place::new();
    let turns = json!({ "turns": [kept("bbbbbbbbbbbb", Some("one\n  two"), &Value::Null), kept("aaaaaaaaaaaa", None, &lost())] });
    let daemon = place.daemon(replies(vec![("turn/list", turns)]));
    let ran = place.run(&["answers"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].starts_with("bbbbbbbbbbbb  ") && lines[0].ends_with("  gpt-5.5       one two"),
        "{}",
        ran.stdout
    );
    assert!(lines[1].contains("failed: could not read the answer"), "{}", ran.stdout);
    assert_eq!((ran.code(), lines.len(), ran.stderr.as_str()), (0, 2, ""));
    daemon.done();

    let place = Place::new();
    let daemon = place.daemon(replies(vec![("turn/list", json!({ "turns": [] }))]));
    let ran = place.run(&["answers"]);
    assert_eq!(
        (ran.code(), ran.stderr.as_str()),
        (0, "note: no answer is kept now; each is kept for ten minutes\n")
    );
    daemon.done();
}

#[test]
fn one_is_printed_whole_and_the_last_one_without_its_name() {
    let whole = kept("bbbbbbbbbbbb", Some("the whole answer"), &Value::Null);
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("turn/read", whole.clone())]));
    let ran = place.run(&["answers", "bbbbbbbbbbbb"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "the whole answer\n"));
    daemon.done();

    let place = Place::new();
    let list = json!({ "turns": [kept("bbbbbbbbbbbb", Some("the wh"), &Value::Null)] });
    let daemon = place.daemon(replies(vec![("turn/list", list), ("turn/read", whole)]));
    let ran = place.run(&["answers", "last"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "the whole answer\n"));
    daemon.done();
}

#[test]
fn a_part_of_an_answer_is_printed_before_the_reason() {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("turn/read", kept("aaaaaaaaaaaa", Some("a part"), &lost()))]));
    let ran = place.run(&["answers", "aaaaaaaaaaaa"]);
    assert_eq!(ran.stdout, "a part\n");
    assert!(ran.code() != 0 && ran.stderr.starts_with("error: could not read the answer"), "{}", ran.stderr);
    daemon.done();
}
