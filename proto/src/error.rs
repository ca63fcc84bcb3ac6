//! The one error that crosses the socket, whatever dialect carries it.

use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::{NextStep, Surface};

/// What happened, whose doing it was, whether to try again, and the one next step.
///
/// `message` is for people, complete in itself, without a full stop: `could not <verb> <object>: <cause>`. It never
/// holds a token. Clients branch on `code`. On the wire `http_status` stands beside it: [`ErrorCode::http_status`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WireError {
    /// Which failure: part of the contract.
    pub code: ErrorCode,
    /// Where it arose.
    pub origin: Origin,
    /// Whether the same request may be sent again.
    pub retry: Retry,
    /// For people.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub next_step: Option<NextStep>,
    /// The turn that failed; what became of it step by step: `turn/trace/list`.
    #[serde(default)]
    pub turn_id: Option<String>,
}

impl WireError {
    /// A failure of the caller's request that no repetition mends.
    pub fn caller(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            origin: Origin::Caller,
            retry: Retry::Never,
            message: message.into(),
            next_step: None,
            turn_id: None,
        }
    }

    /// A failure on this machine.
    pub fn daemon(code: ErrorCode, retry: Retry, message: impl Into<String>) -> Self {
        Self { code, origin: Origin::Daemon, retry, message: message.into(), next_step: None, turn_id: None }
    }

    /// A failure of the issuer or the backend.
    pub fn upstream(code: ErrorCode, retry: Retry, message: impl Into<String>) -> Self {
        Self {
            code,
            origin: Origin::Upstream,
            retry,
            message: message.into(),
            next_step: None,
            turn_id: None,
        }
    }

    /// The same with its next step.
    #[must_use]
    pub fn next(mut self, step: NextStep) -> Self {
        self.next_step = Some(step);
        self
    }

    /// The message; on lines of their own the next step, and where the story of the turn is told.
    pub fn render(&self, surface: Surface) -> String {
        let mut text = self.message.clone();
        if let Some(step) = &self.next_step {
            text = format!("{text}\nnext: {}", step.render(surface));
        }
        if let Some(turn_id) = &self.turn_id {
            let command = match surface {
                Surface::ClaudeCode => "/codex-oauth:codex-doctor",
                Surface::Shell => "codex-oauth explain",
            };
            text = format!("{text}\ndetails: {command} {}", short_id(turn_id));
        }
        text
    }
}

/// The beginning of a turn's id, which names it among the turns that are kept.
pub fn short_id(turn_id: &str) -> &str {
    const DIGITS: usize = 4;
    turn_id.get(..DIGITS).unwrap_or(turn_id)
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WireError {}

impl Serialize for WireError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { code, origin, retry, message, next_step, turn_id } = self;
        let fields = 5 + usize::from(next_step.is_some()) + usize::from(turn_id.is_some());
        let mut object = serializer.serialize_struct("WireError", fields)?;
        object.serialize_field("code", code)?;
        object.serialize_field("http_status", &code.http_status())?;
        object.serialize_field("origin", origin)?;
        object.serialize_field("retry", retry)?;
        object.serialize_field("message", message)?;
        if let Some(next_step) = next_step {
            object.serialize_field("next_step", next_step)?;
        }
        if let Some(turn_id) = turn_id {
            object.serialize_field("turn_id", turn_id)?;
        }
        object.end()
    }
}

