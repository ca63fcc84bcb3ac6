//! Short words for what most tests here do.

use std::io::Write as _;

use codex_oauth_proto::hello::Role;
use codex_oauth_rig::{Home, Lines, Rig, text_of};
use fake_openai::MintRequest;
use serde_json::{Value, json};

/// An initialized MCP session on the daemon's socket, without a shim.
pub(crate) fn mcp(home: &Home) -> Lines {
    let mut lines = Lines::open(home, Role::Mcp);
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
    lines.send(&json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params}));
    assert_eq!(lines.answer(&json!("init"))["result"]["protocolVersion"], "2025-11-25");
    lines.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    lines
}

/// Sends a tool call.
pub(crate) fn call(lines: &mut Lines, id: &Value, tool: &str, arguments: &Value) {
    let params = json!({"name": tool, "arguments": arguments});
    lines.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}));
}

/// Asks, and gives the whole result.
pub(crate) fn ask(lines: &mut Lines, prompt: &str) -> Value {
    let id = json!(format!("ask {}", prompt.chars().take(40).collect::<String>()));
    call(lines, &id, "codex_query", &json!({"prompt": prompt}));
    lines.answer(&id)["result"].clone()
}

/// Asks, and gives the text of an answer that is no error.
pub(crate) fn answer(lines: &mut Lines, prompt: &str) -> String {
    let result = ask(lines, prompt);
    assert_ne!(result["isError"], true, "{result}");
    text_of(&result)
}

/// Asks, and gives the text of a failure.
pub(crate) fn failure(lines: &mut Lines, prompt: &str) -> String {
    let result = ask(lines, prompt);
    assert_eq!(result["isError"], true, "{result}");
    text_of(&result)
}

/// What `daemon/status` says.
pub(crate) fn status_of(home: &Home) -> Value {
    let mut lines = Lines::open(home, Role::Api);
    lines.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    lines.answer(&json!(1))["result"].clone()
}

/// Puts an access token into the file that ends in so many seconds. The refresh token stays as it is.
pub(crate) fn end_token(rig: &Rig, seconds_left: i64) {
    let path = rig.home.auth_file();
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let login = &mut record["openai_codex"];
    let ended = MintRequest { access_token_life_secs: Some(seconds_left), ..MintRequest::default() };
    login["access_token"] = json!(rig.fake.mint(&ended).access_token);
    login["expires_at"] = json!(1);
    // A pair that was renewed a moment ago is not renewed again for its end: the clock might be wrong.
    login["grant"]["last_refresh"] = Value::Null;
    std::fs::File::create(path).unwrap().write_all(record.to_string().as_bytes()).unwrap();
}
