//! `codex-oauth`: the human face of the daemon. Holds no token and speaks no HTTP: every command is a short conversation on
//! the daemon's socket.
//!
//! Answers go to standard output, everything about them to standard error; the exit code says what kind of failure it was
//! ([`exit::Exit`]).

mod archive;
mod args;
mod child;
mod commands;
mod context;
#[cfg(unix)] // What ends a process there is what the page says.
#[cfg(test)]
mod errors_page;
mod exit;
mod failure;
mod interrupt;
mod output;
mod prompt;
mod redact;
mod words;

use std::process::ExitCode;

use clap::Parser as _;
use codex_oauth_proto::env::Env;

use crate::args::{Args, Command, suggestion};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// What to do about an output that takes nothing.
const ELSEWHERE: &str = "make room there, or send the output to another place, and run it again";

fn main() -> ExitCode {
    let mut output = Output::stdio();
    let mut asks = false;
    let ended = match Args::try_parse() {
        Ok(args) => {
            let json = args.wants_json();
            asks = matches!(args.command, Some(Command::Query(_)));
            let mut context = Context { env: Env::from_process(), output };
            let ended = commands::run(&mut context, args);
            output = context.output;
            ended.or_else(|failure| report(&mut output, failure, json))
        }
        Err(refused) => show_usage(&mut output, &suggestion::added(refused, std::env::args_os())),
    };
    ended.unwrap_or_else(|failure| unwritten(&mut output, &failure, asks)).into()
}

/// Help that was asked for is an answer; help because of a mistake is not.
fn show_usage(output: &mut Output, usage: &clap::Error) -> Result<Exit, Failure> {
    let text = usage.render().to_string();
    if usage.use_stderr() {
        output.err(&text)?;
        Ok(Exit::Usage)
    } else {
        output.out(&text)?;
        Ok(Exit::Success)
    }
}

/// Says what went wrong. A program that asked for JSON gets it as `{"error":{…}}` too.
fn report(output: &mut Output, failure: Failure, json: bool) -> Result<Exit, Failure> {
    match failure {
        Failure::Wire(error) => {
            if json {
                output.json(&serde_json::json!({ "error": error }))?;
            }
            output.error(&error)?;
            Ok(Exit::of(error.code))
        }
        Failure::Output(_) => Err(failure),
    }
}

/// The end of a command whose output could not be written. `asks`: what it is has been paid for.
fn unwritten(output: &mut Output, failure: &Failure, asks: bool) -> Exit {
    match failure {
        // The reader has what it wanted, as in `codex-oauth models | head -1`.
        Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::PipeClosed,
        failure => {
            // Standard error may be what cannot be written: then the exit code is all that is left to say it.
            let next =
                if asks { "see what came of the answer: `codex-oauth answers last`" } else { ELSEWHERE };
            let _unheard = output.err(&format!("error: {failure}\nnext: {next}\n"));
            Exit::Failure
        }
    }
}
