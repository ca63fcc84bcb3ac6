//! From a backend's refusal to an [`ErrorKind`]: one place for HTTP statuses (WIRE §9.1), one for the codes that appear both
//! in error bodies and inside a stream (WIRE §8.3). Nothing here sends or waits.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::delay;
use super::error::{ErrorKind, Facts, MAX_MESSAGE_CHARS, Retry, UpstreamError, clip, sample};
use crate::network::EdgeBlock;

/// What the backend says about a failure, whatever the envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failure {
    /// `code`, or `type` where there is no code.
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) plan: Option<String>,
    pub(super) resets_at: Option<SystemTime>,
    /// In-stream `error` events may carry an HTTP status (WIRE §10.3).
    pub(super) status: Option<u16>,
}

impl Failure {
    /// Reads `{"error":{…}}`, `{"error":"…"}`, `{"detail":…}`, `{"response":{"error":{…}}}` and a bare `{code,message}`.
    pub(super) fn from_json(json: &Value) -> Option<Self> {
        let body = [json.get("error"), json.pointer("/response/error"), json.get("detail")]
            .into_iter()
            .flatten()
            .find(|body| !body.is_null())
            .or_else(|| (json.get("message").is_some() || json.get("code").is_some()).then_some(json))?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        // FastAPI's validation errors are a list of {loc, msg, type}.
        let message = match body {
            Value::String(message) => Some(message.clone()),
            Value::Array(list) => {
                Some(list.iter().filter_map(|item| item.get("msg")?.as_str()).collect::<Vec<_>>().join("; "))
            }
            _ => text("message"),
        };
        let status = json.get("status").or_else(|| json.get("status_code")).and_then(Value::as_u64);
        Some(Self {
            // The `type` of a bare event is the event's own name.
            code: text("code").or_else(|| if std::ptr::eq(body, json) { None } else { text("type") }),
            message: message.map(|message| clip(&message, MAX_MESSAGE_CHARS)).filter(|text| !text.is_empty()),
            plan: text("plan_type"),
            resets_at: resets_at(body),
            status: status.and_then(|status| u16::try_from(status).ok()),
        })
    }

    fn message_or(&self, default: &str) -> String {
        self.message.clone().unwrap_or_else(|| default.to_owned())
    }
}

/// An error for a response whose status is not 2xx. `body` is its beginning.
pub(super) fn http_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
    let failure = serde_json::from_slice(body).ok().and_then(|json| Failure::from_json(&json));
    let mut failure = failure.unwrap_or_default();
    if failure.code.is_none() {
        failure.code = code_in_header(headers);
    }
    let (kind, retry) = by_status(status, headers, body, &failure);
    UpstreamError::new(kind, retry).with_facts(facts(Some(status), headers, body))
}

/// The error of an answer that comes from something in front of the backend; `None` when the backend itself speaks.
pub(crate) fn edge_refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<UpstreamError> {
    let error = http_error(status, headers, body);
    matches!(error.kind, ErrorKind::Edge { .. }).then_some(error)
}

/// An error for a failure inside a stream or a 200 reply.
pub(super) fn stream_failure(failure: &Failure) -> (ErrorKind, Retry) {
    if let Some(known) = by_code(failure, &HeaderMap::new()) {
        return known;
    }
    if failure.message.as_deref().is_some_and(is_model_refusal) {
        return (ErrorKind::ModelNotSupported { message: failure.message_or("") }, Retry::Never);
    }
    let status = failure.status.and_then(|status| StatusCode::from_u16(status).ok());
    if let Some(status) = status.filter(|status| status.is_client_error() || status.is_server_error()) {
        return by_status(status, &HeaderMap::new(), b"", failure);
    }
    let retry = match failure.code.as_deref() {
        // The server says that it broke; a code that we do not know may be a verdict on the prompt.
        None | Some("server_error" | "internal_server_error" | "internal_error") => Retry::Safe,
        Some(_) => Retry::Never,
    };
    (
        ErrorKind::Failed { code: failure.code.clone(), message: failure.message_or("no reason was given") },
        retry,
    )
}

/// The facts of a response.
pub(super) fn facts(status: Option<StatusCode>, headers: &HeaderMap, body: &[u8]) -> Facts {
    Facts {
        status: status.map(|status| status.as_u16()),
        request_id: request_id(headers),
        cf_ray: text(headers, "cf-ray"),
        sample: sample(body),
        limit_id: text(headers, "x-codex-active-limit").map(|id| id.replace('-', "_")),
        promo: text(headers, "x-codex-promo-message"),
    }
}

/// `x-request-id`, else `x-oai-request-id` (WIRE §8.1).
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-request-id").or_else(|| text(headers, "x-oai-request-id"))
}

/// A header as text, clipped: it goes into logs and errors.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    const MAX_HEADER_CHARS: usize = 200;
    let value = clip(&String::from_utf8_lossy(headers.get(name)?.as_bytes()), MAX_HEADER_CHARS);
    (!value.is_empty()).then_some(value)
}

