//! `daemon/*`: the daemon itself.

use serde::{Deserialize, Serialize};

use super::{Empty, method};
use crate::Nonce;

method! {
    /// How the daemon is.
    Status = "daemon/status", Empty => StatusResult
}
method! {
    /// Writes out what was logged so far. The log gathers lines for some milliseconds; whoever reads it right after an answer
    /// asks for this first.
    LogFlush = "daemon/log/flush", Empty => LogFlushResult
}
method! {
    /// Stops taking new sessions and calls, lets running ones finish, then ends. Returns at once.
    Drain = "daemon/drain", DrainParams => Empty
}

/// See [`Status`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusResult {
    /// The daemon's build.
    pub build: String,
    /// The version of the conversation on this session.
    pub protocol: u16,
    /// Its process id.
    pub pid: u32,
    /// This run of the daemon.
    pub nonce: Nonce,
    /// `serving`, `draining` or `closing`.
    pub phase: String,
    /// Milliseconds since it was ready.
    pub uptime_ms: u64,
    /// Sessions connected, this one included.
    pub sessions: u64,
    /// Turns running.
    pub turns_running: u64,
    /// Turns ended since the start, by any end.
    pub turns_ended: u64,
    /// Connections of another user that were closed unheard.
    pub peers_refused: u64,
    /// The socket.
    pub socket: String,
    /// The credential file.
    pub credential_file: String,
    /// The issuer in use.
    pub issuer: String,
    /// The backend in use.
    pub backend: String,
    /// Bytes of memory that are this process's own share (PSS); `null` where the system does not tell.
    pub pss_bytes: Option<u64>,
    /// Why answers are not kept at the moment, if so: questions are answered all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_fault: Option<String>,
    /// Open descriptors; `null` where the system does not tell.
    pub open_files: Option<u64>,
    /// Lines that the daemon's log lost since the start: its disk was full, or nobody read it.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// A service manager listens at the socket, and starts this daemon and the next one.
    #[serde(default)]
    pub managed: bool,
}

/// See [`LogFlush`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFlushResult {
    /// Everything is written; false: where the log goes takes nothing at the moment.
    pub written: bool,
}

/// See [`Drain`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DrainParams {
    /// Why, for the log.
    pub reason: String,
}
