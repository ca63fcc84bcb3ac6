//! `codex-oauth uninstall`: the way back from `install.sh`, and on Windows from `install`. Everything that it removes it either knows by name or finds in a
//! folder of our own; everything else that is ours it names, such as programs that came another way.

mod foreign;
#[cfg(unix)]
mod installation;
mod leftovers;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use codex_oauth_proto::connect::with_causes;
use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::launch::LaunchError;
use codex_oauth_proto::lock::{Acquired, FileLock};
use codex_oauth_proto::people::words::labelled;
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use self::foreign::Foreign;
#[cfg(unix)]
use self::installation::Installation;
use self::leftovers::Leftovers;
use super::claude::{self, Unregistered};
#[cfg(windows)]
use super::windows::{Installation, this_program};
use super::{daemon, logout, service};
use crate::args::UninstallArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// For somebody else's start of a daemon to end: as long as that start is given.
const STARTER_PATIENCE: Duration = Duration::from_secs(5);

/// Where the programs come from.
enum Programs {
    /// `install.sh` or `install.ps1`, so they go.
    Installed(Installation),
    /// Somebody else, so they stay.
    Foreign(Foreign),
}

/// Removes the installation that this program belongs to, and all else of ours where there is none.
pub(crate) fn run(context: &mut Context, args: UninstallArgs) -> Result<Exit, Failure> {
    let programs = Programs::of_this_program()?;
    let endpoint = Endpoint::resolve(&context.env).map_err(|error| LaunchError::from(error).to_wire())?;
    let leftovers = Leftovers::of(&context.env, &endpoint)?;
    if !args.yes && !consent(context, &programs, args.purge)? {
        context.output.line("nothing was removed")?;
        return Ok(Exit::Failure);
    }
    if args.purge {
        for told in logout::sign_all_out(context)? {
            context.output.line(&labelled("login", &told))?;
        }
    }
    let mut starting = hold_off_starters(&endpoint)?;
    // First of all: while somebody listens, whoever connects starts the daemon again.
    if service::remove(context)? {
        context.output.line("service    ended")?;
    }
    if daemon::stop_running(context)? {
        context.output.line("daemon     stopped")?;
    }
    unregister(context, programs.marketplace())?;
    if let Programs::Installed(installation) = &programs {
        for path in installation.remove()? {
            context.output.line(&format!("removed    {}", path.display()))?;
        }
    }
    if cfg!(windows) {
        // What is open cannot be removed there. Should a window start a daemon now, the removal says what is in use.
        starting = None;
    }
    let mut left = if args.purge {
        let (removed, left) = leftovers.remove()?;
        for path in removed {
            context.output.line(&format!("removed    {}", path.display()))?;
        }
        left
    } else {
        leftovers.present()
    };
    drop(starting);
    let mut next = None;
    if let Programs::Foreign(foreign) = programs {
        // A plugin that lies in the copies of Claude Code is named once, by its own folder.
        left.retain(|(path, _)| !foreign.left.iter().any(|(program, _)| program.starts_with(path)));
        left.extend(foreign.left);
        next = foreign.command;
    }
    for (path, what) in left {
        context.output.line(&format!("left       {} ({what})", path.display()))?;
    }
    if let Some(command) = next {
        context.output.line(&format!("next       {command}"))?;
    }
    Ok(Exit::Success)
}

impl Programs {
    fn of_this_program() -> Result<Self, Failure> {
        let program = this_program().map_err(|error| {
            let message = format!("could not uninstall: where this program lies is unknown: {error}");
            WireError::caller(ErrorCode::Configuration, message)
        })?;
        let installed = Installation::of(&program).map(Self::Installed);
        Ok(installed.unwrap_or_else(|| Self::Foreign(Foreign::of(&program))))
    }

    /// The folder that may be registered with Claude Code.
    fn marketplace(&self) -> Option<PathBuf> {
        match self {
            Self::Installed(installation) => installation.marketplace(),
            Self::Foreign(foreign) => foreign.marketplace.clone(),
        }
    }
}

#[cfg(unix)]
fn this_program() -> io::Result<PathBuf> {
    std::env::current_exe().and_then(|exe| exe.canonicalize())
}

/// Asks on the terminal. Anything but a yes is a no.
fn consent(context: &mut Context, programs: &Programs, purge: bool) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        let message = "could not ask whether to uninstall: standard input is no terminal; \
                       `--yes` uninstalls without asking";
        return Err(WireError::caller(ErrorCode::InvalidArguments, message)
            .next(NextStep::FixArguments)
            .into());
    }
    let rest = if purge {
        "every login is revoked, state and configuration are removed"
    } else {
        "login, state and configuration stay; --purge removes them as well"
    };
    let question = match programs {
        Programs::Installed(installation) => {
            format!("Remove codex-oauth from {}?", installation.prefix().display())
        }
        Programs::Foreign(_) => "Remove all of codex-oauth but its programs?".to_owned(),
    };
    context.output.err(&format!("{question}\n({rest}) [y/N] "))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| {
        WireError::caller(ErrorCode::InvalidArguments, format!("could not read the answer: {error}"))
    })?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Open windows would start the daemon again while its program is still there: whoever wants to waits for this lock.
fn hold_off_starters(endpoint: &Endpoint) -> Result<Option<FileLock>, Failure> {
    if !endpoint.dir.is_dir() {
        return Ok(None);
    }
    match FileLock::acquire(&endpoint.spawn_lock(), STARTER_PATIENCE, || None::<FileLock>) {
        Ok(Acquired::Lock(lock) | Acquired::Instead(lock)) => Ok(Some(lock)),
        Err(error) => Err(WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, with_causes(&error))
            .next(NextStep::Retry)
            .into()),
    }
}

/// What Claude Code cannot do is said and is no reason to keep the programs.
fn unregister(context: &mut Context, marketplace: Option<PathBuf>) -> Result<(), Failure> {
    let Some(marketplace) = marketplace else { return Ok(()) };
    match claude::unregister(&context.env, &marketplace) {
        Unregistered::Done => context.output.line("plugin     unregistered from Claude Code")?,
        Unregistered::NotRegistered => {}
        Unregistered::NoClaude => context.output.note(
            "`claude` is not on PATH; if the plugin was registered: claude plugin marketplace remove codex-oauth",
        )?,
        Unregistered::Failed(why) => context
            .output
            .note(&format!("could not unregister the plugin, so Claude Code still lists it: {why}"))?,
    }
    Ok(())
}

/// A file or folder that could not be removed.
pub(super) fn not_removed(path: &Path, error: &io::Error) -> Failure {
    let message = format!("could not remove `{}`: {error}", path.display());
    WireError::caller(ErrorCode::Configuration, message)
        .next(NextStep::FixFile { path: path.display().to_string() })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, yes) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yess\n", false)]
        {
            assert_eq!(is_yes(answer), yes, "{answer:?}");
        }
    }
}
