//! `codex-oauth account import | borrow | share`: the login that another program has already.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use codex_oauth_proto::api::account::{AccountAdopt, AdoptMode, AdoptParams};
use codex_oauth_proto::env::EnvError;
use codex_oauth_proto::{ErrorCode, NextStep, WireError};

use crate::args::{AdoptArgs, ImportArgs, LoginArgs};
use crate::commands::login;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What an account is called that a person gave no name.
const CODEX: &str = "codex";
/// The first login, where the original plugin keeps its own.
const FIRST: &str = "default";

const TOKEN: &str = "\
Two programs must not hold one refresh token: it is good for one use, and whoever is second to use it ends the login for
both.";

const CODEX_CLI: &str = "\
After an import the Codex CLI must not use its login any more: move its auth.json away. Do not run `codex logout` or
`codex login` instead, both revoke the login.
A login of your own takes a minute, costs nothing, and leaves the Codex CLI as it is.";

const PLUGIN: &str = "\
After an import the Python plugin must not run any more, in any window.
A login of your own takes a minute, costs nothing, and cannot be disturbed by a copy of it that was forgotten.";

const SHARE: &str = "\
From now on the daemon renews the login in that file, a day before its end, for the Codex CLI and for itself.
It cannot protect the login from a Codex CLI that renews it itself: when no daemon has run for the token's last day, when
OpenAI refuses a token before its end, or on `codex login` and `codex logout`, which revoke it.";

/// Takes a login over.
pub(super) fn import(context: &mut Context, args: ImportArgs) -> Result<Exit, Failure> {
    let (name, file) = if args.plugin {
        (FIRST.to_owned(), plugin_file(context)?)
    } else {
        (args.name.unwrap_or_else(|| CODEX.to_owned()), codex_file(context, args.codex_home)?)
    };
    if !args.take {
        context.output.say(TOKEN)?;
        context.output.say(if args.plugin { PLUGIN } else { CODEX_CLI })?;
        if !io::stdin().is_terminal() {
            let message =
                "could not import the login: nobody is there to decide; `--take` does it all the same";
            return Err(WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::Login).into());
        }
        context.output.say("Sign in with a login of your own instead? [Y/n] ")?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "n" | "N" | "no") {
            let account = (name != FIRST).then_some(name);
            return login::run(context, LoginArgs { account, ..LoginArgs::default() });
        }
    }
    let shown = adopt(context, &name, &file, AdoptMode::Import)?;
    if args.plugin {
        context.output.say("the Python plugin's login is ours now; remove that plugin")?;
        return Ok(Exit::Success);
    }
    context.output.say(&format!("the login is now the account `{name}`; move `{shown}` away"))?;
    how_to_use(context, &name)
}

/// Borrows or shares the login of the Codex CLI.
pub(super) fn attach(context: &mut Context, args: AdoptArgs, mode: AdoptMode) -> Result<Exit, Failure> {
    let file = codex_file(context, args.codex_home)?;
    let name = args.name;
    let shown = adopt(context, &name, &file, mode)?;
    let done = if mode == AdoptMode::Share {
        format!("`{shown}` is shared as the account `{name}`\n{SHARE}")
    } else {
        format!(
            "the access token in `{shown}` is borrowed as the account `{name}`: while it is valid, and never renewed here"
        )
    };
    context.output.say(&done)?;
    how_to_use(context, &name)
}

/// Gives the file as it is shown.
fn adopt(context: &mut Context, name: &str, file: &Path, mode: AdoptMode) -> Result<String, Failure> {
    let shown = file.display().to_string();
    let params = AdoptParams { account: name.to_owned(), file: shown.clone(), mode };
    context.call::<AccountAdopt>(&params)?;
    Ok(shown)
}

fn how_to_use(context: &mut Context, name: &str) -> Result<Exit, Failure> {
    context.output.say(&format!("`codex-oauth account use {name}` makes it the default one"))?;
    Ok(Exit::Success)
}

/// Our own credential file: it is the original plugin's as well.
fn plugin_file(context: &Context) -> Result<PathBuf, Failure> {
    let unknown = |error: EnvError| {
        WireError::caller(ErrorCode::InvalidArguments, error.to_string()).next(NextStep::FixArguments)
    };
    Ok(context.env.auth_file().map_err(unknown)?)
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