fn by_status(status: StatusCode, headers: &HeaderMap, body: &[u8], failure: &Failure) -> (ErrorKind, Retry) {
    let named_delay = delay::retry_after(headers, SystemTime::now())
        .or_else(|| delay::named_in_message(failure.message.as_deref().unwrap_or_default()));
    if status == StatusCode::UNAUTHORIZED {
        let code = failure.code.clone().or_else(|| text(headers, "x-openai-authorization-error"));
        return (ErrorKind::Unauthorized { code }, Retry::Never);
    }
    if let Some((kind, retry)) = by_code(failure, headers) {
        let retry = match (retry, named_delay) {
            (Retry::Safe, Some(delay)) => Retry::After(delay),
            _ => retry,
        };
        return (kind, retry);
    }
    if let (403 | 429 | 503, Some(block)) = (status.as_u16(), EdgeBlock::recognise(headers, body)) {
        // A ban does not end by trying; only how long a flood is kept out is named.
        let retry = named_delay.filter(|_| block == EdgeBlock::TooMuch).map_or(Retry::Never, Retry::After);
        return (ErrorKind::Edge { status: status.as_u16(), block }, retry);
    }
    let message = failure.message_or(&plain_message(status, body));
    match status.as_u16() {
        400 if message.to_ascii_lowercase().contains("instructions are required") => {
            (ErrorKind::InstructionsRequired, Retry::Never)
        }
        400 if is_model_refusal(&message) => (ErrorKind::ModelNotSupported { message }, Retry::Never),
        400 => (ErrorKind::BadRequest { message }, Retry::Never),
        403 => (ErrorKind::Forbidden { message }, Retry::Never),
        404 => (ErrorKind::NotFound { message }, Retry::Never),
        413 => (ErrorKind::PayloadTooLarge, Retry::Never),
        429 => {
            // Without a named time, how long to stay away is anybody's guess: the caller is told, nothing is resent.
            let retry = named_delay.map_or(Retry::Never, Retry::After);
            (ErrorKind::RateLimited { retry_after: named_delay }, retry)
        }
        500..=599 => (ErrorKind::ServerError { message }, named_delay.map_or(Retry::Safe, Retry::After)),
        _ => (ErrorKind::UnexpectedStatus { message }, Retry::Never),
    }
}

/// Codes whose meaning does not depend on where they appear.
fn by_code(failure: &Failure, headers: &HeaderMap) -> Option<(ErrorKind, Retry)> {
    let code = failure.code.as_deref()?;
    let never = |kind| Some((kind, Retry::Never));
    let named_delay = delay::named_in_message(failure.message.as_deref().unwrap_or_default());
    let soon = named_delay.map_or(Retry::Safe, Retry::After);
    match code {
        "context_length_exceeded" => never(ErrorKind::ContextLength),
        "insufficient_quota" => never(ErrorKind::QuotaExceeded),
        "usage_not_included" => never(ErrorKind::UsageNotIncluded),
        "deactivated_workspace" => never(ErrorKind::DeactivatedWorkspace),
        "invalid_prompt" | "bio_policy" | "cyber_policy" | "misalignment_policy_violation" => {
            let message = failure.message_or("the prompt was refused by the backend's policy");
            never(ErrorKind::Policy { code: code.to_owned(), message })
        }
        "usage_limit_reached" => {
            let wait = failure.resets_at.and_then(|at| at.duration_since(SystemTime::now()).ok());
            let kind = ErrorKind::UsageLimit {
                plan: failure.plan.clone(),
                resets_at: failure.resets_at,
                reached_type: text(headers, "x-codex-rate-limit-reached-type"),
            };
            Some((kind, wait.map_or(Retry::Never, Retry::After)))
        }
        "server_is_overloaded" | "overloaded" | "overloaded_error" => Some((ErrorKind::Overloaded, soon)),
        "slow_down" | "rate_limit_exceeded" => {
            Some((ErrorKind::RateLimited { retry_after: named_delay }, soon))
        }
        "token_expired" | "token_invalidated" | "token_revoked" => {
            never(ErrorKind::Unauthorized { code: Some(code.to_owned()) })
        }
        _ => None,
    }
}

/// `x-error-json`: base64 of `{"error":{"code":…}}` (WIRE §8.1).
fn code_in_header(headers: &HeaderMap) -> Option<String> {
    let json = STANDARD.decode(headers.get("x-error-json")?.as_bytes()).ok()?;
    Failure::from_json(&serde_json::from_slice(&json).ok()?)?.code
}

/// `resets_at` in Unix seconds, else `resets_in_seconds` from now.
fn resets_at(body: &Value) -> Option<SystemTime> {
    let seconds = |name: &str| {
        let number = body.get(name)?;
        Duration::try_from_secs_f64(number.as_f64()?).ok()
    };
    seconds("resets_at")
        .and_then(|at| SystemTime::UNIX_EPOCH.checked_add(at))
        .or_else(|| SystemTime::now().checked_add(seconds("resets_in_seconds")?))
}

fn is_model_refusal(message: &str) -> bool {
    message.contains("model is not supported") || message.contains("model requires a newer version")
}

/// A body that is no JSON error, as text; an HTML page says nothing that its status does not.
fn plain_message(status: StatusCode, body: &[u8]) -> String {
    let reason = status.canonical_reason().unwrap_or("unknown status");
    let fallback = format!("HTTP {} {reason}", status.as_u16());
    if body.trim_ascii_start().starts_with(b"<") {
        return fallback;
    }
    sample(body).map_or(fallback, |text| format!("HTTP {}: {text}", status.as_u16()))
}

#[cfg(test)]
mod tests;
