//! The official SDK's client over a real shim.

use std::process::Stdio;

use rmcp::model::{CallToolRequestParams, CallToolResult, ClientConfig};
use rmcp::service::{RoleClient, RunningService};
use rmcp::{ClientHandler, ServiceExt as _};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{Home, binary};

/// An initialized client; the shim ends with it.
#[derive(Debug)]
pub struct McpClient<H: ClientHandler = ClientConfig> {
    /// The SDK's side.
    pub client: RunningService<RoleClient, H>,
    _shim: Child,
}

impl McpClient {
    /// Spawns a shim in this home and initializes.
    pub async fn connect(home: &Home) -> Self {
        Self::connect_as(home, ClientConfig::default()).await
    }
}

impl<H: ClientHandler> McpClient<H> {
    /// The same with a handler of the caller's own, for notifications.
    pub async fn connect_as(home: &Home, handler: H) -> Self {
        let mut shim = Command::from(home.command(&binary("codex-oauth-mcp")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the shim's binary runs");
        let pipes = (shim.stdout.take().expect("piped"), shim.stdin.take().expect("piped"));
        let client = handler.serve(pipes).await.expect("the server initializes");
        Self { client, _shim: shim }
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let params = CallToolRequestParams::new(tool).with_arguments(arguments);
        self.client.call_tool(params).await.expect("an answer, perhaps an error result")
    }
}

/// The text of a result's content blocks, one a line.
pub fn text_of(result: &Value) -> String {
    let blocks = result["content"].as_array().cloned().unwrap_or_default();
    blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
}
