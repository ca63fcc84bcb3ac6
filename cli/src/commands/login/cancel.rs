//! `codex-oauth login --cancel`: the end of a login that nobody waits for any more.

use codex_oauth_proto::api::account::{LoginCancel, LoginCancelParams};
use codex_oauth_proto::people::login as people;

use super::read;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Calls off the login that waits: that of `account`, if one is named. That none waits is what was wanted.
pub(super) fn run(context: &mut Context, account: Option<&str>) -> Result<Exit, Failure> {
    let mut client = context.connect()?;
    let pending = read(&mut client, account)?.pending_login;
    // A daemon of an older build does not say whose it is.
    let is_meant = |of: &Option<String>| account.is_none() || of.is_none() || of.as_deref() == account;
    let Some(login) = pending.filter(|login| is_meant(&login.account)) else {
        let of = account.map(|name| format!(" for {name}")).unwrap_or_default();
        context.output.say(&format!("no login waits{of}"))?;
        return Ok(Exit::Success);
    };
    let to = people::named(&login).map(|name| format!(" to {name}")).unwrap_or_default();
    client.call::<LoginCancel>(&LoginCancelParams { login_id: login.login_id })?;
    context.output.say(&format!("login{to} called off"))?;
    Ok(Exit::Success)
}
