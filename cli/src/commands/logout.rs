//! `codex-oauth logout`: the end of the login, here and at the issuer.

use codex_oauth_proto::api::account::{Logout, LogoutResult, OfAccount};

use crate::args::LogoutArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Signs out. Being signed out already is no failure.
pub(crate) fn run(context: &mut Context, args: LogoutArgs) -> Result<Exit, Failure> {
    let result = ask(context, args.account)?;
    if args.json {
        context.output.json(&result)?;
    } else {
        context.output.line(&told(&result))?;
    }
    Ok(Exit::Success)
}

/// Signs out, and what came of it in words.
pub(super) fn sign_out(context: &mut Context) -> Result<String, Failure> {
    ask(context, None).map(|result| told(&result))
}

fn ask(context: &mut Context, account: Option<String>) -> Result<LogoutResult, Failure> {
    let mut client = context.connect()?;
    context.output.progress("signing out")?;
    Ok(client.call::<Logout>(&OfAccount { account })?)
}

pub(super) fn told(result: &LogoutResult) -> String {
    match (result.was_signed_in, result.revoked, &result.note) {
        (false, ..) => "nobody was signed in".to_owned(),
        (true, true, _) => "signed out here and at OpenAI".to_owned(),
        (true, false, Some(note)) => format!("signed out here; OpenAI did not confirm it: {note}"),
        (true, false, None) => "signed out here; OpenAI did not confirm it".to_owned(),
    }
}
