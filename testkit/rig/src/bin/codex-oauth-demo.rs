//! The demo: one question through the real shim, socket, daemon and SSE, answered by fake-openai. Started by `./demo`.
//!
//! It makes a home of its own in the temporary folder and touches no other.

#![expect(clippy::print_stdout, reason = "a demo is for looking at")]

use std::process::ExitCode;
use std::time::Duration;

use codex_oauth_rig::{Home, McpClient, Rig, binary};
use fake_openai::{Effect, Endpoint, Pace, Script, StreamFault};
use rmcp::ClientHandler;
use rmcp::RoleClient;
use rmcp::model::ProgressNotificationParam;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::NotificationContext;
use serde_json::json;

const QUESTION: &str = "What is Python?";

/// Slow enough to see it stream.
const PACE: (usize, Duration) = (160, Duration::from_millis(15));

fn main() -> ExitCode {
    let question = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let question = if question.trim().is_empty() { QUESTION.to_owned() } else { question };
    let rig = Rig::new();
    println!("SIMULATED: issuer and backend are fake-openai on this machine. Nothing leaves");
    println!("it, and no account is used. Everything else is real: shim, socket, daemon,");
    println!("login, HTTP and SSE.\n");
    let mut daemon = rig.daemon();
    said(
        "daemon",
        &format!("process {} listens at {}", daemon.pid(), rig.home.endpoint().socket().display()),
    );
    rig.sign_in();
    said("login", "with PKCE; the demo follows the link as a browser does\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime for the MCP client");
    let asked = runtime.block_on(ask(&rig, &question));
    let shown = asked
        && ask_in_shell(&rig, &question)
        && show(&rig.home, &["status"])
        && show(&rig.home, &["models"]);
    let stopped = show(&rig.home, &["daemon", "stop"]) && daemon.wait().success();
    let streamed = rig.fake.requests(Endpoint::Responses).iter().filter(|entry| entry.events > 0).count();
    println!("{streamed} answers came over SSE; the daemon has ended, and its home is removed.");
    println!("next: sh install.sh, then `codex-oauth login` with an account of your own");
    if shown && stopped && streamed == 2 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Asks as Claude Code does: an MCP client that spawns the shim.
async fn ask(rig: &Rig, question: &str) -> bool {
    said("MCP", &format!("codex_query {{\"prompt\": {}}}", json!(question)));
    let (bytes, every) = PACE;
    let pace = Pace { bytes, every_ms: u64::try_from(every.as_millis()).unwrap_or(u64::MAX) };
    rig.fake.script(Script::always(
        Endpoint::Responses,
        Effect::stream(StreamFault::None).paced(pace.bytes, every),
    ));
    let mcp = McpClient::connect_as(&rig.home, Progress).await;
    let arguments = json!({"prompt": question}).as_object().cloned().unwrap_or_default();
    let params = CallToolRequestParams::new("codex_query").with_arguments(arguments);
    let result: CallToolResult = match mcp.client.call_tool(params).await {
        Ok(result) => result,
        Err(error) => {
            said("failed", &error.to_string());
            return false;
        }
    };
    for (block, label) in result.content.iter().zip(["answer", "cost"]) {
        said(label, block.as_text().map_or("", |text| &text.text));
    }
    result.is_error != Some(true)
}

/// Asks from the command line, which streams.
fn ask_in_shell(rig: &Rig, question: &str) -> bool {
    println!();
    show(&rig.home, &["ask", question])
}

/// Runs the real command line with this terminal.
fn show(home: &Home, arguments: &[&str]) -> bool {
    let typed: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    said("$", &format!("codex-oauth {}", typed.join(" ")));
    let status = home.command(&binary("codex-oauth")).args(arguments).status();
    println!();
    status.is_ok_and(|status| status.success())
}

/// An argument as a person types it into a shell.
fn quoted(argument: &str) -> String {
    if argument.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-') {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

fn said(who: &str, what: &str) {
    println!("{who:>7}  {what}");
}

/// Prints what the tool tells while it works.
struct Progress;

impl ClientHandler for Progress {
    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        said("...", params.message.as_deref().unwrap_or_default());
    }
}
