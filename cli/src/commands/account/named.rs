//! `codex-oauth account list | use | remove`.

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::account::{
    AccountList, AccountParams, AccountRemove, AccountUse, AdoptMode, LoginStatus, NamedAccount,
};
use codex_oauth_proto::people::status::person;
use codex_oauth_proto::{ErrorCode, NextStep, WireError};

use crate::commands::logout;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::words::table;

/// The account that is always there: it is listed also while nobody is signed in to any.
const FIRST: &str = "default";

/// Shows every account.
pub(super) fn list(context: &mut Context, json: bool) -> Result<Exit, Failure> {
    let (_, list) = context.call::<AccountList>(&Empty {})?;
    if json {
        context.output.json(&list)?;
    } else {
        context.output.out(&table(&list.accounts.iter().map(row).collect::<Vec<_>>()))?;
    }
    Ok(Exit::Success)
}

/// Makes an account the default one.
pub(super) fn use_account(context: &mut Context, name: &str) -> Result<Exit, Failure> {
    context.call::<AccountUse>(&AccountParams { account: name.to_owned() })?;
    context
        .output
        .say(&format!("`{name}` serves every session that names no account; nobody was signed out"))?;
    Ok(Exit::Success)
}

/// Signs an account out and forgets it.
pub(super) fn remove(context: &mut Context, name: &str) -> Result<Exit, Failure> {
    let mut client = context.connect()?;
    if name == FIRST
        && let [only] = &*client.call::<AccountList>(&Empty {})?.accounts
        && only.name == name
    {
        let why = "it is the default one, and the only one; `codex-oauth logout` signs it out";
        let message = format!("could not remove the account `{name}`: {why}");
        return Err(WireError::caller(ErrorCode::InvalidArguments, message)
            .next(NextStep::ChooseAccount)
            .into());
    }
    let result = client.call::<AccountRemove>(&AccountParams { account: name.to_owned() })?;
    context.output.say(&format!("`{name}` is removed: {}", logout::told(&result)))?;
    Ok(Exit::Success)
}

/// `* work  ada@example.com (Plus)  signed in`.
fn row(account: &NamedAccount) -> [String; 4] {
    let mark = if account.is_default { "*" } else { "" };
    let how = match account.status {
        LoginStatus::Authenticated | LoginStatus::NeedsRefresh => "signed in",
        LoginStatus::NotAuthenticated => "signed out",
        LoginStatus::Expired => "expired",
        LoginStatus::Unreadable | LoginStatus::Unknown => "unusable",
    };
    let whose = match account.codex_mode {
        None => how.to_owned(),
        Some(AdoptMode::Share) => format!("{how}, shared with the Codex CLI"),
        Some(_) => format!("{how}, borrowed from the Codex CLI"),
    };
    let who = account.account.as_ref().map(|who| person(Some(who))).unwrap_or_default();
    [mark.to_owned(), account.name.clone(), who, whose]
}
