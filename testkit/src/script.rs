//! What shall happen to which request: the scripts that tests queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most scripts that may wait at a time: far above any test, and a loop that queues for ever is noticed.
pub(crate) const MAX_SCRIPTS: usize = 10_000;

/// One line of the script: the next `times` requests to `on` get `effect`. Scripts for the same endpoint are used
/// in the order in which they were queued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Which requests.
    pub on: Endpoint,
    /// How many of them; 1 if absent from the JSON.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens to them.
    pub effect: Effect,
}

impl Script {
    /// The effect, once.
    pub fn once(on: Endpoint, effect: Effect) -> Self {
        Self { on, times: 1, effect }
    }

    /// The effect, for as long as anybody asks.
    pub fn always(on: Endpoint, effect: Effect) -> Self {
        Self { on, times: u32::MAX, effect }
    }
}

/// What a request is about. `/oauth/token` is split by grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Any request but the admin ones; only for scripts.
    Any,
    /// `/oauth/authorize`, page and decision.
    Authorize,
    /// `/oauth/token` with an authorization code.
    CodeExchange,
    /// `/oauth/token` with the API-key token exchange (WIRE §2.4).
    ApiKeyExchange,
    /// `/oauth/token` with a refresh token.
    Refresh,
    /// `/oauth/token` with anything else.
    TokenOther,
    /// `/oauth/revoke`.
    Revoke,
    /// `/api/accounts/deviceauth/usercode`.
    DeviceUserCode,
    /// `/api/accounts/deviceauth/token`.
    DevicePoll,
    /// `/codex/device` and `/deviceauth/callback`, which people see.
    DevicePage,
    /// `wham/accounts/check`.
    AccountsCheck,
    /// `codex/models`.
    Models,
    /// `POST codex/responses`.
    Responses,
    /// Any other method on `codex/responses`, such as the WebSocket handshake.
    ResponsesUpgrade,
    /// `wham/usage`.
    Usage,
    /// Everything that answers 404.
    Other,
}

/// What happens to a request, in this order: `hold`, `latency_ms`, `action`, `hold_answer`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Effect {
    /// Wait until this gate is released before the request is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Wait before the request is looked at, in milliseconds.
    pub latency_ms: u64,
    /// What is done about it.
    pub action: Action,
    /// Do it (spend the token, say), but keep the answer back until this gate is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_answer: Option<String>,
}

impl Effect {
    /// The same, after a wait before the request is looked at.
    #[must_use]
    pub fn after(mut self, latency: Duration) -> Self {
        self.latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// The same, once the gate `name` has been released.
    #[must_use]
    pub fn held_by(mut self, name: &str) -> Self {
        self.hold = Some(name.to_owned());
        self
    }

    /// The same with slow bytes, if the effect is about a stream.
    #[must_use]
    pub fn paced(mut self, bytes: usize, every: Duration) -> Self {
        if let Action::Stream { pace, .. } = &mut self.action {
            *pace = Some(Pace { bytes, every_ms: u64::try_from(every.as_millis()).unwrap_or(u64::MAX) });
        }
        self
    }
}

/// What is done about a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// What would have been done anyway.
    #[default]
    Normal,
    /// This answer, and nothing else: no check, no token spent.
    Respond {
        /// HTTP status.
        status: u16,
        /// Further headers; `content-type` replaces the one that follows from the body.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// A string is sent as it is (`text/plain`), anything else as JSON; null is an empty body.
        #[serde(default)]
        body: Value,
    },
    /// The TCP connection is closed before the head; nothing is done.
    Close,
    /// Everything is done (a refresh token is spent), then the TCP connection is closed instead of an answer.
    LoseAnswer,
    /// No answer, ever; nothing is done.
    Hang,
    /// The usual answer without these top-level JSON fields.
    OmitFields {
        /// Names of the fields.
        fields: Vec<String>,
    },
    /// The usual checks, then a stream with a fault. Only for [`Endpoint::Responses`]; elsewhere as `Normal`.
    Stream {
        /// What goes wrong.
        #[serde(default)]
        fault: StreamFault,
        /// How fast the bytes come, if not at once.
        #[serde(default)]
        pace: Option<Pace>,
    },
}

/// Slow bytes: `bytes` at a time, `every_ms` milliseconds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Bytes per piece, at least 1.
    pub bytes: usize,
    /// Milliseconds before each piece.
    pub every_ms: u64,
}

/// What goes wrong in an answer stream. Events are counted from `response.created` = 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StreamFault {
    /// Nothing.
    #[default]
    None,
    /// The connection (HTTP/2: the stream) is aborted.
    Cut {
        /// Events sent before.
        after_events: u64,
    },
    /// Silence for ever.
    Stall {
        /// Events sent before.
        after_events: u64,
    },
    /// Silence until the gate is released, then the rest.
    Hold {
        /// Events sent before.
        after_events: u64,
        /// Name of the gate.
        gate: String,
    },
    /// A clean end of the body without a terminal event.
    End {
        /// Events sent before.
        after_events: u64,
    },
    /// `response.failed` with this error.
    Failed {
        /// Events sent before.
        after_events: u64,
        /// Its `response.error`.
        error: StreamError,
    },
    /// An `error` event after `response.created`, then the end.
    Error {
        /// Its `error`.
        error: StreamError,
    },
    /// All the text, then `response.incomplete`.
    Incomplete {
        /// `incomplete_details.reason`, such as `max_output_tokens`.
        reason: String,
    },
    /// `response.completed` without any output.
    Empty,
}

/// An error object in a stream (WIRE §8.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamError {
    /// Machine-readable code, the thing clients branch on.
    pub code: String,
    /// Text for people.
    pub message: String,
    /// `type`, if given.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Plan, for limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_type: Option<String>,
    /// Unix seconds, for limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<i64>,
}

fn once() -> u32 {
    1
}
