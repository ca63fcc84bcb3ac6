//! `codex-oauth models`: the live list.

use codex_oauth_proto::api::account::OfAccount;
use codex_oauth_proto::api::model::{List, ListResult, Model};

use crate::args::ModelsArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Lists the models, by default those that the official client shows.
pub(crate) fn run(context: &mut Context, args: &ModelsArgs) -> Result<Exit, Failure> {
    context.output.progress("asking for the models")?;
    let (_, list) = context.call::<List>(&OfAccount { account: args.account.clone() })?;
    if args.json {
        context.output.json(&list)?;
        return Ok(Exit::Success);
    }
    let shown: Vec<&Model> = list.models.iter().filter(|model| args.all || !model.hidden).collect();
    if shown.is_empty() {
        let why = if list.models.is_empty() { "" } else { "; --all shows the hidden ones" };
        context.output.note(&format!("this account has no models{why}"))?;
        return Ok(Exit::Success);
    }
    context.output.out(&table(&list, &shown))?;
    Ok(Exit::Success)
}

/// Two columns, with the marks explained in the header and the last line.
fn table(list: &ListResult, shown: &[&Model]) -> String {
    let is_default = |model: &Model| model.is_default || list.default.as_deref() == Some(&model.id);
    let name = |model: &Model| format!("{}{}", model.id, if is_default(model) { " *" } else { "" });
    let widest = shown.iter().map(|model| name(model).chars().count()).max().unwrap_or(0).max("model".len());
    let mut text = format!("{:widest$}  efforts, the model's own in brackets\n", "model");
    for model in shown {
        let hidden = if model.hidden { "  (hidden)" } else { "" };
        let row = format!("{:widest$}  {}{hidden}", name(model), efforts(model));
        text.push_str(row.trim_end());
        text.push('\n');
    }
    if shown.iter().any(|model| is_default(model)) {
        text.push_str("* answers when a question names no model\n");
    }
    text
}

fn efforts(model: &Model) -> String {
    let mark = |effort: &String| {
        if model.default_reasoning_effort.as_ref() == Some(effort) {
            format!("[{effort}]")
        } else {
            effort.clone()
        }
    };
    model.reasoning_efforts.iter().map(mark).collect::<Vec<_>>().join(" ")
}
