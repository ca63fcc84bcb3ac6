//! `codex-oauth logs`.

use clap::Args;

use super::help;

/// Show what the daemon wrote down
///
/// Its log holds no question, no answer and no token. `--debug` shows what sessions with `CODEX_DEBUG=1` in their environment
/// did, layer by layer: Claude Code shows nobody what its MCP servers say on standard error.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = help::LOGS_HELP)]
pub(crate) struct LogsArgs {
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the debug lines of sessions with `CODEX_DEBUG=1`
    #[arg(long)]
    pub(crate) debug: bool,
    /// How many of the latest lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) lines: usize,
}
