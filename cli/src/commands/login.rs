//! `codex-oauth login`: the link, the wait, and who it was.
//!
//! With `--no-browser` the link is all that standard output gets, so that another program can take it from there.

use std::time::{Duration, Instant};

use codex_oauth_proto::api::account::{
    LOGIN_COMPLETED, LoginCancel, LoginCancelParams, LoginCompleted, LoginStart, LoginStartParams,
    LoginStartResult, LoginStatus, Read, ReadParams,
};
use codex_oauth_proto::local::AsSource as _;
use codex_oauth_proto::{Client, ErrorCode, Incoming, NextStep, Retry, Waited, WireError};

use crate::args::LoginArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use codex_oauth_proto::people::{status::person, words};

/// After the login's own end: time for the daemon to say so itself.
const GRACE: Duration = Duration::from_secs(15);

/// No login is waited for longer, whatever end the daemon names for it. It gives a login minutes.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Signs in. Ctrl-C calls the login off unless it was waiting before this command joined it.
pub(crate) fn run(context: &mut Context, args: LoginArgs) -> Result<Exit, Failure> {
    let mut client = context.connect()?;
    let before = client.call::<Read>(&ReadParams { probe: false })?;
    let no_browser = args.no_browser || context.env.is_on("CODEX_OAUTH_NO_BROWSER");
    let login = client.call::<LoginStart>(&LoginStartParams { open_browser: !no_browser })?;
    let interrupt = Interrupt::watch()?;
    let joined = before.pending_login.is_some_and(|pending| pending.login_id == login.login_id);
    show(context, &login, no_browser)?;

    let Some(completed) = wait(&mut client, &login, &interrupt)? else {
        if joined {
            context.output.say_interrupted("stopped waiting; the login was begun elsewhere and goes on")?;
        } else {
            client.call::<LoginCancel>(&LoginCancelParams { login_id: login.login_id })?;
            context.output.say_interrupted("login called off")?;
        }
        return Ok(Exit::Interrupted);
    };
    if completed.success {
        context.output.say(&format!("signed in as {}", person(completed.account.as_ref())))?;
        return Ok(Exit::Success);
    }
    let error = completed.error.unwrap_or_else(|| failed("could not sign in: the daemon does not say why"));
    context.output.error(&error)?;
    Ok(match before.status {
        LoginStatus::NotAuthenticated | LoginStatus::Expired => Exit::SignedOut,
        _ => Exit::of(error.code),
    })
}

fn show(context: &mut Context, login: &LoginStartResult, no_browser: bool) -> Result<(), Failure> {
    let output = &mut context.output;
    if no_browser {
        output.line(&login.auth_url)?;
        output.say("open this link in a browser on this machine to sign in")?;
    } else {
        output.say(if login.browser_opened {
            "sign in with the browser that has just opened; if none did, open this link:"
        } else {
            "no browser could be opened; open this link on this machine to sign in:"
        })?;
        output.say(&format!("\n{}\n", login.auth_url))?;
    }
    if let (Some(_), Some(port)) = (context.env.get("SSH_CONNECTION"), callback_port(&login.auth_url)) {
        output.note(&format!(
            "over SSH, first run `ssh -L {port}:127.0.0.1:{port} <this host>` at home, then open the link there"
        ))?;
    }
    let left = words::until(login.expires_at, words::unix_now()).unwrap_or_else(|| "a moment".to_owned());
    output.say(&format!("waiting for you, {left} at most; Ctrl-C stops"))?;
    Ok(())
}

/// The port that the browser must reach, from the link's `redirect_uri` (WIRE §2.1).
fn callback_port(auth_url: &str) -> Option<u16> {
    let (_, uri) = auth_url.split_once("redirect_uri=")?;
    let uri = uri.split('&').next()?.strip_prefix("http%3A%2F%2F")?;
    let (host, rest) = uri.split_once("%3A")?;
    if !["127.0.0.1", "localhost"].contains(&host) {
        return None;
    }
    rest.split(|symbol: char| !symbol.is_ascii_digit()).next()?.parse().ok()
}

/// Waits for the login's end; `None` after Ctrl-C.
fn wait(
    client: &mut Client,
    login: &LoginStartResult,
    interrupt: &Interrupt,
) -> Result<Option<LoginCompleted>, Failure> {
    let left = Duration::from_secs(login.expires_at.saturating_sub(words::unix_now()));
    let deadline = Instant::now() + left.min(LONGEST) + GRACE;
    loop {
        match client.wait(Some(deadline), Some(interrupt.as_source()))? {
            Waited::Woken => return Ok(None),
            Waited::TimedOut => return Err(failed("could not sign in: nobody came back in time").into()),
            Waited::Notification(incoming) => {
                if let Some(completed) = completed(&incoming)?
                    && completed.login_id == login.login_id
                {
                    return Ok(Some(completed));
                }
            }
        }
    }
}

fn completed(incoming: &Incoming) -> Result<Option<LoginCompleted>, WireError> {
    if incoming.method != LOGIN_COMPLETED {
        return Ok(None);
    }
    incoming.read().map(Some)
}

fn failed(message: &str) -> WireError {
    WireError::daemon(ErrorCode::LoginFailed, Retry::Safe, message).next(NextStep::Login)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_to_forward_is_the_one_in_the_link() {
        for (url, port) in [
            (
                "https://a/oauth/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A1457%2Fauth%2Fcallback&x=1",
                Some(1457),
            ),
            ("https://a/oauth/authorize?x=1&redirect_uri=http%3A%2F%2Flocalhost%3A1455", Some(1455)),
            ("https://a/oauth/authorize?redirect_uri=http%3A%2F%2Felsewhere%3A9", None),
            ("https://a/oauth/authorize?state=localhost%3A9", None),
            ("https://a/oauth/authorize?redirect_uri=https%3A%2F%2Felsewhere&y=localhost%3A9", None),
        ] {
            assert_eq!(callback_port(url), port, "{url}");
        }
    }
}
