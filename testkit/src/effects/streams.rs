//! Named effects on an answer stream (WIRE §8.3), and bodies that are no such stream.

use serde_json::json;

use crate::script::{Action, Effect, StreamError, StreamFault};

impl Effect {
    /// A stream with this fault.
    pub fn stream(fault: StreamFault) -> Self {
        Action::Stream { fault, pace: None }.into()
    }

    /// The connection is aborted after so many events.
    pub fn cut_after(after_events: u64) -> Self {
        Self::stream(StreamFault::Cut { after_events })
    }

    /// Silence for ever after so many events.
    pub fn stall_after(after_events: u64) -> Self {
        Self::stream(StreamFault::Stall { after_events })
    }

    /// Silence after so many events until the release of `gate`.
    pub fn hold_after(after_events: u64, gate: &str) -> Self {
        Self::stream(StreamFault::Hold { after_events, gate: gate.to_owned() })
    }

    /// A clean end without a terminal event after so many events.
    pub fn end_after(after_events: u64) -> Self {
        Self::stream(StreamFault::End { after_events })
    }

    /// `response.failed` right after `response.in_progress`.
    pub fn failed(code: &str, message: &str) -> Self {
        let error =
            StreamError { code: code.to_owned(), message: message.to_owned(), ..StreamError::default() };
        Self::stream(StreamFault::Failed { after_events: 2, error })
    }

    /// `context_length_exceeded`: not retried.
    pub fn context_length_exceeded() -> Self {
        Self::failed(
            "context_length_exceeded",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        )
    }

    /// `insufficient_quota`: not retried.
    pub fn insufficient_quota() -> Self {
        Self::failed("insufficient_quota", "You exceeded your current quota, please check your plan.")
    }

    /// `usage_not_included` in the stream: not retried.
    pub fn usage_not_included_in_stream() -> Self {
        Self::failed("usage_not_included", "Usage of Codex is not included in your plan.")
    }

    /// `invalid_prompt`: not retried; clients show the message.
    pub fn invalid_prompt(message: &str) -> Self {
        Self::failed("invalid_prompt", message)
    }

    /// `bio_policy`: not retried; clients show the message.
    pub fn bio_policy(message: &str) -> Self {
        Self::failed("bio_policy", message)
    }

    /// `cyber_policy` in the stream: not retried.
    pub fn cyber_policy(message: &str) -> Self {
        Self::failed("cyber_policy", message)
    }

    /// `misalignment_policy_violation`: not retried.
    pub fn misalignment_policy_violation(message: &str) -> Self {
        Self::failed("misalignment_policy_violation", message)
    }

    /// `server_is_overloaded` in the stream: not retried by the official client.
    pub fn overloaded_in_stream() -> Self {
        Self::failed("server_is_overloaded", "Our servers are currently overloaded. Please try again later.")
    }

    /// `slow_down` in the stream.
    pub fn slow_down() -> Self {
        Self::failed("slow_down", "Please slow down.")
    }

    /// `rate_limit_exceeded`, whose message says when to try again.
    pub fn rate_limit_exceeded(try_again_in_seconds: f64) -> Self {
        let message = format!("Rate limit reached. Please try again in {try_again_in_seconds}s.");
        Self::failed("rate_limit_exceeded", &message)
    }

    /// `usage_limit_reached` inside a stream.
    pub fn usage_limit_in_stream(plan: &str, resets_at: i64) -> Self {
        let error = StreamError {
            code: "usage_limit_reached".to_owned(),
            message: "The usage limit has been reached".to_owned(),
            kind: Some("usage_limit_reached".to_owned()),
            plan_type: Some(plan.to_owned()),
            resets_at: Some(resets_at),
        };
        Self::stream(StreamFault::Failed { after_events: 2, error })
    }

    /// `server_error`: any code that clients do not know.
    pub fn server_error(message: &str) -> Self {
        Self::failed("server_error", message)
    }

    /// `response.incomplete` after all the text; `max_output_tokens` and `content_filter` are known reasons.
    pub fn incomplete(reason: &str) -> Self {
        Self::stream(StreamFault::Incomplete { reason: reason.to_owned() })
    }

    /// An `error` event right after `response.created`.
    pub fn error_event(code: &str, message: &str) -> Self {
        let error =
            StreamError { code: code.to_owned(), message: message.to_owned(), ..StreamError::default() };
        Self::stream(StreamFault::Error { error })
    }

    /// Completed, and no text.
    pub fn empty_answer() -> Self {
        Self::stream(StreamFault::Empty)
    }

    /// A JSON Chat Completions message instead of a stream.
    pub fn chat_completion(text: &str) -> Self {
        Self::respond(
            200,
            json!({"id": "chatcmpl-FAKE", "object": "chat.completion", "model": "fake", "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}),
        )
    }

    /// A stream of Chat Completions deltas instead of Responses events.
    pub fn chat_completion_stream(pieces: &[&str]) -> Self {
        let mut body = String::new();
        for piece in pieces {
            let chunk = json!({"id": "chatcmpl-FAKE", "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": piece}}]});
            body = format!("{body}data: {chunk}\n\n");
        }
        body.push_str("data: [DONE]\n\n");
        Self::respond(200, json!(body)).header("content-type", "text/event-stream")
    }

    /// 200 with an event stream's type and a body that is nothing known.
    pub fn junk() -> Self {
        Self::respond(200, json!("%!junk\u{fffd}\n\ndata: {\"type\": oops\n\n:\n\n<<<>>>"))
            .header("content-type", "text/event-stream")
    }
}
