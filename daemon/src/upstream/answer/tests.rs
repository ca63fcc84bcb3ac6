//! Whole bodies, fed at once and in pieces.

use super::*;

const CREATED: &str =
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\"}}\n\n";
const COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3}}}\n\n";

fn delta(text: &str) -> String {
    let data = serde_json::json!({"type": "response.output_text.delta", "item_id": "m1", "delta": text});
    format!("event: response.output_text.delta\ndata: {data}\n\n")
}

fn done(text: &str) -> String {
    let data = serde_json::json!({"type": "response.output_item.done",
        "item": {"type": "message", "content": [{"type": "output_text", "text": text}]}});
    format!("event: response.output_item.done\ndata: {data}\n\n")
}

/// Feeds `body` in pieces of `size` bytes and then ends it.
fn run(body: &str, size: usize) -> (Answer, End, String) {
    let mut answer = Answer::default();
    let mut shown = String::new();
    for chunk in body.as_bytes().chunks(size) {
        let fed = answer.feed(chunk);
        shown.push_str(&fed.text);
        if let Some(end) = fed.end {
            return (answer, end, shown);
        }
    }
    let end = answer.finish().end.expect("a finished answer has an end");
    (answer, end, shown)
}

fn outcome(body: &str) -> (String, End) {
    let (mut whole, end, shown) = run(body, body.len().max(1));
    let text = whole.take_text();
    let (mut bytewise, other_end, other_shown) = run(body, 1);
    assert_eq!(bytewise.take_text(), text, "{body}");
    assert_eq!(format!("{other_end:?}"), format!("{end:?}"), "{body}");
    assert_eq!(other_shown, shown, "{body}");
    assert_eq!((bytewise.events, bytewise.unparsable), (whole.events, whole.unparsable));
    (text, end)
}

fn failed(end: &End) -> &ErrorKind {
    match end {
        End::Failed(kind, _) => kind,
        End::Completed => panic!("completed"),
    }
}

#[test]
fn the_text_is_that_of_the_finished_messages() {
    let body =
        format!("{CREATED}{}{}{}{}{COMPLETED}", delta("he"), delta("llx"), done("hello"), done(" world"));
    let (text, end) = outcome(&body);
    assert_eq!(text, "hello world");
    assert!(matches!(end, End::Completed));
}

#[test]
fn deltas_stand_in_for_a_message_that_never_finished() {
    let (text, end) = outcome(&format!("{CREATED}{}{}{COMPLETED}", delta("he"), delta("llo")));
    assert_eq!(text, "hello");
    assert!(matches!(end, End::Completed));
}

#[test]
fn usage_comes_from_completed() {
    let (answer, _, _) = run(&format!("{CREATED}{}{COMPLETED}", done("x")), 7);
    assert_eq!(answer.completion.usage.expect("usage").total, 3);
}

#[test]
fn a_stream_without_a_terminal_event_is_interrupted_and_keeps_its_text() {
    let body = format!("{CREATED}{}{}", done("one "), delta("two"));
    let (text, end) = outcome(&body);
    assert_eq!(text, "one two");
    assert_eq!(failed(&end), &ErrorKind::Interrupted { events: 3, bytes: body.len() as u64 });
}

#[test]
fn created_alone_is_not_generated_but_thinking_is() {
    let (answer, ..) = run(CREATED, 9);
    assert!(!answer.generated);
    let thinking =
        "event: response.reasoning_summary_text.delta\ndata: {\"delta\":\"hm\",\"summary_index\":0}\n\n";
    let (answer, ..) = run(&format!("{CREATED}{thinking}"), 9);
    assert!(answer.generated);
}

#[test]
fn what_follows_the_terminal_event_is_not_read() {
    let (text, end) = outcome(&format!("{}{COMPLETED}{}", done("a"), done("b")));
    assert_eq!(text, "a");
    assert!(matches!(end, End::Completed));
}

#[test]
fn broken_events_are_skipped_and_counted() {
    let (answer, end, _) = run(&format!("{CREATED}data: {{nonsense\n\n{}{COMPLETED}", done("a")), 5);
    assert!(matches!(end, End::Completed));
    assert_eq!(answer.unparsable, 1);
}

