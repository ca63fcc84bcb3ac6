//! What of a turn goes where.

use codex_oauth_proto::api::turn::{Completed, TurnStatus};
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use super::End;
use crate::args::QueryArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Prints an answer in the way that was asked for.
#[derive(Debug)]
pub(super) struct Printer {
    style: Style,
    /// What of the answer is on standard output, to print at the end only what is missing. The answer fits a line of the
    /// socket, so this is bounded as well.
    printed: String,
    /// The beginning of a line that is not printed yet: see [`Self::delta`].
    held: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Text, piece by piece.
    Stream,
    /// Text, at the end.
    Whole,
    /// One JSON object, at the end.
    Json,
}

impl Printer {
    /// The printer for these arguments.
    pub(super) const fn new(args: &QueryArgs) -> Self {
        let style = match (args.json, args.no_stream) {
            (true, _) => Style::Json,
            (false, true) => Style::Whole,
            (false, false) => Style::Stream,
        };
        Self { style, printed: String::new(), held: String::new() }
    }

    /// A piece of the answer. Where debug lines come, it is printed in whole lines: both may go to the same screen or file.
    pub(super) fn delta(&mut self, output: &mut Output, text: &str) -> Result<(), Failure> {
        if self.style != Style::Stream {
            return Ok(());
        }
        self.held.push_str(text);
        let ready = if output.has_debug_lines() {
            self.held.rfind('\n').map_or(0, |end| end + 1)
        } else {
            self.held.len()
        };
        self.release(output, ready)
    }

    /// The turn's end: the rest of the answer, then notes, then what it cost or why it failed.
    pub(super) fn finish(&mut self, output: &mut Output, end: &End) -> Result<Exit, Failure> {
        let completed = &end.completed;
        self.answer(output, end)?;
        for note in &completed.notes {
            output.note(note)?;
        }
        match failure(completed) {
            None => {
                if let Some(summary) = completed.summary.as_ref().filter(|_| output.stderr_is_terminal()) {
                    output.say(summary)?;
                }
                Ok(Exit::Success)
            }
            Some(error) => {
                output.error(&error)?;
                Ok(Exit::of(error.code))
            }
        }
    }

    /// The end after Ctrl-C, with the turn's last word if there was one. An answer that was whole by then was paid for and
    /// is printed.
    pub(super) fn stop(&mut self, output: &mut Output, end: Option<&End>) -> Result<(), Failure> {
        match (end, self.style) {
            (Some(end), Style::Json) => output.json(&end.raw)?,
            (None, Style::Json) => output.json(&serde_json::json!({ "error": unconfirmed() }))?,
            (Some(end), _) if end.completed.status == TurnStatus::Completed => self.answer(output, end)?,
            _ => self.end_line(output)?,
        }
        output.say_interrupted("stopped")?;
        Ok(())
    }

    /// Ends the line that the answer broke off in.
    pub(super) fn end_line(&mut self, output: &mut Output) -> Result<(), Failure> {
        self.release(output, self.held.len())?;
        if !self.printed.is_empty() && !self.printed.ends_with('\n') {
            self.printed.push('\n');
            output.out("\n")?;
        }
        Ok(())
    }

    /// Prints the first bytes of what is held.
    fn release(&mut self, output: &mut Output, bytes: usize) -> Result<(), Failure> {
        if bytes > 0 {
            let text: String = self.held.drain(..bytes).collect();
            self.printed.push_str(&text);
            output.out(&text)?;
        }
        Ok(())
    }

    fn answer(&mut self, output: &mut Output, end: &End) -> Result<(), Failure> {
        if self.style == Style::Json {
            output.json(&end.raw)?;
            return Ok(());
        }
        self.release(output, self.held.len())?;
        let whole = end.completed.answer.as_deref().unwrap_or(&self.printed).to_owned();
        if let Some(rest) = whole.strip_prefix(self.printed.as_str()) {
            output.out(rest)?;
            self.printed = whole;
        } else if end.completed.status == TurnStatus::Completed {
            self.end_line(output)?;
            output.note("the whole answer differs from what was printed so far; it follows once more")?;
            output.out(&whole)?;
            self.printed = whole;
        }
        self.end_line(output)
    }
}

fn unconfirmed() -> WireError {
    let message = "could not see the question end: the daemon did not confirm the stop";
    WireError::daemon(ErrorCode::OutcomeUnknown, Retry::Unknown, message).next(NextStep::AskAgain)
}

/// Why the turn is no success, in whatever way it says so.
fn failure(completed: &Completed) -> Option<WireError> {
    let told = |code, message: &str| {
        completed.error.clone().unwrap_or_else(|| WireError::daemon(code, Retry::Unknown, message))
    };
    match completed.status {
        TurnStatus::Completed => None,
        TurnStatus::Failed => {
            Some(told(ErrorCode::Internal, "could not answer: the daemon does not say why"))
        }
        TurnStatus::Interrupted => Some(told(ErrorCode::Cancelled, "could not answer: it was called off")),
        TurnStatus::Unknown => Some(
            told(ErrorCode::Unknown, "could not tell how it ended: the daemon is of a newer version")
                .next(NextStep::Upgrade),
        ),
    }
}
