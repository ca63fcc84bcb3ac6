//! The process: two flags, else the cable on standard input and output.

use std::io::{self, Write as _};
use std::process::ExitCode;

use codex_oauth_mcp::{Arena, DaemonConnector, Limits};
use codex_oauth_proto::{BUILD, Nonce};

/// A session is short of time at its start only.
#[global_allocator]
static MEMORY: Arena = Arena::new();

const HELP: &str = "\
codex-oauth-mcp: the MCP server of codex-oauth, on standard input and output.
It is started by an MCP client such as Claude Code; the command for people is `codex-oauth`.

usage: codex-oauth-mcp [--version | --help]
";

/// The exit code for wrong usage, as most commands have it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => serve().unwrap_or_else(|error| {
            complain(&format!("codex-oauth-mcp: could not serve the client: {error}\n"));
            ExitCode::FAILURE
        }),
        [flag] if flag == "--version" => print(&format!("codex-oauth-mcp {BUILD}\n")),
        [flag] if flag == "--help" => print(HELP),
        _ => {
            complain(HELP);
            ExitCode::from(USAGE)
        }
    }
}

fn serve() -> io::Result<ExitCode> {
    if codex_oauth_mcp::is_at_terminal() {
        complain(
            "codex-oauth-mcp is an MCP server and waits for JSON-RPC; for people there is `codex-oauth`\n",
        );
    }
    let limits = Limits::default();
    codex_oauth_mcp::with_stdio(|stdin, stdout| {
        let connector = DaemonConnector::new(stdin, limits.last_answers);
        codex_oauth_mcp::run(stdin, stdout, Nonce::random()?, connector, limits)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str) {
    // With standard error closed there is nobody to tell; the exit code remains.
    let _unread = io::stderr().write_all(text.as_bytes());
}
