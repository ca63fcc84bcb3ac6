//! `codex-oauth daemon …`: the daemon's life in a person's hands.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::daemon::{Drain, DrainParams, Status, StatusResult};
use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::launch::{LaunchError, find_daemon};
use codex_oauth_proto::lock::{self, FileLock, LockError};
use codex_oauth_proto::{Client, ErrorCode, NextStep, Retry, Surface, Waited, WireError, peer};
use serde::Serialize;

use super::service;
use crate::args::DaemonCommand;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use codex_oauth_proto::people::status::daemon_text;
use codex_oauth_proto::people::words::labelled;

/// How long `stop` waits. Running questions get 30 s to finish; the rest is for the end itself.
const STOP_PATIENCE: Duration = Duration::from_secs(45);

/// Runs one of the subcommands.
pub(crate) fn run(context: &mut Context, command: DaemonCommand) -> Result<Exit, Failure> {
    match command {
        DaemonCommand::Run => foreground(context),
        DaemonCommand::Start => start(context),
        DaemonCommand::Stop => stop(context),
        DaemonCommand::Status { json } => status(context, json),
    }
}

/// A session with the daemon, if one runs. Starts none, nor has the system's manager start one, which listens in its place.
pub(super) fn running(env: &Env) -> Result<Option<Client>, WireError> {
    let endpoint = Endpoint::resolve(env).map_err(|error| LaunchError::from(error).to_wire())?;
    if service::listens(env) && peer::living_daemon(&endpoint).is_none() {
        return Ok(None);
    }
    Client::open_if_running(env)
}

/// Becomes the daemon; where a process cannot become another one, waits for it.
fn foreground(context: &Context) -> Result<Exit, Failure> {
    let daemon = find_daemon(&context.env).map_err(|error| error.to_wire())?;
    match become_daemon(Command::new(&daemon).arg("run")) {
        Ok(true) => Ok(Exit::Success),
        // It has said why.
        Ok(false) => Ok(Exit::Daemon),
        Err(source) => Err(LaunchError::Spawn { path: daemon, source }.to_wire().into()),
    }
}

/// Comes back only with the reason why not.
#[cfg(unix)]
fn become_daemon(daemon: &mut Command) -> io::Result<bool> {
    Err(std::os::unix::process::CommandExt::exec(daemon))
}

/// Whether it ended well.
#[cfg(windows)]
fn become_daemon(daemon: &mut Command) -> io::Result<bool> {
    Ok(daemon.status()?.success())
}

fn start(context: &mut Context) -> Result<Exit, Failure> {
    let found = running(&context.env)?;
    let word = if found.is_some() { "already running" } else { "started" };
    let client = match found {
        Some(client) => client,
        None => context.connect()?,
    };
    let welcome = client.welcome();
    context.output.line(&format!("{word}: codex-oauthd {}, process {}", welcome.build, welcome.pid))?;
    Ok(Exit::Success)
}

fn stop(context: &mut Context) -> Result<Exit, Failure> {
    let told = if stop_running(context)? { "daemon stopped" } else { "no daemon was running" };
    context.output.line(told)?;
    Ok(Exit::Success)
}

/// Asks the running daemon to end and waits until it has; whether there was one.
pub(super) fn stop_running(context: &mut Context) -> Result<bool, Failure> {
    let endpoint = Endpoint::resolve(&context.env).map_err(|error| LaunchError::from(error).to_wire())?;
    let deadline = Instant::now() + STOP_PATIENCE;
    let lock = endpoint.instance_lock();
    let holder = holder(&lock);
    match running(&context.env) {
        Ok(Some(client)) => {
            context
                .output
                .progress("waiting for running answers to finish; Ctrl-C leaves it to end by itself")?;
            drain(client, deadline)?;
        }
        Ok(None) => return wait_for_ending(context, &endpoint, deadline),
        // Somebody else has told it already: only the wait is left.
        Err(error) if error.code == ErrorCode::Draining => {}
        Err(error) => return Err(error.into()),
    }
    // Another text in the lock is another daemon: ours is gone, and the next one was started right away.
    let replaced = || (self::holder(&lock) != holder).then_some(());
    let left = deadline.saturating_duration_since(Instant::now());
    FileLock::acquire(&lock, left, replaced).map_err(|error| not_stopped(&error))?;
    // It still writes its last answers, into a folder that an uninstall removes next.
    wait_for_end(&endpoint, deadline)?;
    Ok(true)
}

