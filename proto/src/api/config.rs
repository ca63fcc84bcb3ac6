//! `config/*`: what the daemon runs with.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Empty, method};

method! {
    /// Every setting in force, with where it comes from. The daemon reads them once, when it starts.
    Read = "config/read", Empty => ReadResult
}

/// See [`Read`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadResult {
    /// Where `config.toml` is looked for.
    pub config_file: String,
    /// Whether there was one when the daemon started.
    pub config_file_read: bool,
    /// What the next start of the daemon finds in `config.toml`, when that is no longer what this run has read: that it
    /// was changed, or why it cannot be used.
    pub config_file_note: Option<String>,
    /// Every setting, in the order in which it is explained.
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Its name; the key in `config.toml` when `file_key` is true. Bounds and waits begin with `limits.`, and a wait is in
    /// milliseconds and ends in `_ms`.
    pub name: String,
    /// Text, number, list, or `null` for none.
    pub value: Value,
    /// Who said so.
    pub source: Source,
    /// The environment variable that sets it, if there is one. It wins over `config.toml`.
    pub variable: Option<String>,
    /// Whether `config.toml` can set it.
    pub file_key: bool,
}

/// Who said what a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nobody; it is what ships.
    Default,
    /// `config.toml`.
    File,
    /// The setting's environment variable.
    Environment,
    /// A source that this build does not know.
    #[serde(other)]
    Unknown,
}
