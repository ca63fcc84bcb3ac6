//! One server-sent event to its meaning. The event's name is looked at first and only what is used is decoded, text
//! borrowed from the event: an answer is 20,000 deltas. Without an `event:` line the JSON `type` is the name.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;

use super::classify::Failure;
use super::glance;
use super::rate_limits::RateLimitEvent;
use super::replies::{ChatReply, MessageItem};
use super::sse::SseEvent;

static REASONING: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("reasoning"));

static EMPTY_CONTENT: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(br#""content":[]"#));

/// What an event means for the answer.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// A piece of the answer, for display; [`Event::Message`] repeats it.
    TextDelta(Cow<'a, str>),
    /// The model is thinking.
    Reasoning,
    /// Something was generated that is neither text nor reasoning.
    Generated,
    /// A finished message: its real text.
    Message(String),
    /// The turn was accepted; nothing is generated yet.
    Created,
    /// Success.
    Completed(Box<Completion>),
    /// The turn failed.
    Failed(Box<Failure>),
    /// The turn ended early.
    Incomplete { reason: String, usage: Option<TokenUsage> },
    /// Rate limits inside the stream.
    RateLimits(Box<RateLimitEvent>),
    /// The model list has changed (WIRE §8.2 `codex.response.metadata`).
    ModelsEtag(String),
    /// A Chat Completions chunk.
    Chat(Box<ChatReply>),
    /// `[DONE]`, the end of a Chat Completions stream.
    ChatDone,
    /// Known to be irrelevant, or not known.
    Ignored,
    /// No JSON, or without what its type needs.
    Unparsable,
}

/// Tokens of a turn (WIRE §8.2 `response.completed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Prompt tokens.
    pub input: u64,
    /// Of these, read from the cache.
    pub cached: u64,
    /// Generated tokens.
    pub output: u64,
    /// Of these, reasoning.
    pub reasoning: u64,
    /// As the backend counts it.
    pub total: u64,
}

/// `response.completed`.
#[derive(Debug, Default)]
pub(super) struct Completion {
    pub(super) model: Option<String>,
    pub(super) usage: Option<TokenUsage>,
}

/// Decodes one event.
pub(super) fn decode(event: SseEvent<'_>) -> Event<'_> {
    if event.data == b"[DONE]" {
        return Event::ChatDone;
    }
    if is_known(event.name) {
        return by_name(event.name, event.data);
    }
    let Ok(head) = read::<Head<'_>>(event.data) else { return Event::Unparsable };
    match head.r#type {
        Some(name) => by_name(name.as_bytes(), event.data),
        None => untyped(event.data),
    }
}

/// Names that say what the data is; any other (`message`, a proxy's own) leaves it to the JSON.
fn is_known(name: &[u8]) -> bool {
    name.starts_with(b"response.") || name.starts_with(b"codex.") || name == b"error"
}

fn by_name<'a>(name: &[u8], data: &'a [u8]) -> Event<'a> {
    match name {
        b"response.output_text.delta" | b"response.refusal.delta" => match glance::delta(data) {
            Some(text) => Event::TextDelta(Cow::Borrowed(text)),
            None => or_unparsable(read(data).map(|Delta { delta }| Event::TextDelta(delta))),
        },
        b"response.output_item.done" => {
            or_unparsable(read(data).map(|Item { item }| match item.into_text() {
                Some(text) => Event::Message(text),
                None => Event::Generated,
            }))
        }
        // Its parts follow one by one.
        b"response.output_item.added" if EMPTY_CONTENT.find(data).is_some() => Event::Ignored,
        b"response.output_item.added" => {
            or_unparsable(read(data).map(|Item { item }| match item.into_text() {
                Some(text) if !text.is_empty() => Event::Generated,
                _ => Event::Ignored,
            }))
        }
        b"response.created" => Event::Created,
        // Repeat what the deltas said, or announce them.
        b"response.in_progress"
        | b"response.content_part.added"
        | b"response.content_part.done"
        | b"response.output_text.done" => Event::Ignored,
        b"response.completed" | b"response.done" => or_unparsable(
            read(data)
                .map(|WithResponse { response }| Event::Completed(Box::new(response.into_completion()))),
        ),
        b"response.incomplete" => or_unparsable(read(data).map(|WithResponse { response }| {
            Event::Incomplete {
                reason: response
                    .incomplete_details
                    .and_then(|details| details.reason)
                    .unwrap_or_else(|| "unknown".to_owned()),
                usage: response.usage.map(TokenUsage::from),
            }
        })),
        b"response.failed" | b"error" => failure(data),
        b"codex.rate_limits" => or_unparsable(read(data).map(|limits| Event::RateLimits(Box::new(limits)))),
        b"codex.response.metadata" | b"response.metadata" => metadata(data),
        _ if REASONING.find(name).is_some() => Event::Reasoning,
        _ if name.ends_with(b".delta") => Event::Generated,
        _ => Event::Ignored,
    }
}

