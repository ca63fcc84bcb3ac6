//! The tools: their list, and the arguments as the daemon reads them.

use std::sync::LazyLock;

use codex_oauth_proto::tools::TOOLS_JSON;
use codex_oauth_proto::{ErrorCode, NextStep, WireError};
use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::service::Question;

/// The list that is shown to clients, as the SDK writes it. The text is made once: a session's first requests are what a
/// client waits for, and copying and escaping the list was a fifth of what they cost the daemon.
pub(super) fn list() -> &'static [u8] {
    static TOOLS: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let tools: serde_json::Result<Vec<Tool>> = serde_json::from_str(TOOLS_JSON);
        tools
            .and_then(|tools| serde_json::to_vec(&tools))
            .expect("the list is part of the build and a test reads it")
    });
    &TOOLS
}

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Asks.
    Query,
    /// How the login stands.
    Status,
    /// Signs in.
    Login,
    /// Signs out.
    Clear,
    /// The live list.
    Models,
}

impl Name {
    /// In the order of the list.
    const ALL: [Self; 5] = [Self::Query, Self::Status, Self::Login, Self::Clear, Self::Models];

    /// The tool that is called so.
    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    /// As in the list.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "codex_query",
            Self::Status => "codex_status",
            Self::Login => "codex_login",
            Self::Clear => "codex_clear",
            Self::Models => "codex_models",
        }
    }
}

/// The arguments of `codex_query`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryArguments {
    prompt: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    system_prompt: Option<String>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    reasoning_effort: Option<String>,
    #[serde(default)]
    account: Option<String>,
}

/// The arguments of `codex_status`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StatusArguments {
    pub(super) wait_for_login: bool,
}

/// The arguments of a tool that takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoArguments {}

impl From<QueryArguments> for Question {
    fn from(arguments: QueryArguments) -> Self {
        // Models fill an optional string with "" when they mean nothing.
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        Self {
            prompt: arguments.prompt,
            model: given(arguments.model),
            effort: given(arguments.reasoning_effort),
            instructions: given(arguments.system_prompt),
            temperature: arguments.temperature,
            account: given(arguments.account),
        }
    }
}

/// Reads a tool's arguments; what is wrong with them is said by name, so that the model can mend its call.
pub(super) fn arguments<T: DeserializeOwned>(tool: Name, given: Option<JsonObject>) -> Result<T, WireError> {
    serde_json::from_value(Value::Object(given.unwrap_or_default())).map_err(|error| {
        let message = format!("could not read the arguments of {}: {error}", tool.as_str());
        WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_list_survives_the_sdk_unchanged() {
        let written: Value = serde_json::from_str(TOOLS_JSON).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(list()).unwrap(), written);
    }

    #[test]
    fn every_tool_of_the_list_can_be_called_and_no_other() {
        let listed: Vec<Value> = serde_json::from_str(TOOLS_JSON).unwrap();
        let listed: Vec<&str> = listed.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(listed, Name::ALL.map(Name::as_str));
        assert_eq!(Name::of("codex_model"), None);
    }

    #[test]
    fn a_wrong_argument_is_named() {
        for (given, named) in [
            (json!({}), "prompt"),
            (json!({"prompt": 5}), "string"),
            (json!({"prompt": "x", "modle": "y"}), "modle"),
            (json!({"prompt": "x", "temperature": "hot"}), "hot"),
        ] {
            let Value::Object(given) = given else { unreachable!("all rows are objects") };
            let refused = arguments::<QueryArguments>(Name::Query, Some(given)).unwrap_err();
            assert!(refused.message.contains(named), "{}", refused.message);
        }
    }

    #[test]
    fn an_empty_optional_argument_means_none() {
        let Value::Object(given) = json!({"prompt": "x", "model": "", "system_prompt": " "}) else {
            unreachable!()
        };
        let question = Question::from(arguments::<QueryArguments>(Name::Query, Some(given)).unwrap());
        assert_eq!((question.model, question.instructions), (None, None));
    }
}
