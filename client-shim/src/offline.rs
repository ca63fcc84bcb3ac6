//! Answers without a daemon, so that a session stays alive, shows its tools, and says at each call what is wrong.

use codex_oauth_proto::jsonrpc::METHOD_NOT_FOUND;
use codex_oauth_proto::tools::TOOLS_JSON;
use codex_oauth_proto::{BUILD, WireError};
use serde_json::{Value, json};

use crate::answer;
use crate::pending::{Kind, Request};

/// Revisions with a handshake, oldest first.
const REVISIONS: &[&str] = &["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// What a client gets that asks for a revision unknown to us: MCP says to answer with one that the server knows.
const NEWEST_REVISION: &str = "2025-11-25";

/// How long a client may keep a list that was made without the daemon (MCP 2026-07-28, caching): not at all.
const TTL_MS: u64 = 0;

/// The answer to `request` while no daemon can be had for `reason`.
pub(crate) fn answer(request: &Request, reason: &WireError) -> Vec<u8> {
    match request.kind {
        Kind::Initialize => answer::result(request, initialize(request.params.protocol_version.as_deref())),
        Kind::Ping => answer::result(request, json!({})),
        Kind::ListTools => answer::result(request, tools(request.params.modern)),
        Kind::Call => answer::failure(request, reason),
        // `server/discover` among them: its client then falls back to `initialize`.
        Kind::Discover | Kind::Listen | Kind::Other => {
            let message = format!("could not find the method: no daemon answers it ({reason})");
            answer::error(&request.id, METHOD_NOT_FOUND, &message)
        }
    }
}

fn initialize(requested: Option<&str>) -> Value {
    let revision = requested.filter(|version| REVISIONS.contains(version)).unwrap_or(NEWEST_REVISION);
    json!({
        "protocolVersion": revision,
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "codex-oauth", "title": "Codex", "version": BUILD },
    })
}

fn tools(modern: bool) -> Value {
    let tools: Value =
        serde_json::from_str(TOOLS_JSON).expect("the list of this build is JSON: a test reads it");
    if modern {
        json!({ "tools": tools, "ttlMs": TTL_MS, "cacheScope": "private" })
    } else {
        json!({ "tools": tools })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_the_five_tools_and_their_arguments() {
        let list = tools(false);
        let tools = list["tools"].as_array().unwrap();
        let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["codex_query", "codex_status", "codex_login", "codex_clear", "codex_models"]);
        assert!(tools.iter().all(|tool| tool["inputSchema"]["type"] == "object"));
    }

    #[test]
    fn a_known_revision_is_echoed_and_an_unknown_one_answered_with_the_newest() {
        for (requested, answered) in REVISIONS
            .iter()
            .map(|known| (Some(*known), *known))
            .chain([(None, NEWEST_REVISION), (Some("2031-01-01"), NEWEST_REVISION)])
        {
            assert_eq!(initialize(requested)["protocolVersion"], answered);
        }
    }
}
