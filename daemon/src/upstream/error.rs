//! What can go wrong upstream. Whether a request may be sent again is decided where the error is born and travels
//! with it; nobody guesses it from a message later.

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::routing::RoutingProblem;
use crate::network::EdgeBlock;

/// Characters of an unexpected body that an error carries: enough to recognise it, not enough to flood a terminal.
pub const MAX_SAMPLE_CHARS: usize = 300;

/// Characters of a backend's own message that are repeated to a person.
pub const MAX_MESSAGE_CHARS: usize = 2_000;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// May the same request be sent again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It would fail the same way, or it was answered.
    Never,
    /// Nothing was generated for it: sending it again costs nothing twice.
    Safe,
    /// As `Safe`, but not before this time has passed.
    After(Duration),
    /// It may have been executed, in part or in full; only a person can decide.
    Unknown,
}

/// What happened, one variant per message that a person can act on (WIRE §8.3, §9.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The HTTP client could not be built, or the request could not be formed; nothing was sent.
    #[error("could not prepare the request")]
    Setup,
    /// No connection, or the server refused the request before reading it: provably not executed.
    #[error("could not connect to the Codex backend")]
    Connect,
    /// No response head in time.
    #[error("could not get an answer: the backend was silent for {} s", after.as_secs())]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// 401: the access token was refused. The service refreshes it and asks again.
    #[error("HTTP 401: the access token was refused{}", in_parens(code.as_ref()))]
    Unauthorized {
        /// `token_expired`, `token_invalidated`, `token_revoked` (WIRE §9.1).
        code: Option<String>,
    },
    /// 400 with the backend's words.
    #[error("HTTP 400: {message}")]
    BadRequest {
        /// Verbatim, at most [`MAX_MESSAGE_CHARS`].
        message: String,
    },
    /// The plan does not offer this model (WIRE §7.5).
    #[error("could not use the model: {message}")]
    ModelNotSupported {
        /// Verbatim.
        message: String,
    },
    /// 400 `Instructions are required` although instructions were sent.
    #[error("HTTP 400: Instructions are required")]
    InstructionsRequired,
    /// A refusal of what stands in front of the backend, instead of an answer.
    #[error("HTTP {status}: {block}")]
    Edge {
        /// The status it came with.
        status: u16,
        /// Why.
        block: EdgeBlock,
    },
    /// 403 of the backend itself.
    #[error("HTTP 403: {message}")]
    Forbidden {
        /// Verbatim.
        message: String,
    },
    /// 404.
    #[error("HTTP 404: {message}")]
    NotFound {
        /// Verbatim.
        message: String,
    },
    /// 413.
    #[error("HTTP 413: the request is too large for the backend")]
    PayloadTooLarge,
    /// 402 `deactivated_workspace`.
    #[error("HTTP 402: the workspace is deactivated")]
    DeactivatedWorkspace,
    /// The plan's usage limit is reached (WIRE §9.2).
    #[error("the usage limit{} is reached", of_plan(plan.as_ref()))]
    UsageLimit {
        /// `plus`, `pro`, `team`, `free` …
        plan: Option<String>,
        /// When the limit is lifted.
        resets_at: Option<SystemTime>,
        /// `x-codex-rate-limit-reached-type`, e.g. `workspace_owner_credits_depleted`.
        reached_type: Option<String>,
    },
    /// The plan does not include Codex.
    #[error("the ChatGPT plan does not include Codex")]
    UsageNotIncluded,
    /// Too many requests at once, as opposed to a used-up plan.
    #[error("HTTP 429: rate limit exceeded")]
    RateLimited {
        /// As the backend named it.
        retry_after: Option<Duration>,
    },
    /// The model is at capacity.
    #[error("the selected model is at capacity")]
    Overloaded,
    /// 5xx.
    #[error("the backend failed: {message}")]
    ServerError {
        /// The body's message, or its status.
        message: String,
    },
    /// A status that none of the rows above names.
    #[error("the backend answered with an unexpected status: {message}")]
    UnexpectedStatus {
        /// The body's message, or its status.
        message: String,
    },
    /// The conversation does not fit the model's context window.
    #[error("the conversation is too long for the model's context window")]
    ContextLength,
    /// `insufficient_quota`.
    #[error("quota exceeded")]
    QuotaExceeded,
    /// The prompt was refused (`invalid_prompt`, `bio_policy`, `cyber_policy`, `misalignment_policy_violation`).
    #[error("{message}")]
    Policy {
        /// The backend's code.
        code: String,
        /// Verbatim.
        message: String,
    },
    /// `response.incomplete`; the text so far is in `partial_text`.
    #[error("the answer is incomplete: {reason}")]
    Incomplete {
        /// `max_output_tokens`, `content_filter` …
        reason: String,
    },
    /// The connection broke after the request was sent and before a terminal event.
    #[error("the stream was cut before it was complete ({events} events, {bytes} bytes)")]
    Interrupted {
        /// Events received; 0 also when no response head came.
        events: u64,
        /// Body bytes received.
        bytes: u64,
    },
    /// No event for `Limits::stream_idle`.
    #[error("the stream was silent for {} s", after.as_secs())]
    StreamIdle {
        /// How long was waited.
        after: Duration,
    },
    /// The computer slept, and what was under way did not live through it.
    #[error("the answer was lost while the computer slept ({} min)", slept.as_secs().div_ceil(60))]
    LostInSleep {
        /// How long it slept.
        slept: Duration,
    },
    /// The turn ended well and holds no text.
    #[error("No response from Codex")]
    EmptyAnswer,
    /// A 200 that is none of the known reply shapes.
    #[error("could not read the reply")]
    Unparsable,
    /// More than a bound allows; what fits is in `partial_text`, the rest was not read.
    #[error("the reply is larger than {limit_bytes} bytes; the rest was not read")]
    TooLarge {
        /// The bound that was met.
        limit_bytes: usize,
    },
    /// `response.failed` or an in-stream `error` that no other variant names.
    #[error("the turn failed{}: {message}", in_parens(code.as_ref()))]
    Failed {
        /// The backend's code.
        code: Option<String>,
        /// Verbatim.
        message: String,
    },
    /// `accounts/check` answered, but names no usable route (WIRE §6).
    #[error("could not read the workspace routing: {0}")]
    Routing(RoutingProblem),
}

