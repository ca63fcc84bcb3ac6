//! `install`, on Windows only: elsewhere `install.sh` does it.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Install this release for you alone, or upgrade to it
///
/// To be run from an unpacked release, as install.ps1 does. Needs no administrator, and disturbs nothing that runs.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct InstallArgs {
    /// Where to install [default: %LOCALAPPDATA%\Programs\codex-oauth]
    #[arg(long, value_name = "DIR")]
    pub(crate) prefix: Option<PathBuf>,
    /// Leave Claude Code alone
    #[arg(long)]
    pub(crate) no_plugin: bool,
    /// Start the daemon when you log in (codex-oauth service install)
    #[arg(long)]
    pub(crate) service: bool,
}
