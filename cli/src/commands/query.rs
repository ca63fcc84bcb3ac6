//! `codex-oauth query`: one question, its answer as it comes, and nothing of it lost.
//!
//! The answer is the only thing on standard output. A failure leaves what came of it there. Ctrl-C, or a reader that goes
//! away, calls the turn off, so that it costs no more than it must.

mod printer;

use std::time::{Duration, Instant};

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::daemon::Status;
use codex_oauth_proto::api::turn::{
    COMPLETED, Completed, DELTA, Delta, InputItem, Interrupt as InterruptTurn, InterruptParams, PROGRESS,
    Progress, Start, StartParams, StartResult,
};
use codex_oauth_proto::env::Env;
use codex_oauth_proto::local::AsSource as _;
use codex_oauth_proto::{Client, ErrorCode, Incoming, NextStep, Retry, Waited, WireError};
use serde_json::Value;

use self::printer::Printer;
use crate::args::QueryArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::prompt;

/// Silence after which the daemon is asked for a sign of life. Of a turn that is under way it tells each second.
const QUIET: Duration = Duration::from_secs(10);

/// How long that sign may take: an answer needs microseconds, and a machine that is out of memory seconds.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// How long a turn that was called off has to say so.
const INTERRUPT_PATIENCE: Duration = Duration::from_secs(1);

/// Asks.
pub(crate) fn run(context: &mut Context, args: QueryArgs) -> Result<Exit, Failure> {
    let mut printer = Printer::new(&args);
    let text = prompt::read(&args.prompt, &mut context.output)?;
    let interrupt = Interrupt::watch()?;
    let params = StartParams {
        input: vec![InputItem::Text { text }],
        model: args.model,
        effort: args.effort,
        instructions: args.system,
        temperature: None,
        account: args.account,
    };
    context.output.progress("asking")?;
    let (mut client, StartResult { turn_id }) = context.call::<Start>(&params)?;
    match follow(context, &mut client, &turn_id, &interrupt, &mut printer) {
        Ok(Some(end)) => printer.finish(&mut context.output, &end),
        Ok(None) => {
            let end = call_off(&mut client, &turn_id);
            printer.stop(&mut context.output, end.as_ref())?;
            Ok(Exit::Interrupted)
        }
        Err(failure) => {
            // Nobody will see the rest.
            call_off(&mut client, &turn_id);
            if let Failure::Wire(_) = failure {
                printer.end_line(&mut context.output)?;
            }
            Err(failure)
        }
    }
}

/// A turn's end, as the daemon said it and as this build reads it.
#[derive(Debug)]
struct End {
    /// Everything, fields of newer daemons included: for `--json`.
    raw: Value,
    completed: Completed,
}

/// Prints what comes until the turn's end; `None` after Ctrl-C.
fn follow(
    context: &mut Context,
    client: &mut Client,
    turn_id: &str,
    interrupt: &Interrupt,
    printer: &mut Printer,
) -> Result<Option<End>, Failure> {
    let (quiet, sign_of_life) = patience(&context.env);
    let mut is_asked = false;
    loop {
        let deadline = Instant::now() + if is_asked { sign_of_life } else { quiet };
        let waited = client.wait(Some(deadline), Some(interrupt.as_source())).map_err(lost)?;
        let was_asked = std::mem::take(&mut is_asked);
        match waited {
            Waited::Woken => return Ok(None),
            Waited::TimedOut if was_asked => return Err(hangs(client).into()),
            Waited::TimedOut => {
                client.send::<Status>(&Empty {}).map_err(lost)?;
                is_asked = true;
            }
            Waited::Alive => {}
            Waited::Notification(incoming) => match incoming.method.as_str() {
                DELTA => {
                    let delta: Delta = incoming.read()?;
                    if delta.turn_id == turn_id {
                        printer.delta(&mut context.output, &delta.delta)?;
                    }
                }
                PROGRESS => {
                    let progress: Progress = incoming.read()?;
                    if progress.turn_id == turn_id {
                        context.output.progress(&progress.message)?;
                    }
                }
                _ => {
                    if let Some(end) = end(incoming, turn_id)? {
                        return Ok(Some(end));
                    }
                }
            },
        }
    }
}

fn end(incoming: Incoming, turn_id: &str) -> Result<Option<End>, WireError> {
    if incoming.method != COMPLETED {
        return Ok(None);
    }
    let completed: Completed = incoming.read()?;
    Ok((completed.turn_id == turn_id).then_some(End { raw: incoming.params, completed }))
}

/// Calls the turn off and gives its last word, if it comes in time. A daemon that cannot be told is none to wait for.
fn call_off(client: &mut Client, turn_id: &str) -> Option<End> {
    client.send::<InterruptTurn>(&InterruptParams { turn_id: turn_id.to_owned() }).ok()?;
    let deadline = Instant::now() + INTERRUPT_PATIENCE;
    loop {
        match client.wait(Some(deadline), None).ok()? {
            Waited::Notification(incoming) => {
                if let Ok(Some(end)) = end(incoming, turn_id) {
                    return Some(end);
                }
            }
            Waited::Alive => {}
            Waited::Woken | Waited::TimedOut => return None,
        }
    }
}

/// The daemon went away while a turn ran: its fate is unknown, and only a person may decide to ask again.
fn lost(error: WireError) -> WireError {
    match error.code {
        ErrorCode::DaemonUnavailable => unknown(error.message),
        _ => error,
    }
}

/// [`QUIET`] and [`SIGN_OF_LIFE`]; a debug build takes both from `CODEX_OAUTH_TEST_QUIET_MS`.
fn patience(env: &Env) -> (Duration, Duration) {
    let named = if cfg!(debug_assertions) { env.get("CODEX_OAUTH_TEST_QUIET_MS") } else { None };
    let named = named.and_then(|text| text.parse().ok()).map(Duration::from_millis);
    named.map_or((QUIET, SIGN_OF_LIFE), |short| (short, short))
}

fn hangs(client: &Client) -> WireError {
    let (pid, seconds) = (client.welcome().pid, (QUIET + SIGN_OF_LIFE).as_secs());
    let message =
        format!("could not hear from the daemon: process {pid} hangs, and has said nothing for {seconds} s");
    unknown(message).next(NextStep::EndProcess { pid })
}

fn unknown(message: String) -> WireError {
    WireError::daemon(ErrorCode::OutcomeUnknown, Retry::Unknown, message).next(NextStep::AskAgain)
}