/// Waits for every daemon that nobody reaches any more and that still finishes answers; whether there was one.
fn wait_for_ending(context: &mut Context, endpoint: &Endpoint, deadline: Instant) -> Result<bool, Failure> {
    let Some(holder) = ending(endpoint) else { return Ok(false) };
    context.output.progress(&format!("a daemon that was told to end still finishes answers{holder}"))?;
    wait_for_end(endpoint, deadline)?;
    Ok(true)
}

/// Waits until no daemon is left that has handed over.
fn wait_for_end(endpoint: &Endpoint, deadline: Instant) -> Result<(), Failure> {
    let left = deadline.saturating_duration_since(Instant::now());
    FileLock::acquire(&endpoint.ending_lock(), left, || None::<FileLock>)
        .map_err(|error| not_stopped(&error))?;
    Ok(())
}

/// ` (pid 42 …)` of the last daemon that has handed over, while one still finishes answers.
pub(super) fn ending(endpoint: &Endpoint) -> Option<String> {
    let lock = endpoint.ending_lock();
    match lock.exists().then(|| FileLock::try_acquire(&lock))? {
        Err(LockError::Held { text, .. }) => Some(format!(" ({text})")),
        _ => None,
    }
}

/// Asks the daemon to end and waits until it hangs up, or until `deadline`. What it still sends meanwhile is not for us.
fn drain(mut client: Client, deadline: Instant) -> Result<(), WireError> {
    client.call::<Drain>(&DrainParams { reason: "codex-oauth daemon stop".to_owned() })?;
    loop {
        match client.wait(Some(deadline), None) {
            Ok(Waited::Notification(_) | Waited::Woken | Waited::Alive) => {}
            Ok(Waited::TimedOut) => return Err(still_ending()),
            // It hung up: what was waited for.
            Err(error) if error.code == ErrorCode::DaemonUnavailable => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// What the lock's holder wrote about itself; empty when there is no lock file.
fn holder(lock: &Path) -> String {
    lock::described(lock)
}

fn not_stopped(error: &LockError) -> WireError {
    match error {
        LockError::Held { .. } => still_ending(),
        LockError::Io { .. } => {
            let message = codex_oauth_proto::connect::with_causes(error);
            WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, message).next(NextStep::Retry)
        }
    }
}

/// It has been told, and has answers to finish.
fn still_ending() -> WireError {
    let message = format!(
        "could not see the daemon end within {} s: it takes no further questions and ends by itself when its answers are done",
        STOP_PATIENCE.as_secs()
    );
    WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, message).next(NextStep::Retry)
}

/// The shape of `daemon status --json`: `{"running":false}`, or true with the daemon's own words beside it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    running: bool,
    #[serde(flatten)]
    status: Option<&'a StatusResult>,
}

fn status(context: &mut Context, json: bool) -> Result<Exit, Failure> {
    let client = running(&context.env)?;
    let status = client.map(|mut client| client.call::<Status>(&Empty {})).transpose()?;
    if json {
        context.output.json(&Report { running: status.is_some(), status: status.as_ref() })?;
    } else if let Some(status) = &status {
        context.output.out(&page(status))?;
    } else {
        not_running(context)?;
    }
    Ok(if status.is_some() { Exit::Success } else { Exit::Daemon })
}

fn not_running(context: &mut Context) -> io::Result<()> {
    let ending = Endpoint::resolve(&context.env).ok().and_then(|endpoint| ending(&endpoint));
    let ending = ending.map_or_else(String::new, |holder| {
        labelled("note", &format!("one that was told to end still finishes answers{holder}")) + "\n"
    });
    context.output.out(&format!(
        "daemon     not running\n{ending}next       run `codex-oauth daemon start`, or ask something\n"
    ))
}

fn page(status: &StatusResult) -> String {
    let memory = status.pss_bytes.map_or_else(String::new, |bytes| format!(" · {}", mebibytes(bytes)));
    let files = status.open_files.map_or_else(String::new, |files| format!(" · {files} open files"));
    let lost = match status.log_lines_lost {
        0 => String::new(),
        lost => format!("log        {lost} lines could not be written\n"),
    };
    let refused = match status.peers_refused {
        0 => String::new(),
        refused => format!("refused    {refused} connections of other users\n"),
    };
    format!(
        "daemon     {}\n\
         process    {}{memory}{files}\n\
         questions  {} since the start\n\
         socket     {}\n\
         login      {}\n\
         issuer     {}\n\
         backend    {}\n\
         {refused}{lost}",
        daemon_text(status, Surface::Shell),
        status.pid,
        status.turns_ended,
        status.socket,
        status.credential_file,
        status.issuer,
        status.backend,
    )
}

/// `9.0 MiB`.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
