//! The plugin's texts against what the daemon really serves.

use std::collections::BTreeSet;

use codex_oauth_proto::tools::TOOLS_JSON;
use codex_oauth_proto::{BUILD, NextStep, Surface};
use serde_json::Value;

use crate::machine::{files, repository};

/// How Claude Code names a tool of the server `codex` of the plugin `codex-oauth` (MCP §2).
const TOOL_PREFIX: &str = "mcp__plugin_codex-oauth_codex__";

/// What a text may run with Claude Code's Bash tool: the plugin's own launcher of the command, with one of its subcommands. Quoted:
/// its folder may have a space in its name.
const COMMAND_PREFIX: &str = r#"Bash("${CLAUDE_PLUGIN_ROOT}/bin/codex-oauth" "#;

/// No text of the plugin is half as long; a program is far longer.
const MAX_FILE_BYTES: usize = 32 * 1024;

#[test]
fn the_plugin_carries_the_tools_that_the_daemon_serves() {
    assert_eq!(read("plugin/tools.json"), TOOLS_JSON, "run `cp proto/src/tools.json plugin/tools.json`");
}

#[test]
fn every_tool_and_argument_that_a_text_names_exists() {
    let tools = tools();
    let known: BTreeSet<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let query = tools.iter().find(|tool| tool["name"] == "codex_query").unwrap();
    let arguments = query["inputSchema"]["properties"].as_object().unwrap();
    for (name, text) in texts() {
        for word in text.split('`').skip(1).step_by(2) {
            if word.starts_with("codex_") {
                assert!(known.contains(word), "{name} names the tool `{word}`");
            }
        }
        if name == "commands/codex.md" {
            for argument in ["prompt", "model", "reasoning_effort"] {
                assert!(text.contains(&format!("`{argument}`")) && arguments.contains_key(argument));
            }
        }
    }
}

#[test]
fn each_text_may_call_exactly_the_tools_that_it_names() {
    let known: Vec<String> = tools().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    for (name, text) in texts() {
        let (commands, tools): (Vec<&str>, Vec<&str>) =
            field(&text, "allowed-tools").split(", ").partition(|tool| tool.starts_with("Bash("));
        let allowed: BTreeSet<&str> = tools
            .iter()
            .map(|tool| tool.strip_prefix(TOOL_PREFIX).unwrap_or_else(|| panic!("{name}: {tool}")))
            .collect();
        let body = text.splitn(3, "---\n").nth(2).unwrap();
        let named: BTreeSet<&str> =
            known.iter().map(String::as_str).filter(|tool| body.contains(&format!("`{tool}`"))).collect();
        assert_eq!(allowed, named, "{name}");
        for command in commands {
            let subcommand = command.strip_prefix(COMMAND_PREFIX).and_then(|rest| rest.strip_suffix(":*)"));
            let subcommand = subcommand.unwrap_or_else(|| panic!("{name}: {command}"));
            let named = format!("`{}{subcommand}", COMMAND_PREFIX.trim_start_matches("Bash("));
            assert!(body.contains(&named), "{name}: {named}");
            // What only looks, and what mends permissions.
            assert!(["doctor", "explain"].contains(&subcommand), "{name}: {subcommand}");
        }
    }
}

#[test]
fn no_two_texts_share_a_name() {
    let texts = texts();
    let names: BTreeSet<String> = texts
        .iter()
        .map(|(path, text)| match path.strip_prefix("commands/") {
            Some(file) => file.trim_end_matches(".md").to_owned(),
            None => field(text, "name").to_owned(),
        })
        .collect();
    assert_eq!(names.len(), texts.len(), "commands and skills are one list in Claude Code: {names:?}");
    for (path, text) in &texts {
        assert!(!field(text, "description").is_empty(), "{path}");
    }
}

#[test]
fn the_command_that_errors_point_to_exists() {
    let step = NextStep::Login.render(Surface::ClaudeCode);
    let command = step.split("/codex-oauth:").nth(1).unwrap().split(' ').next().unwrap();
    assert!(repository().join(format!("plugin/commands/{command}.md")).is_file(), "{step}");
}

#[test]
fn every_file_tells_the_same_name_and_version() {
    let manifest: Value = serde_json::from_str(&read("plugin/.claude-plugin/plugin.json")).unwrap();
    assert_eq!((&manifest["name"], &manifest["version"]), (&"codex-oauth".into(), &BUILD.into()));
    let marketplace: Value = serde_json::from_str(&read(".claude-plugin/marketplace.json")).unwrap();
    assert_eq!(
        (&marketplace["name"], &marketplace["plugins"][0]["name"]),
        (&"codex-oauth".into(), &manifest["name"])
    );
    let version = format!(r#""version":"{BUILD}""#);
    assert!(read("plugin/bin/codex-oauth-mcp").contains(&version), "the launcher has another version");
}

#[test]
fn the_server_is_the_launcher_and_gets_the_debug_switch() {
    let servers: Value = serde_json::from_str(&read("plugin/.mcp.json")).unwrap();
    let server = &servers["mcpServers"]["codex"];
    let launcher = server["command"].as_str().unwrap().strip_prefix("${CLAUDE_PLUGIN_ROOT}/").unwrap();
    assert!(repository().join("plugin").join(launcher).is_file());
    assert_eq!(server["env"]["CODEX_DEBUG"], "${CODEX_DEBUG:-0}");
}

#[test]
fn no_program_is_part_of_the_plugin() {
    for path in files(&repository().join("plugin")) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() < MAX_FILE_BYTES && std::str::from_utf8(&bytes).is_ok(), "{}", path.display());
    }
}

fn tools() -> Vec<Value> {
    serde_json::from_str(TOOLS_JSON).unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// Commands and skills, by their paths in the plugin.
fn texts() -> Vec<(String, String)> {
    let plugin = repository().join("plugin");
    let paths = ["commands", "skills"].iter().flat_map(|folder| files(&plugin.join(folder)));
    let texts: Vec<_> = paths
        .map(|path| {
            let name = path.strip_prefix(&plugin).unwrap().display().to_string();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    assert_eq!(texts.len(), 6);
    texts
}

/// A field of the front matter.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let head = text.split("---\n").nth(1).unwrap();
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {head}"))
}
