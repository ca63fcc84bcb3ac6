//! `codex-oauth answers`: what was asked in the last minutes and may not have reached anybody.

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::turn::{Kept, List, Read, ReadParams};
use codex_oauth_proto::people::words;
use codex_oauth_proto::{ErrorCode, WireError};

use crate::args::AnswersArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Columns of an answer's beginning in the list: the rest of a line of 80.
const BEGINNING: usize = 40;

/// Lists the kept answers, or prints one.
pub(crate) fn run(context: &mut Context, args: AnswersArgs) -> Result<Exit, Failure> {
    let Some(which) = args.which else {
        let (_, list) = context.call::<List>(&Empty {})?;
        if args.json {
            context.output.json(&list)?;
        } else if list.turns.is_empty() {
            context.output.note("no answer is kept now; each is kept for ten minutes")?;
        } else {
            context.output.out(&table(&list.turns, words::unix_now()))?;
        }
        return Ok(Exit::Success);
    };
    let kept = if which == "last" {
        let (mut client, list) = context.call::<List>(&Empty {})?;
        let none =
            || WireError::caller(ErrorCode::InvalidArguments, "could not find an answer: none is kept");
        let turn_id = list.turns.into_iter().next().ok_or_else(none)?.outcome.turn_id;
        client.call::<Read>(&ReadParams { turn_id })?
    } else {
        context.call::<Read>(&ReadParams { turn_id: which })?.1
    };
    if args.json {
        context.output.json(&kept)?;
    } else if let Some(answer) = &kept.outcome.answer {
        context.output.out(answer)?;
        if !answer.ends_with('\n') {
            context.output.out("\n")?;
        }
    }
    match &kept.outcome.error {
        None => Ok(Exit::Success),
        Some(error) => {
            context.output.error(error)?;
            Ok(Exit::of(error.code))
        }
    }
}

/// A line for each: its id, how long ago it ended, the model, how it begins or why it failed.
fn table(turns: &[Kept], now: u64) -> String {
    let mut text = String::new();
    for Kept { ended_at, outcome } in turns {
        let error = outcome.error.as_ref().map(|error| format!("failed: {}", error.message));
        let told = error.or_else(|| outcome.answer.clone()).unwrap_or_default();
        let beginning: String =
            told.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(BEGINNING).collect();
        let ago = words::span(now.saturating_sub(*ended_at));
        let model = outcome.model.as_deref().unwrap_or("-");
        text.push_str(format!("{}  {ago:>4} ago  {model:12}  {beginning}", outcome.turn_id).trim_end());
        text.push('\n');
    }
    text
}
