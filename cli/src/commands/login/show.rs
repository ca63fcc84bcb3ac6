//! What a person reads while a login waits.

use std::io;

use codex_oauth_proto::Surface;
use codex_oauth_proto::api::account::LoginStartResult;
use codex_oauth_proto::people::{login as people, words};

use crate::output::Output;

/// Stands where the text is pasted.
pub(super) const PROMPT: &str =
    "or paste the address that the browser ended at (it is not shown), then Enter: ";

/// The link for another program, and the rest for the person.
pub(super) fn link_alone(output: &mut Output, login: &LoginStartResult) -> io::Result<()> {
    output.line(&login.auth_url)?;
    output.say("open this link in a browser on this machine to sign in")?;
    code(output, login)?;
    rest(output, login, false)
}

/// All ways that are open. `pasting`: whether a paste is asked for below.
pub(super) fn ways(
    output: &mut Output,
    login: &LoginStartResult,
    browser_asked: bool,
    pasting: bool,
) -> io::Result<()> {
    if people::link_is_open(login, words::unix_now()) {
        let why = login.browser_note.as_deref().filter(|_| browser_asked);
        output.say(&match (login.browser_opened, why) {
            (true, _) => "a browser has opened: sign in there. If none did, open this link:".to_owned(),
            (false, Some(why)) => format!("no browser was opened: {why}\nopen this link to sign in:"),
            (false, None) => "open this link to sign in:".to_owned(),
        })?;
        output.say(&format!("\n{}\n", login.auth_url))?;
    }
    code(output, login)?;
    rest(output, login, pasting)
}

/// What is worth a line of its own.
pub(super) fn changes(before: &LoginStartResult, now: &LoginStartResult) -> Vec<String> {
    let mut lines = Vec::new();
    if before.step != now.step {
        lines.extend(people::step(now.step).map(str::to_owned));
    }
    if before.last_failure != now.last_failure {
        lines.extend(now.last_failure.clone());
    }
    if before.device != now.device {
        lines.extend(
            now.device.as_ref().map(|code| format!("or, in a browser anywhere, {}", people::device(code))),
        );
    }
    if before.device_note != now.device_note {
        lines.extend(people::no_device(now));
    }
    if can_paste(before) && !can_paste(now) && now.device.is_some() {
        lines.push("the link is over; the code still works".to_owned());
    }
    lines
}

/// Whether the link's last address is still of use.
pub(super) fn can_paste(login: &LoginStartResult) -> bool {
    people::link_is_open(login, words::unix_now())
}

fn code(output: &mut Output, login: &LoginStartResult) -> io::Result<()> {
    if let Some(code) = &login.device {
        output.say(&format!(
            "in a browser anywhere: open {}\nand enter the code {}\n",
            code.verification_url, code.user_code
        ))?;
    }
    match people::no_device(login) {
        Some(note) => output.note(&note),
        None => Ok(()),
    }
}

fn rest(output: &mut Output, login: &LoginStartResult, pasting: bool) -> io::Result<()> {
    if let Some(note) = &login.port_note {
        output.note(note)?;
    }
    if let Some(hint) = people::hint(login, Surface::Shell, pasting) {
        output.note(&hint)?;
    }
    let left = words::until(login.expires_at, words::unix_now()).unwrap_or_else(|| "a moment".to_owned());
    output.say(&format!("waiting for you, {left} at most; Ctrl-C stops"))
}