impl ErrorKind {
    /// What happened without a word of the backend's, which may quote the question.
    pub fn redacted(&self) -> String {
        match self {
            Self::BadRequest { .. } => "HTTP 400".to_owned(),
            Self::ModelNotSupported { .. } => "the plan does not offer this model".to_owned(),
            Self::Forbidden { .. } => "HTTP 403".to_owned(),
            Self::NotFound { .. } => "HTTP 404".to_owned(),
            Self::ServerError { .. } => "the backend failed".to_owned(),
            Self::UnexpectedStatus { .. } => "the backend answered with an unexpected status".to_owned(),
            Self::Policy { .. } => "the backend refused the question for what it says".to_owned(),
            Self::Incomplete { .. } => "the answer is incomplete".to_owned(),
            Self::Failed { .. } => "the turn failed".to_owned(),
            Self::Routing(_) => "could not read the workspace routing".to_owned(),
            Self::Unauthorized { .. } => "HTTP 401: the access token was refused".to_owned(),
            Self::UsageLimit { .. } => "the usage limit is reached".to_owned(),
            Self::Setup
            | Self::Connect
            | Self::Timeout { .. }
            | Self::InstructionsRequired
            | Self::Edge { .. }
            | Self::PayloadTooLarge
            | Self::DeactivatedWorkspace
            | Self::UsageNotIncluded
            | Self::RateLimited { .. }
            | Self::Overloaded
            | Self::ContextLength
            | Self::QuotaExceeded
            | Self::Interrupted { .. }
            | Self::StreamIdle { .. }
            | Self::LostInSleep { .. }
            | Self::EmptyAnswer
            | Self::Unparsable
            | Self::TooLarge { .. } => self.to_string(),
        }
    }
}

