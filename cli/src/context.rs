//! What every command works with.

use codex_oauth_proto::Client;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::hello::Welcome;

use crate::failure::Failure;
use crate::output::{self, Output};

/// The process's surroundings.
pub(crate) struct Context {
    /// What decides where the daemon is.
    pub(crate) env: Env,
    /// Standard output and standard error.
    pub(crate) output: Output,
}

impl Context {
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
