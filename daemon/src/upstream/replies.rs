//! Replies that are one JSON document instead of a stream: Chat Completions (message and delta), a Responses object,
//! error objects. The backend answers with a stream; proxies and older gateways may not.

use std::fmt;

use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::classify::Failure;
use super::events::{Completion, ResponseHead, TokenUsage, WireUsage};

/// A JSON reply by its meaning.
#[derive(Debug)]
pub(super) enum Reply {
    /// A whole answer; the text may be empty.
    Answer { text: String, completion: Completion },
    /// A cut answer.
    Incomplete { text: String, reason: String, usage: Option<TokenUsage> },
    /// An error object.
    Failed(Box<Failure>),
    /// JSON of another shape, or no JSON.
    Unknown,
}

/// Reads a reply of unknown shape.
pub(super) fn parse(body: &[u8]) -> Reply {
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return Reply::Unknown };
    if json.get("error").is_some_and(|error| !error.is_null()) || json.get("detail").is_some() {
        return Reply::Failed(Box::new(Failure::from_json(&json).unwrap_or_default()));
    }
    if json.get("choices").is_some() {
        return serde_json::from_value::<ChatReply>(json).map_or(Reply::Unknown, ChatReply::into_reply);
    }
    // A Responses object bare, or wrapped as in `response.completed`.
    let object = match json.get("response") {
        Some(inner) if inner.is_object() => inner,
        _ => &json,
    };
    responses_object(object)
}

/// Text of the `message` items of a Responses `output` array.
pub(super) fn output_text(response: &Value) -> Option<String> {
    let items = response.get("output")?.as_array()?;
    Some(items.iter().filter_map(|item| MessageItem::deserialize(item).ok()?.into_text()).collect())
}

fn responses_object(object: &Value) -> Reply {
    let text =
        output_text(object).or_else(|| object.get("output_text").and_then(Value::as_str).map(str::to_owned));
    let Some(text) = text else { return Reply::Unknown };
    let Ok(head) = ResponseHead::deserialize(object) else { return Reply::Unknown };
    let completion = head.into_completion();
    match object.get("status").and_then(Value::as_str) {
        Some("failed" | "cancelled") => Reply::Failed(Box::default()),
        Some("incomplete" | "in_progress" | "queued") => {
            let reason = object.pointer("/incomplete_details/reason").and_then(Value::as_str);
            Reply::Incomplete {
                text,
                reason: reason.unwrap_or("unknown").to_owned(),
                usage: completion.usage,
            }
        }
        _ => Reply::Answer { text, completion },
    }
}

/// An output item; only a message has text.
#[derive(Deserialize)]
pub(super) struct MessageItem {
    r#type: Option<String>,
    #[serde(default)]
    content: Option<Content>,
}

impl MessageItem {
    /// The text of a message (a refusal is what the model said, too); `None` for another item.
    pub(super) fn into_text(self) -> Option<String> {
        (self.r#type.as_deref() == Some("message"))
            .then(|| self.content.map(Content::into_text).unwrap_or_default())
    }
}

/// A Chat Completions reply or chunk.
#[derive(Debug, Deserialize)]
pub(super) struct ChatReply {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<WireUsage>,
}

impl ChatReply {
    /// Text, finish reason and facts of the first choice; there is only one, since `n` is never sent.
    pub(super) fn into_parts(self) -> (String, Option<String>, Completion) {
        let usage = self.usage.map(TokenUsage::from);
        let completion = Completion { model: self.model, usage };
        let Some(choice) = self.choices.into_iter().next() else {
            return (String::new(), None, completion);
        };
        let text =
            choice.message.or(choice.delta).and_then(|message| message.content).map(Content::into_text);
        (text.unwrap_or_default(), choice.finish_reason, completion)
    }

    fn into_reply(self) -> Reply {
        let (text, finish_reason, completion) = self.into_parts();
        match cut_reason(finish_reason.as_deref()) {
            Some(reason) => Reply::Incomplete { text, reason: reason.to_owned(), usage: completion.usage },
            None => Reply::Answer { text, completion },
        }
    }
}

/// A Chat Completions finish reason that means a cut answer, in the words of the Responses API.
pub(super) fn cut_reason(finish_reason: Option<&str>) -> Option<&'static str> {
    match finish_reason {
        Some("length") => Some("max_output_tokens"),
        Some("content_filter") => Some("content_filter"),
        _ => None,
    }
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Option<ChatMessage>,
    delta: Option<ChatMessage>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ChatMessage {
    content: Option<Content>,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// By hand: serde's `untagged` would hold a copy of the answer while it tries.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;

        impl<'de> Visitor<'de> for Shapes {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
            }
        }

        deserializer.deserialize_any(Shapes)
    }
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

impl Content {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().filter_map(|part| part.text.or(part.refusal)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> String {
        match parse(body.as_bytes()) {
            Reply::Answer { text, .. } => text,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn every_known_shape_gives_its_text() {
        for body in [
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"delta":{"content":"hi"}}]}"#,
            r#"{"choices":[{"message":{"content":[{"type":"text","text":"h"},{"type":"text","text":"i"}]}}]}"#,
            r#"{"id":"r","object":"response","status":"completed","error":null,"output":[{"type":"reasoning","summary":[]},
                {"type":"message","content":[{"type":"output_text","text":"hi"}]}]}"#,
            r#"{"response":{"id":"r","output":[{"type":"message","content":[{"type":"refusal","refusal":"hi"}]}]}}"#,
            r#"{"output_text":"hi"}"#,
        ] {
            assert_eq!(answer(body), "hi", "{body}");
        }
    }

    #[test]
    fn usage_of_both_dialects_is_read() {
        let chat = r#"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":10,"completion_tokens":50,
            "total_tokens":60,"prompt_tokens_details":{"cached_tokens":3}}}"#;
        let Reply::Answer { completion, .. } = parse(chat.as_bytes()) else { panic!("an answer") };
        let usage = TokenUsage { input: 10, cached: 3, output: 50, reasoning: 0, total: 60 };
        assert_eq!(completion.usage, Some(usage));
    }

    #[test]
    fn errors_cuts_and_strangers_are_told_apart() {
        for body in [
            r#"{"error":{"message":"m"}}"#,
            r#"{"error":"m"}"#,
            r#"{"detail":"m"}"#,
            r#"{"status":"failed","output":[],"error":{"code":"server_error","message":"m"}}"#,
        ] {
            assert!(matches!(parse(body.as_bytes()), Reply::Failed(_)), "{body}");
        }
        for body in [
            r#"{"choices":[{"message":{"content":"x"},"finish_reason":"length"}]}"#,
            r#"{"status":"incomplete","output":[],"incomplete_details":{"reason":"max_output_tokens"}}"#,
        ] {
            let Reply::Incomplete { reason, .. } = parse(body.as_bytes()) else { panic!("{body}") };
            assert_eq!(reason, "max_output_tokens");
        }
        for body in ["", "null", "[]", "{}", r#"{"ok":true}"#, "<html>", r#"{"choices":7}"#] {
            assert!(matches!(parse(body.as_bytes()), Reply::Unknown), "{body}");
        }
    }
}
