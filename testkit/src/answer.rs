//! What the fake model says: a deterministic function of the request, so that tests can tell answers apart.
//!
//! The answer to a prompt is `FAKE answer <hash> to: <prompt>`, where the hash is that of the last user text and the
//! echo is cut after [`ECHO_CHARS`]. Directives in the last user text change that: `[[say TEXT]]` answers exactly
//! TEXT, `[[repeat N K]]` answers N deltas of K bytes each, `[[pace MS]]` waits that long before each delta.

use std::iter;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::script::StreamError;
use crate::text::{random_hex, short_hash, unix_now};

/// Most characters of the prompt that are echoed.
pub(crate) const ECHO_CHARS: usize = 4_000;

/// Most bytes of a `[[repeat]]`: the text is held whole for the closing events.
const MAX_REPEAT_BYTES: usize = 64 * 1024 * 1024;

/// Deltas of an ordinary answer.
const DELTAS: usize = 6;

/// Bytes that count as a token.
const BYTES_PER_TOKEN: usize = 4;

/// One answer, before it is put into events.
#[derive(Debug)]
pub(crate) struct Answer {
    response_id: String,
    created_at: i64,
    model: String,
    effort: Option<String>,
    encrypted: bool,
    prompt_cache_key: Value,
    service_tier: Value,
    input_bytes: usize,
    text: Text,
    pub(crate) pace_ms: u64,
}

#[derive(Debug)]
enum Text {
    Plain(String),
    Repeat { count: usize, size: usize },
}

impl Answer {
    /// The answer to an acceptable request body.
    pub(crate) fn to(body: &Map<String, Value>) -> Self {
        let input = body.get("input").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let prompt = last_user_text(input);
        let get = |name: &str| body.get(name).unwrap_or(&Value::Null);
        let effort = get("reasoning")["effort"].as_str().filter(|&effort| effort != "none");
        Self {
            response_id: format!("resp_FAKE{}", random_hex(12)),
            created_at: unix_now(),
            model: get("model").as_str().unwrap_or_default().to_owned(),
            effort: effort.map(str::to_owned),
            encrypted: get("include")
                .as_array()
                .is_some_and(|all| all.contains(&json!("reasoning.encrypted_content"))),
            prompt_cache_key: get("prompt_cache_key").clone(),
            service_tier: get("service_tier").clone(),
            input_bytes: get("input").to_string().len() + get("instructions").to_string().len(),
            text: Text::answering(&prompt),
            pace_ms: directive(&prompt, "pace").and_then(|ms| ms.trim().parse().ok()).unwrap_or(0),
        }
    }

    /// All events of a whole reply in the order of WIRE §8.2, without their numbers.
    pub(crate) fn events(self: &Arc<Self>) -> Box<dyn Iterator<Item = Value> + Send> {
        let opening = {
            let answer = Arc::clone(self);
            ["response.created", "response.in_progress"].into_iter().map(
                move |kind| json!({"type": kind, "response": answer.response("in_progress", &json!([]))}),
            )
        };
        let closing = {
            let answer = Arc::clone(self);
            iter::once_with(move || {
                let output: Vec<Value> =
                    answer.reasoning_item().into_iter().chain([answer.message("completed")]).collect();
                json!({"type": "response.completed", "response": answer.response("completed", &json!(output))})
            })
        };
        Box::new(opening.chain(self.reasoning_events()).chain(self.message_events()).chain(closing))
    }

    /// `response.completed` of an answer without output.
    pub(crate) fn completed_empty(&self) -> Value {
        json!({"type": "response.completed", "response": self.response("completed", &json!([]))})
    }

    /// `response.failed` (WIRE §8.3).
    pub(crate) fn failed(&self, error: &StreamError) -> Value {
        let mut response = self.response("failed", &json!([]));
        response["error"] = json!(error);
        json!({"type": "response.failed", "response": response})
    }

    /// `response.incomplete` (WIRE §8.3).
    pub(crate) fn incomplete(&self, reason: &str) -> Value {
        let mut response = self.response("incomplete", &json!([self.message("incomplete")]));
        response["incomplete_details"] = json!({"reason": reason});
        json!({"type": "response.incomplete", "response": response})
    }

    fn response(&self, status: &str, output: &Value) -> Value {
        let usage = if status == "completed" { self.usage(output) } else { Value::Null };
        json!({
            "id": self.response_id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "model": self.model,
            "output": output,
            "error": null,
            "incomplete_details": null,
            "parallel_tool_calls": true,
            "tool_choice": "auto",
            "store": false,
            "reasoning": {"effort": self.effort, "summary": null},
            "prompt_cache_key": self.prompt_cache_key,
            "service_tier": self.service_tier,
            "usage": usage,
        })
    }

    /// Numbers from sizes: four bytes are a token; half of the input is cached if there is a cache key.
    fn usage(&self, output: &Value) -> Value {
        let input = self.input_bytes.div_ceil(BYTES_PER_TOKEN);
        let cached = if self.prompt_cache_key.is_string() { input / 2 } else { 0 };
        let empty = output.as_array().is_none_or(Vec::is_empty);
        let reasoning = if empty { 0 } else { self.summary().map_or(0, |summary| summary.len()) };
        let text = if empty { 0 } else { self.text.len().div_ceil(BYTES_PER_TOKEN) };
        json!({
            "input_tokens": input,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": text + reasoning,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": input + text + reasoning,
        })
    }