/// Facts about the exchange that an error belongs to, for a log line and a bug report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// HTTP status, when a response head came.
    pub status: Option<u16>,
    /// `x-request-id` or `x-oai-request-id`.
    pub request_id: Option<String>,
    /// `cf-ray`.
    pub cf_ray: Option<String>,
    /// Start of the body, at most [`MAX_SAMPLE_CHARS`], without control characters.
    pub sample: Option<String>,
    /// Limit id of a reached usage limit (`x-codex-active-limit`), `_` for `-`.
    pub limit_id: Option<String>,
    /// `x-codex-promo-message`: the backend's own advice to the user.
    pub promo: Option<String>,
}

/// A failed request, with everything that is known about it.
pub struct UpstreamError {
    /// What happened.
    pub kind: ErrorKind,
    /// Whether the same request may be sent again by whoever holds this error.
    pub retry: Retry,
    /// Requests sent for this call, including the failed one; 0: refused without a request.
    pub attempts: u32,
    /// Where it came from.
    pub facts: Box<Facts>,
    /// Text that was generated before the failure.
    pub partial_text: Option<Box<str>>,
    source: Option<BoxError>,
}

impl UpstreamError {
    pub(super) fn new(kind: ErrorKind, retry: Retry) -> Self {
        Self { kind, retry, attempts: 1, facts: Box::default(), partial_text: None, source: None }
    }

    #[must_use]
    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    #[must_use]
    pub(super) fn with_facts(mut self, facts: Facts) -> Self {
        *self.facts = facts;
        self
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match (&self.kind, &self.facts.sample) {
            (ErrorKind::EmptyAnswer | ErrorKind::Unparsable, Some(sample)) => {
                write!(f, ": the reply began with `{sample}`")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for UpstreamError {
    /// Without the generated text: a debug line must not carry an answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamError")
            .field("kind", &self.kind)
            .field("retry", &self.retry)
            .field("attempts", &self.attempts)
            .field("facts", &self.facts)
            .field("partial_bytes", &self.partial_text.as_ref().map(|text| text.len()))
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for UpstreamError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// The first [`MAX_SAMPLE_CHARS`] characters of `body` on one line; `None` when nothing printable is in it.
pub(super) fn sample(body: &[u8]) -> Option<String> {
    // Four bytes are the longest character, so this prefix is always enough.
    let head = &body[..body.len().min(MAX_SAMPLE_CHARS * 4)];
    let text = clip(&String::from_utf8_lossy(head), MAX_SAMPLE_CHARS);
    (!text.is_empty()).then_some(text)
}

/// `text` without control characters and surrounding space, at most `max_chars` characters.
pub(super) fn clip(text: &str, max_chars: usize) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text = text.trim();
    if text.len() <= max_chars && !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let clipped: String = text.chars().map(printable).take(max_chars).collect();
    clipped.trim().to_owned()
}

fn in_parens(code: Option<&String>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

fn of_plan(plan: Option<&String>) -> String {
    plan.map(|plan| format!(" of the {plan} plan")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_short_and_holds_no_control_characters() {
        let body = format!("\x1b[31m\r\n<html>{}", "é".repeat(1_000));
        let sample = sample(body.as_bytes()).expect("printable");
        assert!(sample.chars().count() <= MAX_SAMPLE_CHARS);
        assert!(!sample.chars().any(char::is_control));
        assert!(sample.contains("<html>"));
    }

    #[test]
    fn an_empty_answer_shows_what_came() {
        let facts = Facts { sample: Some("data: {}".into()), ..Facts::default() };
        let error = UpstreamError::new(ErrorKind::EmptyAnswer, Retry::Never).with_facts(facts);
        assert_eq!(error.to_string(), "No response from Codex: the reply began with `data: {}`");
    }

    #[test]
    fn a_debug_line_never_carries_the_generated_text() {
        let mut error = UpstreamError::new(ErrorKind::Interrupted { events: 1, bytes: 2 }, Retry::Unknown);
        error.partial_text = Some("the answer".into());
        assert!(!format!("{error:?} {error:#?}").contains("the answer"));
    }
}
