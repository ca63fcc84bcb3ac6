//! `-V` and `--version`. Neither starts a daemon.

use codex_oauth_proto::PROTOCOL;
use codex_oauth_proto::version::build;

use super::daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// The product's version on one line.
pub(crate) fn short(context: &mut Context) -> Result<Exit, Failure> {
    context.output.line(&format!("codex-oauth {}", build()))?;
    Ok(Exit::Success)
}

/// Also what is spoken with the daemon, and the running daemon's version. A daemon that cannot be asked is no failure
/// here: the rest of the answer holds, and the line says why.
pub(crate) fn long(context: &mut Context) -> Result<Exit, Failure> {
    let daemon = match daemon::running(&context.env) {
        Ok(Some(client)) => {
            let welcome = client.welcome();
            format!("{} (process {}, protocol {})", welcome.build, welcome.pid, welcome.protocol.0)
        }
        Ok(None) => "not running".to_owned(),
        Err(error) => error.message,
    };
    let (min, max) = (PROTOCOL.min.0, PROTOCOL.max.0);
    let protocol = if min == max { min.to_string() } else { format!("{min} to {max}") };
    short(context)?;
    context.output.out(&format!("protocol    {protocol}\ndaemon      {daemon}\n"))?;
    Ok(Exit::Success)
}