/// The JSON in `data`. Whether it is UTF-8 is asked once, of all of it, and not of each string.
fn read<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(data) {
        Ok(text) => serde_json::from_str(text),
        // In a string that nobody reads it does no harm.
        Err(_) => serde_json::from_slice(data),
    }
}

fn or_unparsable(decoded: Result<Event<'_>, serde_json::Error>) -> Event<'_> {
    decoded.unwrap_or(Event::Unparsable)
}

fn failure<'a>(data: &[u8]) -> Event<'a> {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return Event::Unparsable };
    // A failure without a reason is still a failure.
    Event::Failed(Box::new(Failure::from_json(&json).unwrap_or_default()))
}

fn metadata<'a>(data: &[u8]) -> Event<'a> {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return Event::Unparsable };
    match json.pointer("/headers/x-models-etag").and_then(Value::as_str) {
        Some(etag) => Event::ModelsEtag(etag.to_owned()),
        None => Event::Ignored,
    }
}

/// JSON without a `type`: a Chat Completions chunk or an error object.
fn untyped<'a>(data: &[u8]) -> Event<'a> {
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return Event::Unparsable };
    if json.get("choices").is_some() {
        return serde_json::from_value(json).map_or(Event::Unparsable, |chunk| Event::Chat(Box::new(chunk)));
    }
    match Failure::from_json(&json) {
        Some(failure) => Event::Failed(Box::new(failure)),
        None => Event::Ignored,
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    delta: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Item {
    item: MessageItem,
}

#[derive(Deserialize)]
struct WithResponse {
    response: ResponseHead,
}

/// A `response` object without its `output`, which repeats the whole answer.
#[derive(Deserialize)]
pub(super) struct ResponseHead {
    model: Option<String>,
    usage: Option<WireUsage>,
    incomplete_details: Option<IncompleteDetails>,
}

impl ResponseHead {
    pub(super) fn into_completion(self) -> Completion {
        Completion { model: self.model, usage: self.usage.map(TokenUsage::from) }
    }
}

#[derive(Deserialize)]
struct IncompleteDetails {
    reason: Option<String>,
}

/// Both dialects: Responses (`input_tokens`) and Chat Completions (`prompt_tokens`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireUsage {
    #[serde(alias = "prompt_tokens")]
    input_tokens: u64,
    #[serde(alias = "prompt_tokens_details")]
    input_tokens_details: Option<InputDetails>,
    #[serde(alias = "completion_tokens")]
    output_tokens: u64,
    #[serde(alias = "completion_tokens_details")]
    output_tokens_details: Option<OutputDetails>,
    total_tokens: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<WireUsage> for TokenUsage {
    fn from(wire: WireUsage) -> Self {
        Self {
            input: wire.input_tokens,
            cached: wire.input_tokens_details.unwrap_or_default().cached_tokens,
            output: wire.output_tokens,
            reasoning: wire.output_tokens_details.unwrap_or_default().reasoning_tokens,
            total: wire.total_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(name: &'a str, data: &'a str) -> Event<'a> {
        decode(SseEvent { name: name.as_bytes(), data: data.as_bytes() })
    }

    #[test]
    fn a_plain_delta_is_borrowed_and_an_escaped_one_is_decoded() {
        let plain = r#"{"type":"response.output_text.delta","item_id":"m","delta":"hello"}"#;
        assert!(matches!(of("response.output_text.delta", plain), Event::TextDelta(Cow::Borrowed("hello"))));
        let escaped = r#"{"delta":"a\n\"ü\ud83d\ude00"}"#;
        let Event::TextDelta(text) = of("response.output_text.delta", escaped) else { panic!("a delta") };
        assert_eq!(text, "a\n\"ü\u{1F600}");
    }

    #[test]
    fn without_an_event_line_or_with_a_strange_one_the_json_type_counts() {
        let delta = r#"{"type":"response.output_text.delta","delta":"x"}"#;
        for name in ["", "message", "proxy"] {
            assert!(matches!(of(name, delta), Event::TextDelta(_)), "{name}");
        }
    }

    #[test]
    fn every_event_of_the_table_has_its_meaning() {
        let message = r#"{"item":{"type":"message","role":"assistant","content":[
            {"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]}}"#;
        let Event::Message(text) = of("response.output_item.done", message) else { panic!("a message") };
        assert_eq!(text, "ab");
        let empty = r#"{"item":{"type":"message","role":"assistant","content":[]}}"#;
        assert!(matches!(of("response.output_item.added", empty), Event::Ignored));
        assert!(matches!(of("response.output_item.added", message), Event::Generated));
        let thought = r#"{"item":{"type":"reasoning","summary":[],"encrypted_content":"x"}}"#;
        assert!(matches!(of("response.output_item.added", thought), Event::Ignored));
        assert!(matches!(of("response.output_item.done", thought), Event::Generated));
        for name in [
            "response.reasoning_summary_text.delta",
            "response.reasoning_text.delta",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.done",
        ] {
            assert!(matches!(of(name, "{}"), Event::Reasoning), "{name}");
        }
        assert!(matches!(of("response.custom_tool_call_input.delta", "{}"), Event::Generated));
        for name in [
            "response.in_progress",
            "response.output_text.done",
            "response.content_part.added",
            "response.new",
        ] {
            assert!(matches!(of(name, "{}"), Event::Ignored), "{name}");
        }
        assert!(matches!(of("response.created", "{}"), Event::Created));
        let incomplete = r#"{"response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#;
        let Event::Incomplete { reason, .. } = of("response.incomplete", incomplete) else {
            panic!("incomplete")
        };
        assert_eq!(reason, "max_output_tokens");
        assert!(matches!(of("codex.rate_limits", r#"{"rate_limits":{}}"#), Event::RateLimits(_)));
        let metadata = r#"{"headers":{"x-models-etag":"e2"}}"#;
        assert!(matches!(of("codex.response.metadata", metadata), Event::ModelsEtag(_)));
    }

    #[test]
    fn usage_is_read_from_completed_without_its_output() {
        let data = r#"{"response":{"id":"r1","model":"m","output":[{"type":"message","content":[]}],
            "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,
            "output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}}}"#;
        let Event::Completed(done) = of("response.completed", data) else { panic!("completed") };
        let usage = TokenUsage { input: 10, cached: 4, output: 5, reasoning: 2, total: 15 };
        assert_eq!((done.model.as_deref(), done.usage), (Some("m"), Some(usage)));
    }

    #[test]
    fn chat_chunks_done_and_error_objects_are_understood() {
        assert!(matches!(of("", r#"{"choices":[{"delta":{"content":"x"}}]}"#), Event::Chat(_)));
        assert!(matches!(of("", "[DONE]"), Event::ChatDone));
        assert!(matches!(of("", r#"{"error":{"message":"m"}}"#), Event::Failed(_)));
        assert!(matches!(of("error", r#"{"type":"error","message":"m"}"#), Event::Failed(_)));
        assert!(matches!(of("response.failed", "{}"), Event::Failed(_)));
    }

    #[test]
    fn broken_data_is_unparsable_not_a_failure() {
        for (name, data) in [
            ("", "not json"),
            ("response.output_text.delta", r#"{"delta":7}"#),
            ("response.completed", r#"{"id":"x"}"#),
            ("response.output_item.done", "{"),
            ("response.failed", "{"),
            ("", "[1]"),
        ] {
            assert!(matches!(of(name, data), Event::Unparsable), "{name} {data}");
        }
    }
}
