//! What the upstream answers: a Responses stream, written down once before anything is measured.
//!
//! The order of events is WIRE §8.2's. A small answer is 16 events and 5.7 kB; a big one 20,008 events and 6 MB.

use std::fmt::Write as _;

/// Bytes of one HTTP chunk and most of one write, as of a TLS record (RFC 8446 §5.1): a server that streams does not write 6 MB
/// at once.
pub(crate) const CHUNK_BYTES: usize = 16 * 1024;

/// Deltas of the small answer.
const SMALL: usize = 8;

/// Deltas of the big answer.
const BIG: usize = 20_000;

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its text.
    pub(crate) text: String,
    /// Its bytes on the wire: head and chunked body (RFC 9112 §7.1).
    pub(crate) wire: Vec<u8>,
}

impl Answer {
    /// The answer to an ordinary question.
    pub(crate) fn small() -> Self {
        Self::of(SMALL)
    }

    /// One as long as anybody waits for.
    pub(crate) fn big() -> Self {
        Self::of(BIG)
    }

    fn of(deltas: usize) -> Self {
        let (text, events) = stream(deltas);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
                    x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut wire = head.as_bytes().to_vec();
        for chunk in events.as_bytes().chunks(CHUNK_BYTES) {
            wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        Self { text, wire }
    }
}

/// The text and the events of an answer.
fn stream(deltas: usize) -> (String, String) {
    let pieces: Vec<String> = (0..deltas).map(|n| format!("w{n:06} ")).collect();
    let text = pieces.concat();
    let events = events(&pieces, &text);
    (text, events)
}

fn events(pieces: &[String], text: &str) -> String {
    const ITEM: &str = "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef";
    let mut out = String::new();
    let mut number = 0;
    let mut event = |kind: &str, rest: &str| {
        // Writing to a string cannot fail.
        let _never = write!(
            out,
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},{rest}}}\n\n"
        );
        number += 1;
    };
    let response = |status: &str, output: &str, usage: &str| {
        format!(
            "\"response\":{{\"id\":\"resp_0a1b2c3d4e5f60718293a4b5c6d7e8f9\",\"object\":\"response\",\"created_at\":1795000000,\
             \"status\":\"{status}\",\"background\":false,\"error\":null,\"incomplete_details\":null,\"instructions\":null,\
             \"max_output_tokens\":null,\"model\":\"gpt-6.1-sol\",\"output\":[{output}],\"parallel_tool_calls\":true,\
             \"previous_response_id\":null,\"reasoning\":{{\"effort\":\"low\",\"summary\":null}},\"store\":false,\
             \"temperature\":1.0,\"text\":{{\"format\":{{\"type\":\"text\"}}}},\"tool_choice\":\"auto\",\"tools\":[],\
             \"top_p\":1.0,\"truncation\":\"disabled\",\"usage\":{usage},\"metadata\":{{}}}}"
        )
    };
    let part = |text: &str| {
        format!("{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"{text}\"}}")
    };
    let item = |status: &str, content: &str| {
        format!(
            "{{\"id\":\"{ITEM}\",\"type\":\"message\",\"status\":\"{status}\",\"content\":[{content}],\"role\":\"assistant\"}}"
        )
    };
    let at = format!("\"item_id\":\"{ITEM}\",\"output_index\":0,\"content_index\":0");
    let done = item("completed", &part(text));
    let usage = "{\"input_tokens\":20,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":8,\
                 \"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":28}";
    event("response.created", &response("in_progress", "", "null"));
    event("response.in_progress", &response("in_progress", "", "null"));
    event("response.output_item.added", &format!("\"output_index\":0,\"item\":{}", item("in_progress", "")));
    event("response.content_part.added", &format!("{at},\"part\":{}", part("")));
    for piece in pieces {
        event(
            "response.output_text.delta",
            &format!("{at},\"delta\":\"{piece}\",\"logprobs\":[],\"obfuscation\":\"aB3dE6gH\""),
        );
    }
    event("response.output_text.done", &format!("{at},\"text\":\"{text}\",\"logprobs\":[]"));
    event("response.content_part.done", &format!("{at},\"part\":{}", part(text)));
    event("response.output_item.done", &format!("\"output_index\":0,\"item\":{done}"));
    event("response.completed", &response("completed", &done, usage));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_of_the_sizes_that_the_documentation_names() {
        let ((_, small), (_, big)) = (stream(SMALL), stream(BIG));
        assert_eq!((small.matches("event: ").count(), big.matches("event: ").count()), (16, 20_008));
        assert!((5_000..6_400).contains(&small.len()), "{}", small.len());
        assert!((5_800_000..6_400_000).contains(&big.len()), "{}", big.len());
    }

    #[test]
    fn every_event_is_json_and_the_end_of_the_body_stands_nowhere_else() {
        let answer = Answer::small();
        let text = String::from_utf8(answer.wire).unwrap();
        let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        for json in &data {
            serde_json::from_str::<serde_json::Value>(json).unwrap();
        }
        assert_eq!(data.len(), 16);
        assert_eq!(text.matches("\r\n0\r\n\r\n").count(), 1);
    }
}
