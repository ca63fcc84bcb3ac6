//! `codex-oauth logout`: the end of the login, here and at the issuer.

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::account::{
    AccountList, AccountParams, AccountRemove, Logout, LogoutResult, NamedAccount, OfAccount,
};

use crate::args::LogoutArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Signs out. Being signed out already is no failure.
pub(crate) fn run(context: &mut Context, args: LogoutArgs) -> Result<Exit, Failure> {
    context.output.progress("signing out")?;
    let is_chosen = args.account.is_some();
    let (mut client, result) = context.call::<Logout>(&OfAccount { account: args.account })?;
    if args.json {
        context.output.json(&result)?;
        return Ok(Exit::Success);
    }
    context.output.page(&format!("{}\n", told(&result)))?;
    if !is_chosen {
        // Who names none may think that there is one only.
        for other in
            client.call::<AccountList>(&Empty {})?.accounts.iter().filter(|of| of.status.is_signed_in())
        {
            let name = &other.name;
            context.output.note(&format!(
                "the account {name} stays signed in; `codex-oauth account remove {name}` signs it out"
            ))?;
        }
    }
    Ok(Exit::Success)
}

/// Signs every account out and forgets it, and what came of each in words.
pub(super) fn sign_all_out(context: &mut Context) -> Result<Vec<String>, Failure> {
    context.output.progress("signing out")?;
    let (mut client, list) = context.call::<AccountList>(&Empty {})?;
    let mut accounts = list.accounts;
    // The default one can be removed only when there is no other.
    accounts.sort_by_key(|account| account.is_default);
    let is_one_of_several = accounts.len() > 1;
    let mut said = Vec::new();
    for NamedAccount { name, .. } in accounts {
        let told = told(&client.call::<AccountRemove>(&AccountParams { account: name.clone() })?);
        said.push(if is_one_of_several { format!("{name}: {told}") } else { told });
    }
    Ok(said)
}

pub(super) fn told(result: &LogoutResult) -> String {
    match (result.was_signed_in, result.revoked, &result.note) {
        (false, ..) => "nobody was signed in".to_owned(),
        (true, true, _) => "signed out here and at OpenAI".to_owned(),
        (true, false, Some(note)) => format!("signed out here; {note}"),
        (true, false, None) => "signed out here; OpenAI did not confirm it".to_owned(),
    }
}
