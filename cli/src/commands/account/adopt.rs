//! `codex-oauth account import | borrow | share`: the login that the Codex CLI has already.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use codex_oauth_proto::api::account::{AccountAdopt, AdoptMode, AdoptParams};
use codex_oauth_proto::{ErrorCode, NextStep, WireError};

use crate::args::{AdoptArgs, LoginArgs};
use crate::commands::login;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

const IMPORT: &str = "\
Two programs must not hold one refresh token: it is good for one use, and whoever is second to use it ends the login for
both. After an import the Codex CLI must not use its login any more: move its auth.json away. Do not run `codex logout` or
`codex login` instead, both revoke the login.
A login of your own takes a minute, costs nothing, and leaves the Codex CLI as it is.";

const SHARE: &str = "\
From now on the daemon renews the login in that file, a day before its end, for the Codex CLI and for itself.
It cannot protect the login from a Codex CLI that renews it itself: when no daemon has run for the token's last day, when
OpenAI refuses a token before its end, or on `codex login` and `codex logout`, which revoke it.";

/// Adopts the login.
pub(super) fn run(context: &mut Context, args: AdoptArgs, mode: AdoptMode) -> Result<Exit, Failure> {
    let file = codex_file(context, args.codex_home)?;
    if mode == AdoptMode::Import && !args.take {
        context.output.say(IMPORT)?;
        if !io::stdin().is_terminal() {
            let message =
                "could not import the login: nobody is there to decide; `--take` does it all the same";
            return Err(WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::Login).into());
        }
        context.output.say("Sign in with a login of your own instead? [Y/n] ")?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "n" | "N" | "no") {
            return login::run(context, LoginArgs { account: Some(args.name), ..LoginArgs::default() });
        }
    }
    let shown = file.display().to_string();
    let params = AdoptParams { account: args.name.clone(), file: shown.clone(), mode };
    context.connect()?.call::<AccountAdopt>(&params)?;
    let name = args.name;
    let done = match mode {
        AdoptMode::Import => format!("the login is now the account `{name}`; move `{shown}` away"),
        AdoptMode::Share => format!("`{shown}` is shared as the account `{name}`\n{SHARE}"),
        AdoptMode::Borrow | AdoptMode::Unknown => format!(
            "the access token in `{shown}` is borrowed as the account `{name}`: while it is valid, and never renewed here"
        ),
    };
    context.output.say(&done)?;
    context.output.say(&format!("`codex-oauth account use {name}` makes it the default one"))?;
    Ok(Exit::Success)
}

/// As the Codex CLI finds it: `CODEX_HOME`, else `~/.codex`.
fn codex_file(context: &Context, given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let home = || context.env.get("HOME").map(|home| PathBuf::from(home).join(".codex"));
    let named = || context.env.get("CODEX_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let folder = given.or_else(named).or_else(home).ok_or_else(|| {
        let message = "could not find the Codex CLI's folder: neither CODEX_HOME nor HOME is set";
        WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments)
    })?;
    Ok(std::path::absolute(folder)?.join("auth.json"))
}
