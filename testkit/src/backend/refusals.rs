//! What the backend refuses in a turn (WIRE §7.5), with its words.

use serde_json::{Map, Value};

use super::models;
use crate::config::Behaviour;
use crate::received::Received;

/// Parameters of the public Responses API that the ChatGPT backend does not take. `prompt_cache_retention` and
/// `safety_identifier` are known only as fields that a proxy strips.
const UNSUPPORTED: [&str; 16] = [
    "max_output_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "metadata",
    "top_logprobs",
    "truncation",
    "user",
    "context_management",
    "response_format",
    "messages",
    "previous_response_id",
    "prompt_cache_retention",
    "safety_identifier",
];

/// The body of an acceptable turn, or the `detail` of the 400.
pub(super) fn check(behaviour: &Behaviour, received: &Received) -> Result<Map<String, Value>, String> {
    let refuse = |text: &str| Err(text.to_owned());
    if let Err(reason) = &received.body {
        return refuse(reason);
    }
    let Some(Value::Object(body)) = received.json() else {
        return refuse("The request body is not a JSON object");
    };
    let slug = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let Some(model) = models::find(behaviour, slug) else {
        return refuse(&format!(
            "The '{slug}' model is not supported when using Codex with a ChatGPT account."
        ));
    };
    if let Some(name) = UNSUPPORTED.iter().find(|name| body.contains_key(**name)) {
        return refuse(&format!("Unsupported parameter: {name}"));
    }
    let Some(input) = body.get("input").and_then(Value::as_array) else {
        return refuse("Input must be a list");
    };
    if input.iter().any(|item| item["role"] == "system") {
        return refuse("System messages are not allowed");
    }
    let instructed = body.get("instructions").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let developed = input.iter().any(|item| item["role"] == "developer");
    if behaviour.instructions_required && !model.lite && !instructed && !developed {
        return refuse("Instructions are required");
    }
    if body.get("store") != Some(&Value::Bool(false)) {
        return refuse("Store must be set to false");
    }
    if body.get("stream") != Some(&Value::Bool(true)) {
        return refuse("Stream must be set to true");
    }
    Ok(body)
}
