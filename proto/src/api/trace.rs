//! `turn/trace/list`: what became of the last questions, step by step, without a word of question or answer.

use serde::{Deserialize, Serialize};

use super::method;
use super::turn::{TurnStatus, Usage};
use crate::WireError;

method! {
    /// The last 200 turns that have ended, latest first, also those of an earlier run of the daemon.
    List = "turn/trace/list", ListParams => ListResult
}

/// See [`List`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListParams {
    /// Only turns whose id begins so: a turn's short id is the beginning of its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// No more than so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// See [`List`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListResult {
    /// Latest first.
    pub traces: Vec<Trace>,
}

/// One turn. Holds no text of the question, the answer or the backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// Which turn.
    pub turn_id: String,
    /// When it began: Unix milliseconds.
    pub began_at: u64,
    /// How it ended.
    pub status: TurnStatus,
    /// The account that served it, by its name here.
    pub account: Option<String>,
    /// The model that was asked.
    pub model: Option<String>,
    /// The effort that was asked for.
    pub effort: Option<String>,
    /// Bytes of question and instructions.
    pub question_bytes: u64,
    /// Bytes of the answer, or of what had come of it.
    pub answer_bytes: u64,
    /// Tokens, as the backend counted them.
    pub usage: Option<Usage>,
    /// When it reached what.
    pub phases: Phases,
    /// Every time that it was sent, in order.
    pub attempts: Vec<Attempt>,
    /// Why it failed; the message is ours alone, without what OpenAI or the caller wrote.
    pub error: Option<WireError>,
}

/// Milliseconds since the turn began at which each point was reached; null: it was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Phases {
    /// Its turn had come: until then it waited for others.
    pub queued_ms: Option<u64>,
    /// It had an access token, renewed if need be.
    pub token_ms: Option<u64>,
    /// It was first handed to the HTTP client, its model chosen.
    pub sent_ms: Option<u64>,
    /// The first response head came.
    pub first_byte_ms: Option<u64>,
    /// The first piece of the answer came.
    pub first_token_ms: Option<u64>,
    /// It ended.
    pub done_ms: Option<u64>,
}

/// One request of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attempt {
    /// When it was sent: milliseconds since the turn began.
    pub sent_ms: u64,
    /// How long the connection took that was made for it; null: an open one served.
    pub connect_ms: Option<u64>,
    /// When its response head came: milliseconds since the turn began.
    pub first_byte_ms: Option<u64>,
    /// HTTP status.
    pub status: Option<u16>,
    /// The backend's name for it.
    pub request_id: Option<String>,
    /// Why it failed, in our words.
    pub failure: Option<String>,
    /// How long was waited before the next one.
    pub wait_ms: Option<u64>,
}
