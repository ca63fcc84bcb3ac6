//! `codex/models` (WIRE §9.5): the catalogue with its `ETag`.

use hyper::Method;
use serde_json::{Value, json};

use crate::config::Behaviour;
use crate::received::Received;
use crate::reply::Reply;
use crate::text::short_hash;

/// One row of the table in WIRE §9.5.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) slug: &'static str,
    name: &'static str,
    default_effort: &'static str,
    /// How many of [`EFFORTS`], from the first.
    efforts: usize,
    context: u64,
    max_context: u64,
    pub(super) lite: bool,
    listed: bool,
    priority: u64,
    tool_mode: Option<&'static str>,
    multi_agent: Option<&'static str>,
}

/// Reasoning efforts from the least to the most.
const EFFORTS: [&str; 6] = ["low", "medium", "high", "xhigh", "max", "ultra"];

const LITE: Model = Model {
    slug: "",
    name: "",
    default_effort: "low",
    efforts: 6,
    context: 272_000,
    max_context: 872_000,
    lite: true,
    listed: true,
    priority: 0,
    tool_mode: Some("code_mode_only"),
    multi_agent: Some("v2"),
};

const MODELS: [Model; 12] = [
    Model { slug: "gpt-6.1-sol", name: "GPT-6.1-Sol", priority: 1, ..LITE },
    Model { slug: "gpt-6-astra", name: "GPT-6-Astra", priority: 2, ..LITE },
    Model { slug: "gpt-6-sol", name: "GPT-6-Sol", default_effort: "medium", priority: 3, ..LITE },
    Model {
        slug: "gpt-6-luna",
        name: "GPT-6-Luna",
        default_effort: "medium",
        efforts: 5,
        priority: 4,
        ..LITE
    },
    Model { slug: "gpt-5.6-sol", name: "GPT-5.6-Sol", priority: 5, ..LITE },
    Model { slug: "gpt-6.1-terra", name: "GPT-6.1 Terra", context: 500_000, priority: 7, ..LITE },
    Model { slug: "gpt-5.6-terra", name: "GPT-5.6-Terra", default_effort: "medium", priority: 8, ..LITE },
    Model {
        slug: "gpt-5.6-luna",
        name: "GPT-5.6-Luna",
        default_effort: "medium",
        efforts: 5,
        priority: 9,
        multi_agent: Some("v1"),
        ..LITE
    },
    Model { slug: "gpt-daybreak-blue-latest", name: "Daybreak Blue", listed: false, priority: 11, ..LITE },
    Model {
        slug: "gpt-daybreak-red-latest",
        name: "Daybreak Red",
        default_effort: "medium",
        context: 372_000,
        max_context: 372_000,
        listed: false,
        priority: 12,
        ..LITE
    },
    Model {
        slug: "gpt-5.5",
        name: "GPT-5.5",
        default_effort: "medium",
        efforts: 4,
        max_context: 272_000,
        lite: false,
        priority: 13,
        tool_mode: None,
        multi_agent: None,
        ..LITE
    },
    Model {
        slug: "codex-auto-review",
        name: "Codex Auto Review",
        default_effort: "medium",
        efforts: 5,
        listed: false,
        priority: 43,
        multi_agent: Some("v1"),
        ..LITE
    },
];

/// The model of that name, unless it has been retired.
pub(super) fn find(behaviour: &Behaviour, slug: &str) -> Option<&'static Model> {
    MODELS
        .iter()
        .find(|model| model.slug == slug && !behaviour.retired_models.iter().any(|retired| retired == slug))
}

/// The current `ETag`, also in `x-models-etag` of turns.
pub(super) fn etag(behaviour: &Behaviour) -> String {
    let slugs: Vec<&str> = live(behaviour).map(|model| model.slug).collect();
    format!("W/\"fake-{}\"", short_hash(&slugs.join(",")))
}

/// The list, or 304 for a client that has it (RFC 9110 §13.1.2).
pub(super) fn list(behaviour: &Behaviour, received: &Received) -> Reply {
    debug_assert_eq!(received.method, Method::GET);
    let etag = etag(behaviour);
    let known = received.header("if-none-match").is_some_and(|tags| {
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        tags.split(',').any(|tag| tag.trim() == "*" || strong(tag) == strong(&etag))
    });
    let reply = if known {
        Reply::empty(304)
    } else {
        Reply::json(200, json!({"models": live(behaviour).map(info).collect::<Vec<_>>()}))
    };
    reply.header("etag", etag.clone()).header("x-models-etag", etag)
}

fn live(behaviour: &Behaviour) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(|model| find(behaviour, model.slug).is_some())
}

/// A `ModelInfo` with the fields that the official client needs.
fn info(model: &Model) -> Value {
    let levels: Vec<Value> = EFFORTS[..model.efforts]
        .iter()
        .map(|effort| json!({"effort": effort, "description": format!("FAKE {effort} effort")}))
        .collect();
    let mut info = json!({
        "slug": model.slug,
        "display_name": model.name,
        "description": format!("FAKE {}", model.name),
        "default_reasoning_level": model.default_effort,
        "supported_reasoning_levels": levels,
        "shell_type": "unified_exec",
        "visibility": if model.listed { "list" } else { "hide" },
        "supported_in_api": true,
        "priority": model.priority,
        "additional_speed_tiers": ["fast"],
        "service_tiers": [{"id": "priority", "name": "Fast", "description": "FAKE faster"}],
        "availability_nux": null,
        "upgrade": null,
        "model_messages": null,
        "base_instructions": "You are a FAKE model on a test bench. Answer briefly, and change nothing on disk.",
        "include_skills_usage_instructions": false,
        "include_plugin_usage_instructions": false,
        "include_apps_usage_instructions": false,
        "default_reasoning_summary": "none",
        "support_verbosity": true,
        "default_verbosity": "low",
        "apply_patch_tool_type": "freeform",
        "web_search_tool_type": "text_and_image",
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "supports_image_detail_original": true,
        "context_window": model.context,
        "max_context_window": model.max_context,
        "comp_hash": "FAKE",
        "effective_context_window_percent": 95,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"],
        "supports_search_tool": true,
        "supports_experimental_context": false,
        "use_responses_lite": model.lite,
        "supports_reasoning_effort_updates": false,
        "node_repl_auto_review_required": false,
        "node_repl_disabled": false,
    });
    if let Some(mode) = model.tool_mode {
        info["tool_mode"] = json!(mode);
    }
    if let Some(version) = model.multi_agent {
        info["multi_agent_version"] = json!(version);
    }
    info
}
