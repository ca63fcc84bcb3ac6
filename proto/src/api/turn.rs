//! `turn/*`: one question and its answer.

use serde::{Deserialize, Serialize};

use super::{Empty, method};
use crate::WireError;

method! {
    /// Asks. Returns at once; deltas and the end come as notifications on the same session.
    Start = "turn/start", StartParams => StartResult
}
method! {
    /// Calls a turn off. Its `turn/completed` follows with status `interrupted`.
    Interrupt = "turn/interrupt", InterruptParams => Empty
}

method! {
    /// The ends that are kept: of turns that ended in the last ten minutes, also before a restart of the daemon. Latest
    /// first, each answer cut to its beginning.
    List = "turn/list", Empty => ListResult
}
method! {
    /// One of them, with its whole answer.
    Read = "turn/read", ReadParams => Kept
}

/// Notification: a piece of the answer; see [`Delta`].
pub const DELTA: &str = "item/agentMessage/delta";
/// Notification: what the turn is doing; see [`Progress`].
pub const PROGRESS: &str = "turn/progress";
/// Notification: the turn has ended; see [`Completed`]. Always the last one of a turn.
pub const COMPLETED: &str = "turn/completed";

/// See [`Start`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartParams {
    /// What to ask.
    pub input: Vec<InputItem>,
    /// A model's name from `model/list`; the default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// One of the model's efforts; its default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// The system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Accepted and left out, since the backend refuses it; the turn says so in `notes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Which account is to answer; the one of the session's folder, else the default one, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// A piece of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InputItem {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
}

/// See [`Start`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartResult {
    /// Names the turn.
    pub turn_id: String,
}

/// See [`Interrupt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InterruptParams {
    /// Which turn.
    pub turn_id: String,
}

/// See [`DELTA`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// Which turn.
    pub turn_id: String,
    /// The next piece of the answer's text.
    pub delta: String,
}

/// See [`PROGRESS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Which turn.
    pub turn_id: String,
    /// Short and concrete, such as `refreshing login` or `retry 2/5 in 3 s: overloaded`.
    pub message: String,
    /// Milliseconds since the turn began.
    pub elapsed_ms: u64,
}

/// See [`COMPLETED`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completed {
    /// Which turn.
    pub turn_id: String,
    /// How it ended.
    pub status: TurnStatus,
    /// The whole answer; on failure what had come of it, if anything.
    pub answer: Option<String>,
    /// Why it failed.
    pub error: Option<WireError>,
    /// The model that answered.
    pub model: Option<String>,
    /// The effort that was asked for.
    pub effort: Option<String>,
    /// Tokens, as the backend counted them.
    pub usage: Option<Usage>,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
    /// What was done differently than asked, such as an argument left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What it cost in one line, for people.
    pub summary: Option<String>,
    /// The account that served it; absent when none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// See [`List`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListResult {
    /// Latest first.
    pub turns: Vec<Kept>,
}

/// See [`Read`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadParams {
    /// Which turn.
    pub turn_id: String,
}

/// The end of a turn, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Unix seconds.
    pub ended_at: u64,
    /// How.
    pub outcome: Completed,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnStatus {
    /// The answer is whole.
    Completed,
    /// It is not; `error` says why.
    Failed,
    /// It was called off.
    Interrupted,
    /// An end that this build does not know.
    #[serde(other)]
    Unknown,
}

/// Tokens of one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Of the question, cached ones included.
    pub input_tokens: u64,
    /// Of the question, served from the backend's cache.
    pub cached_input_tokens: u64,
    /// Of the answer, reasoning included.
    pub output_tokens: u64,
    /// Of the answer, spent on reasoning.
    pub reasoning_tokens: u64,
    /// Of both.
    pub total_tokens: u64,
}