#[test]
fn completed_without_any_text_is_an_empty_answer_unless_it_repeats_the_output() {
    let (_, end) = outcome(&format!("{CREATED}{COMPLETED}"));
    assert_eq!(failed(&end), &ErrorKind::EmptyAnswer);
    let full = r#"{"type":"response.completed","response":{"id":"r","output":[{"type":"message","content":[{"type":"output_text","text":"late"}]}]}}"#;
    let (text, end) = outcome(&format!("{CREATED}data: {full}\n\n"));
    assert_eq!(text, "late");
    assert!(matches!(end, End::Completed));
}

#[test]
fn failed_incomplete_and_error_end_the_stream_with_their_kind() {
    let failure =
        r#"{"type":"response.failed","response":{"error":{"code":"context_length_exceeded","message":"m"}}}"#;
    let (_, end) = outcome(&format!("{CREATED}data: {failure}\n\n"));
    assert_eq!(failed(&end), &ErrorKind::ContextLength);
    let cut =
        r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#;
    let (text, end) = outcome(&format!("{CREATED}{}data: {cut}\n\n", delta("half")));
    assert_eq!(
        (text.as_str(), failed(&end)),
        ("half", &ErrorKind::Incomplete { reason: "max_output_tokens".into() })
    );
    let (_, end) =
        outcome("event: error\ndata: {\"type\":\"error\",\"code\":\"slow_down\",\"message\":\"m\"}\n\n");
    assert!(matches!(end, End::Failed(ErrorKind::RateLimited { .. }, Retry::Safe)));
}

#[test]
fn chat_completions_streams_are_read_to_done_or_to_their_finish_reason() {
    let chunks = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"he\"}}]}\n\n\
                  data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"llo\"}}]}\n\n";
    let finish = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    for body in [format!("{chunks}{finish}data: [DONE]\n\n"), format!("{chunks}{finish}")] {
        let (text, end) = outcome(&body);
        assert_eq!(text, "hello");
        assert!(matches!(end, End::Completed), "{body}");
    }
    let (_, end) = outcome(chunks);
    assert!(matches!(failed(&end), ErrorKind::Interrupted { .. }));
}

#[test]
fn json_replies_and_empty_bodies_are_understood() {
    let (text, end) = outcome("\n {\"choices\":[{\"message\":{\"content\":\"hi\"}}]}");
    assert_eq!(text, "hi");
    assert!(matches!(end, End::Completed));
    assert_eq!(failed(&outcome("").1), &ErrorKind::EmptyAnswer);
    assert_eq!(failed(&outcome("  \r\n").1), &ErrorKind::EmptyAnswer);
    assert_eq!(failed(&outcome("<html>hello</html>").1), &ErrorKind::Unparsable);
    assert_eq!(failed(&outcome("plain words").1), &ErrorKind::Unparsable);
    let (_, end) = outcome("{\"error\":{\"code\":\"server_error\",\"message\":\"m\"}}");
    assert!(matches!(end, End::Failed(ErrorKind::Failed { .. }, Retry::Safe)));
}

#[test]
fn an_answer_above_its_bound_is_cut_there_and_says_so() {
    let piece = delta(&"é".repeat(512 * 1024));
    let mut answer = Answer::default();
    let end = (0..9).find_map(|_| answer.feed(piece.as_bytes()).end).expect("an end");
    assert_eq!(failed(&end), &ErrorKind::TooLarge { limit_bytes: MAX_ANSWER_BYTES });
    assert_eq!(answer.take_text().len(), MAX_ANSWER_BYTES);
}

#[test]
fn all_deltas_of_a_chunk_are_one_text_and_many_deltas_are_cheap() {
    let mut body = CREATED.to_owned();
    for _ in 0..20_000 {
        body.push_str(&delta(&"x".repeat(300)));
    }
    let started = std::time::Instant::now();
    let mut answer = Answer::default();
    let pieces =
        body.as_bytes().chunks(16 * 1024).filter(|chunk| !answer.feed(chunk).text.is_empty()).count();
    let took = started.elapsed();
    assert_eq!(answer.take_text().len(), 6_000_000);
    assert!(pieces <= body.len().div_ceil(16 * 1024));
    // Loose enough for an unoptimised build on a busy machine (measured there: 0.17 s); rescanning or copying the answer
    // once per delta takes minutes.
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
}
