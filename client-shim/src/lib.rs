//! The MCP server that Claude Code spawns: a cable with a memory, between an MCP client's stdio and the daemon's socket.
//!
//! It promises: only whole JSON-RPC lines reach the client; every request is answered exactly once, whatever becomes of
//! the daemon; a call that may have been carried out is never sent again; nothing happens before the client's first
//! request; it ends with its client.
//!
//! Of MCP it knows the heads of lines and nothing else. `relay` decides, without touching a descriptor but for
//! the connector it is given; `cable`, `link`, `poll` and `stdio` are the system's side of it.

mod answer;
mod arena;
mod cable;
mod connector;
mod cut;
mod debug;
mod handshake;
mod head;
mod link;
mod offline;
mod outbox;
mod pending;
mod poll;
mod relay;
mod stdio;

use std::io;
use std::time::Duration;

use codex_oauth_proto::Nonce;
use codex_oauth_proto::local::Source;

pub use arena::Arena;
pub use connector::{Connector, DaemonConnector, Opening};
pub use stdio::{Sink, is_at_terminal, with_stdio};

/// Why a session ended. Both are ordinary ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed our input; what could be answered in time was.
    InputEnded,
    /// The client reads no more.
    OutputBroken,
}

/// How long things may last; a test injects its own.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long answers are awaited after the client closed its side. Claude Code kills 100 ms after its first sign.
    pub last_answers: Duration,
    /// A refusal that came faster than this is asked for again by the next request: waiting for it again costs nothing.
    pub slow_refusal: Duration,
    /// How long a slow refusal is believed, so that a burst of calls does not wait as long for each.
    pub refusal_holds: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            last_answers: Duration::from_millis(80),
            slow_refusal: Duration::from_secs(1),
            refusal_holds: Duration::from_secs(2),
        }
    }
}

/// Serves one client until it goes. `nonce` names this process to the daemon, over every reconnect.
///
/// The mode of `stdin` and `stdout` is left as it is: their file descriptions may be shared with other processes.
///
/// # Errors
/// When the system refuses to wait, to read `stdin` or to write `stdout` for another reason than the client's end.
pub fn run(
    stdin: Source<'_>,
    stdout: Sink<'_>,
    nonce: Nonce,
    connector: impl Connector,
    limits: Limits,
) -> io::Result<End> {
    let relay = relay::Relay::new(nonce, connector, limits);
    cable::Cable::new(stdin, stdout, relay, limits.last_answers)?.run()
}