/// The failures that a client may branch on. A new one is added only when a client would do something else for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Nobody is signed in.
    NotLoggedIn,
    /// There was a login; it can no longer be used or renewed.
    LoginExpired,
    /// The credential file holds another account than the one in use.
    AccountMismatch,
    /// The login belongs to another issuer, backend or machine and is not sent anywhere.
    LoginElsewhere,
    /// The credential file cannot be read or written as it is; it was left untouched.
    CredentialFile,
    /// The client's environment names another credential file than the daemon's.
    OtherCredentialStore,
    /// A login was started and failed, or could not be started.
    LoginFailed,
    /// The issuer could not be reached or is in trouble; the login is intact.
    AuthUnavailable,
    /// The backend could not be reached; the request was provably not sent.
    UpstreamUnreachable,
    /// Too many requests for the moment.
    RateLimited,
    /// The plan's usage limit is reached.
    UsageLimitReached,
    /// The backend is overloaded or failing.
    UpstreamOverloaded,
    /// The backend refused this request; its words are in the message.
    UpstreamRejected,
    /// The model does not exist for this account.
    ModelNotAvailable,
    /// The prompt does not fit the model.
    PromptTooLong,
    /// The answer began and did not end.
    StreamInterrupted,
    /// The backend answered with nothing usable.
    NoAnswer,
    /// The request was sent and its fate is unknown; it is never repeated by itself.
    OutcomeUnknown,
    /// The daemon has as much to do as it takes on.
    Overloaded,
    /// The daemon is going away.
    Draining,
    /// The caller called it off.
    Cancelled,
    /// An argument is missing, unknown or of the wrong kind.
    InvalidArguments,
    /// The method does not exist.
    MethodNotFound,
    /// A line over the cap.
    LineTooLong,
    /// A line that is not what the dialect says.
    Malformed,
    /// No version of the conversation is common to both.
    UnsupportedVersion,
    /// No daemon is there and none could be started.
    DaemonUnavailable,
    /// A configuration value cannot be used.
    Configuration,
    /// A fault of ours; the log has it.
    Internal,
    /// A failure that this build does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// Every code, for tables and tests.
    pub const ALL: &'static [Self] = &[
        Self::NotLoggedIn,
        Self::LoginExpired,
        Self::AccountMismatch,
        Self::LoginElsewhere,
        Self::CredentialFile,
        Self::OtherCredentialStore,
        Self::LoginFailed,
        Self::AuthUnavailable,
        Self::UpstreamUnreachable,
        Self::RateLimited,
        Self::UsageLimitReached,
        Self::UpstreamOverloaded,
        Self::UpstreamRejected,
        Self::ModelNotAvailable,
        Self::PromptTooLong,
        Self::StreamInterrupted,
        Self::NoAnswer,
        Self::OutcomeUnknown,
        Self::Overloaded,
        Self::Draining,
        Self::Cancelled,
        Self::InvalidArguments,
        Self::MethodNotFound,
        Self::LineTooLong,
        Self::Malformed,
        Self::UnsupportedVersion,
        Self::DaemonUnavailable,
        Self::Configuration,
        Self::Internal,
        Self::Unknown,
    ];

    /// The status under which a program that puts the socket behind HTTP passes the failure on (RFC 9110 §15.5 and §15.6, RFC 6585 §4). It
    /// stands in every error on the wire, so that no such program needs a table of its own.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidArguments | Self::Malformed => 400,
            // Whoever signs in may ask again.
            Self::NotLoggedIn | Self::LoginExpired | Self::LoginElsewhere => 401,
            Self::UpstreamRejected => 403,
            // As OpenAI answers for a model that does not exist.
            Self::ModelNotAvailable | Self::MethodNotFound => 404,
            // Two callers changed the same.
            Self::AccountMismatch => 409,
            // 499 is registered nowhere, and official SDKs send again what ended with 408, 409 or 5xx.
            Self::Cancelled => 410,
            Self::PromptTooLong | Self::LineTooLong => 413,
            Self::RateLimited | Self::UsageLimitReached => 429,
            // This machine is not as it should be; the same fails again.
            Self::CredentialFile
            | Self::OtherCredentialStore
            | Self::UnsupportedVersion
            | Self::Configuration
            | Self::Internal
            | Self::Unknown => 500,
            // What stands behind the daemon gave no answer that can be passed on.
            Self::LoginFailed | Self::UpstreamUnreachable | Self::StreamInterrupted | Self::NoAnswer => 502,
            // Not now: the request was not carried out.
            Self::AuthUnavailable
            | Self::UpstreamOverloaded
            | Self::Overloaded
            | Self::Draining
            | Self::DaemonUnavailable => 503,
            // It was sent, and no answer came in time.
            Self::OutcomeUnknown => 504,
        }
    }
}

/// Where a failure arose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The request itself.
    Caller,
    /// This machine: daemon, files, configuration.
    Daemon,
    /// Issuer, backend, or the network to them.
    Upstream,
    /// An origin that this build does not know.
    #[serde(other)]
    Unknown,
}

/// Whether the same request may be sent again. Decided where the failure is understood, never guessed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Retry {
    /// The same request fails again until something else changes.
    Never,
    /// It was provably not carried out.
    Safe,
    /// It was not carried out; not before this long.
    After {
        /// Seconds to wait.
        seconds: u64,
    },
    /// It may have been carried out.
    #[serde(other)]
    Unknown,
}
