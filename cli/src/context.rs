//! What every command works with.

use codex_oauth_proto::api::Method;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::hello::Welcome;
use codex_oauth_proto::{Client, ErrorCode, Retry, WireError};

use crate::failure::Failure;
use crate::output::{self, Output};

/// Daemons that a call is offered to. Each hand-over is an upgrade or an end for want of use, so more than one in the
/// instant between welcome and call is no hand-over.
const MAX_OFFERS: u32 = 3;

/// The process's surroundings.
pub(crate) struct Context {
    /// What decides where the daemon is.
    pub(crate) env: Env,
    /// Standard output and standard error.
    pub(crate) output: Output,
}

impl Context {
    /// A session and what its first call gives. A daemon that is about to end, and has not taken the call, leaves it to its successor.
    pub(crate) fn call<M: Method>(&mut self, params: &M::Params) -> Result<(Client, M::Result), Failure> {
        let mut offers = 1;
        loop {
            let mut client = self.connect()?;
            match client.call::<M>(params) {
                Ok(result) => return Ok((client, result)),
                Err(error) if is_leaving(&error) && offers < MAX_OFFERS => offers += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A session with the daemon, which is started when none runs. What it warns of is passed on as notes.
    pub(crate) fn connect(&mut self) -> Result<Client, Failure> {
        let mut client = Client::open_or_start(&self.env)?;
        if self.env.is_on("CODEX_DEBUG") {
            let Welcome { build, pid, .. } = client.welcome();
            self.output.begin_debug_lines(&format!("[IPC] Connected to daemon {build}, process {pid}"))?;
            client.on_debug_line(output::debug_line);
        }
        for warning in &client.welcome().warnings {
            self.output.note(warning)?;
        }
        Ok(client)
    }
}

/// Whether the daemon ended before it took a call on.
fn is_leaving(error: &WireError) -> bool {
    matches!(error.code, ErrorCode::Draining | ErrorCode::DaemonUnavailable) && error.retry == Retry::Safe
}