    fn reasoning_events(self: &Arc<Self>) -> impl Iterator<Item = Value> + Send + use<> {
        let (item, summary) = (self.reasoning_item(), self.summary());
        let events = item.zip(summary).map(|(item, summary)| {
            let id = item["id"].clone();
            let at = |kind: &str, more: Value| {
                let mut event = json!({"type": kind, "item_id": id, "output_index": 0, "summary_index": 0});
                merge(&mut event, more);
                event
            };
            let (first, second) = summary.split_at(summary.len() / 2);
            let part = |text: &str| json!({"part": {"type": "summary_text", "text": text}});
            vec![
                json!({"type": "response.output_item.added", "output_index": 0,
                    "item": {"id": id, "type": "reasoning", "summary": []}}),
                at("response.reasoning_summary_part.added", part("")),
                at("response.reasoning_summary_text.delta", json!({"delta": first})),
                at("response.reasoning_summary_text.delta", json!({"delta": second})),
                at("response.reasoning_summary_text.done", json!({"text": summary})),
                at("response.reasoning_summary_part.done", part(&summary)),
                json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            ]
        });
        events.into_iter().flatten()
    }

    fn message_events(self: &Arc<Self>) -> impl Iterator<Item = Value> + Send + use<> {
        let index = usize::from(self.effort.is_some());
        let id = self.message_id();
        let at = move |kind: &str, more: Value| {
            let mut event = json!({"type": kind, "item_id": id, "output_index": index, "content_index": 0});
            merge(&mut event, more);
            event
        };
        let part = |text: String| json!({"part": {"type": "output_text", "annotations": [], "logprobs": [], "text": text}});
        let opening = [
            json!({"type": "response.output_item.added", "output_index": index,
                "item": {"id": self.message_id(), "type": "message", "status": "in_progress", "role": "assistant",
                    "content": []}}),
            at("response.content_part.added", part(String::new())),
        ];
        let deltas = {
            let (answer, at) = (Arc::clone(self), at.clone());
            (0..self.text.pieces()).map(move |n| {
                at("response.output_text.delta", json!({"delta": answer.text.piece(n), "logprobs": []}))
            })
        };
        let answer = Arc::clone(self);
        let closing = (0..3).map(move |step| match step {
            0 => at("response.output_text.done", json!({"text": answer.text.whole(), "logprobs": []})),
            1 => at("response.content_part.done", part(answer.text.whole())),
            _ => json!({"type": "response.output_item.done", "output_index": index, "item": answer.message("completed")}),
        });
        opening.into_iter().chain(deltas).chain(closing)
    }

    fn message(&self, status: &str) -> Value {
        json!({"id": self.message_id(), "type": "message", "status": status, "role": "assistant", "content": [
            {"type": "output_text", "annotations": [], "logprobs": [], "text": self.text.whole()}]})
    }

    fn message_id(&self) -> String {
        format!("msg_{}", self.response_id)
    }

    fn reasoning_item(&self) -> Option<Value> {
        let summary = self.summary()?;
        let mut item = json!({"id": format!("rs_{}", self.response_id), "type": "reasoning",
            "summary": [{"type": "summary_text", "text": summary}]});
        if self.encrypted {
            item["encrypted_content"] = json!(format!("FAKE-encrypted-{}", short_hash(&summary)));
        }
        Some(item)
    }

    fn summary(&self) -> Option<String> {
        self.effort.as_ref().map(|effort| format!("**FAKE thoughts**\n\nThinking with {effort} effort."))
    }
}

impl Text {
    fn answering(prompt: &str) -> Self {
        if let Some((count, size)) = directive(prompt, "repeat").and_then(|arguments| {
            let mut numbers = arguments.split_whitespace().map(str::parse::<usize>);
            let (count, size) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            (count.checked_mul(size)? <= MAX_REPEAT_BYTES && size > 0).then_some((count, size))
        }) {
            return Self::Repeat { count, size };
        }
        if let Some(text) = directive(prompt, "say") {
            return Self::Plain(text.to_owned());
        }
        let echo: String = prompt.chars().take(ECHO_CHARS).collect();
        Self::Plain(format!("FAKE answer {} to: {echo}", short_hash(prompt)))
    }

    fn len(&self) -> usize {
        match self {
            Self::Plain(text) => text.len(),
            Self::Repeat { count, size } => count * size,
        }
    }

    fn pieces(&self) -> usize {
        match self {
            Self::Plain(text) => DELTAS.min(text.chars().count()),
            Self::Repeat { count, .. } => *count,
        }
    }

    /// The nth piece; together they are the whole.
    fn piece(&self, n: usize) -> String {
        match self {
            Self::Plain(text) => {
                let bound = |n: usize| text.floor_char_boundary(text.len() * n / self.pieces());
                text[bound(n)..bound(n + 1)].to_owned()
            }
            // The number comes first, so that a lost or repeated delta shows.
            Self::Repeat { size, .. } => {
                let mut piece = format!("{n:07} ");
                piece.truncate(*size);
                piece.extend(iter::repeat_n('x', size - piece.len()));
                piece
            }
        }
    }

    fn whole(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Repeat { count, .. } => (0..*count).map(|n| self.piece(n)).collect(),
        }
    }
}

/// The text of the last user message; its parts one below the other.
fn last_user_text(input: &[Value]) -> String {
    let Some(message) = input.iter().rev().find(|item| item["role"] == "user") else { return String::new() };
    match &message["content"] {
        Value::String(text) => text.clone(),
        parts => {
            let texts = parts.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
    }
}

/// The argument of `[[name argument]]`.
fn directive<'a>(prompt: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = prompt.split_once(&format!("[[{name} "))?;
    Some(after.split_once("]]")?.0)
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
