//! The log of a daemon that systemd starts: the journal keeps it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use super::{last, print, shown};
use crate::args::LogsArgs;
use crate::child;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What is asked for, as a person would ask.
const ASK: [&str; 5] = ["--user", "-u", "codex-oauthd", "-o", "short-iso"];

/// Lines among which debug lines are looked for.
const SEARCHED_LINES: usize = 20_000;

/// Said of an empty answer. Of a journal that is not kept on disk, a user has no file of his own (journald.conf(5), `SplitMode=`).
const NOTHING: &str = "the journal shows no line of the daemon: it has not run yet, or you may not read the journal, as the groups \
    `systemd-journal` and `adm` may";

/// For a journal of gigabytes on a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// What journalctl puts before the place in the journal where it stopped.
const CURSOR: &str = "-- cursor: ";

/// Shows the last lines, then those that come.
pub(super) fn show(context: &mut Context, args: LogsArgs) -> Result<Exit, Failure> {
    let program = program(context)?;
    context.output.note(&format!("systemd keeps the log: journalctl {}", ASK[..3].join(" ")))?;
    let count = if args.debug { SEARCHED_LINES.max(args.lines) } else { args.lines };
    let mut command = asking(context, &program);
    let said = child::ask(command.args(["-q", "--show-cursor", "-n"]).arg(count.to_string()), PATIENCE);
    let said = said.map_err(|why| unreadable(&why))?;
    let (lines, cursor) = match said.rsplit_once(CURSOR) {
        Some((lines, cursor)) => (lines, Some(cursor.trim())),
        None => (said.as_str(), None),
    };
    if lines.trim().is_empty() && args.lines > 0 {
        context.output.note(NOTHING)?;
    } else {
        print(context, &last(lines.lines(), args.lines, args), args)?;
    }
    if args.follow {
        let mut command = asking(context, &program);
        command.args(["-q", "-f"]);
        match cursor {
            Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
            None => command.args(["-n", "all"]),
        };
        follow(context, &mut command, args)?;
    }
    Ok(Exit::Success)
}

/// The last lines, at most `count`, without the name of this machine.
///
/// # Errors
/// Why they could not be had.
pub(super) fn end(context: &Context, count: usize) -> Result<String, WireError> {
    let mut command = asking(context, &program(context)?);
    command.args(["-q", "--no-pager", "--no-hostname", "-n"]).arg(count.to_string());
    let said = child::ask(&mut command, PATIENCE).map_err(|why| unreadable(&why))?;
    Ok(if said.trim().is_empty() { format!("{NOTHING}\n") } else { said })
}

fn program(context: &Context) -> Result<PathBuf, WireError> {
    child::find(&context.env, "journalctl").ok_or_else(|| {
        unreadable("systemd keeps it, and there is no journalctl on PATH")
            .next(NextStep::FixConfiguration { name: "PATH".to_owned() })
    })
}

fn asking(context: &Context, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(ASK);
    if let (Some(run), None) = (&context.env.run_user, context.env.get("XDG_RUNTIME_DIR")) {
        command.env("XDG_RUNTIME_DIR", run);
    }
    command
}

/// Until Ctrl-C, which ends the journal's program as well.
fn follow(context: &mut Context, command: &mut Command, args: LogsArgs) -> Result<(), Failure> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| unreadable(&error.to_string()))?;
    let Some(stdout) = child.stdout.take() else { return Ok(()) };
    let mut told = Ok(());
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(|error| unreadable(&error.to_string()))?;
        if let Some(line) = shown(&String::from_utf8_lossy(&line), args) {
            told = context.output.line(&line);
        }
        if told.is_err() {
            // Nobody reads what it would say.
            let _ended = child.kill();
            break;
        }
    }
    let _reaped = child.wait();
    Ok(told?)
}

fn unreadable(why: &str) -> WireError {
    WireError::daemon(ErrorCode::Configuration, Retry::Safe, format!("could not read the log: {why}"))
        .next(NextStep::Retry)
}
