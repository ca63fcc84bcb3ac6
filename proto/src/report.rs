//! How a starting daemon tells its starter how it went: one line on its standard output, a pipe to the starter. The end
//! of the pipe without a line means that it died.

use serde::{Deserialize, Serialize};

use crate::{Nonce, WireError};

/// The argument that makes the daemon report: `codex-oauthd run --report`.
pub const REPORT_FLAG: &str = "--report";

/// The line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartupReport {
    /// It accepts connections.
    Ready {
        /// Its process id.
        pid: u32,
        /// This run of the daemon.
        nonce: Nonce,
    },
    /// Another daemon holds the instance lock; connect to that one.
    AlreadyRunning {
        /// What the lock's holder wrote about itself.
        holder: String,
    },
    /// It could not start.
    Failed(WireError),
}
