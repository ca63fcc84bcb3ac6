//! `codex-oauth explain`: the story of a question, or what an error code means.

use codex_oauth_proto::api::trace::{List, ListParams};
use codex_oauth_proto::people::{errors, story, words};
use codex_oauth_proto::{ErrorCode, NextStep, Surface, WireError};

use crate::args::ExplainArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::words::table;

/// Tells one story, lists all, or explains a code.
pub(crate) fn run(context: &mut Context, args: ExplainArgs) -> Result<Exit, Failure> {
    let which = args.which.filter(|which| which != "last");
    if let Some(code) = which.as_deref().and_then(code) {
        return of_code(context, code, args.json);
    }
    let limit = if args.all { None } else { Some(1) };
    let params = ListParams { turn_id: which.clone(), limit };
    let (_, list) = context.call::<List>(&params)?;
    let Some(latest) = list.traces.first() else { return Err(none(which.as_deref()).into()) };
    let now = words::unix_now();
    if args.all {
        if args.json {
            context.output.json(&list)?;
        } else {
            let rows: Vec<_> = list.traces.iter().map(|trace| story::row(trace, now)).collect();
            context.output.out(&table(&rows))?;
        }
    } else if args.json {
        context.output.json(latest)?;
    } else {
        context.output.out(&story::story(latest, now, Surface::Shell))?;
    }
    Ok(Exit::Success)
}

/// What a code means; nobody is asked.
fn of_code(context: &mut Context, code: ErrorCode, json: bool) -> Result<Exit, Failure> {
    let entry = errors::entry(code);
    let exit = Exit::of(code) as u8;
    if json {
        let steps: Vec<&NextStep> = entry.steps().collect();
        context.output.json(&serde_json::json!({
            "code": code, "meaning": entry.meaning, "exitCode": exit, "httpStatus": code.http_status(),
            "retry": entry.retries, "nextSteps": steps,
        }))?;
        return Ok(Exit::Success);
    }
    context.output.page(&format!("{}\n", entry.meaning))?;
    let mut rows = vec![("exit code".to_owned(), exit.to_string())];
    rows.push(("over HTTP".to_owned(), format!("status {}", code.http_status())));
    rows.push(("sent again".to_owned(), errors::retry_in_words(entry.usual.retry).to_owned()));
    let shown = |step: &NextStep| step.render(Surface::Shell);
    rows.extend(entry.usual.next_step.iter().map(|step| ("next".to_owned(), shown(step))));
    for (label, text) in rows {
        context.output.page(&format!("{label:11}{text}\n"))?;
    }
    for (when, step) in &entry.otherwise {
        context.output.page(&format!("or, where {when}: {}\n", shown(step)))?;
    }
    Ok(Exit::Success)
}

/// A code by its word in JSON. `unknown` is none that anybody looks up.
fn code(word: &str) -> Option<ErrorCode> {
    let named = |code: &&ErrorCode| serde_json::to_value(code).is_ok_and(|name| name == word);
    ErrorCode::ALL.iter().find(named).copied()
}

fn none(which: Option<&str>) -> WireError {
    let message = match which {
        None => "could not find a question: none has ended yet".to_owned(),
        Some(which) => format!(
            "could not find the question `{which}`: of the last 200, which `codex-oauth explain --all` \
             lists, none begins so, and no error code is called so"
        ),
    };
    let error = WireError::caller(ErrorCode::InvalidArguments, message);
    if which.is_some() { error.next(NextStep::FixArguments) } else { error }
}
