//! What every command works with.

use codex_oauth_proto::Client;
use codex_oauth_proto::env::Env;

use crate::failure::Failure;
use crate::output::Output;

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
        let client = Client::open_or_start(&self.env)?;
        for warning in &client.welcome().warnings {
            self.output.note(warning)?;
        }
        Ok(client)
    }
}
