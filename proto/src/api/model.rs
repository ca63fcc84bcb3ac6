//! `model/*`: the live list.

use serde::{Deserialize, Serialize};

use super::account::OfAccount;
use super::method;

method! {
    /// The models of this account, from the backend, kept for five minutes.
    List = "model/list", OfAccount => ListResult
}

/// See [`List`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListResult {
    /// In the backend's order of preference; hidden ones included.
    pub models: Vec<Model>,
    /// The one used when a question names none.
    pub default: Option<String>,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Model {
    /// The name to use in `model`.
    pub id: String,
    /// For people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// Used when a question names no effort.
    pub default_reasoning_effort: Option<String>,
    /// What may be asked for.
    pub reasoning_efforts: Vec<String>,
    /// Tokens.
    pub context_window: Option<u64>,
    /// Not shown in the official client's picker; usable.
    pub hidden: bool,
    /// Whether this is the default.
    pub is_default: bool,
}
