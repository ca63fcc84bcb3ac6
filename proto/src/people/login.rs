//! A login that waits, in words: its ways, what stands against them, how far it is.

use crate::Surface;
use crate::api::account::{DeviceCode, LoginStartResult, LoginStep, Place};
use crate::people::words::until;

/// What the first account is called.
pub(super) const FIRST: &str = "default";

/// The account, where its name says something to whoever signs in.
pub fn named(login: &LoginStartResult) -> Option<&str> {
    login.account.as_deref().filter(|name| *name != FIRST)
}

/// `codex-oauth login` for the account of this login, with this flag (` --cancel`).
pub fn command(login: &LoginStartResult, flag: &str) -> String {
    command_of(named(login), flag)
}

/// The command that is about this login, whatever account is chosen where it is typed.
fn command_of(account: Option<&str>, flag: &str) -> String {
    let account = account.map(|name| format!(" --account {name}")).unwrap_or_default();
    format!("`codex-oauth login{account}{flag}`")
}

/// Whether the link still works at `now` (Unix seconds).
pub fn link_is_open(login: &LoginStartResult, now: u64) -> bool {
    // A daemon of an older build names no end of the link alone.
    let end = if login.link_expires_at == 0 { login.expires_at } else { login.link_expires_at };
    end > now
}

/// What to do with the device code.
pub fn device(code: &DeviceCode) -> String {
    format!("open {} and enter the code {}", code.verification_url, code.user_code)
}

/// What stands between this person and the link, and the way around it: one line, for where the person sits. `asks`: whether a
/// paste is asked for right below.
pub fn hint(login: &LoginStartResult, surface: Surface, asks: bool) -> Option<String> {
    let code = if login.device.is_some() { "use the code, or " } else { "" };
    let mut paste = command(login, " --paste");
    if surface == Surface::ClaudeCode {
        paste.push_str(" (in a terminal, never the chat)");
    }
    let takes = |what: &str| {
        if asks { format!("paste {what} below") } else { format!("{paste} takes {what}") }
    };
    let Some(port) = login.redirect_port else {
        let takes = takes("the address it ends at");
        return Some(format!("the browser cannot come back here: {code}{takes}"));
    };
    match login.place {
        Place::Desktop | Place::Unknown => None,
        Place::Wsl => Some(format!(
            "under WSL: open the link in Windows; at an error there, {}",
            if asks { takes("its address") } else { format!("{paste} helps") }
        )),
        Place::Ssh => {
            Some(format!("over SSH: {code}first run `ssh -L {port}:127.0.0.1:{port} <this host>` at home"))
        }
        Place::Container => Some(format!("in a container: {code}{}", takes("the last address"))),
        Place::Headless => Some(format!("no screen here: {code}{}", takes("the last address"))),
    }
}

/// Why there is no device code although one was looked for.
pub fn no_device(login: &LoginStartResult) -> Option<String> {
    login.device_note.as_ref().filter(|_| login.device.is_none()).map(|why| format!("no device code: {why}"))
}

/// How far a login is that no longer waits for its person.
pub const fn step(step: LoginStep) -> Option<&'static str> {
    match step {
        LoginStep::Waiting | LoginStep::Unknown => None,
        LoginStep::Exchanging => Some("getting tokens"),
        LoginStep::Proving => Some("trying the new login"),
        LoginStep::Saving => Some("saving the new login"),
    }
}

/// What is waited for, in a few words.
pub fn waiting(login: &LoginStartResult, now: u64) -> String {
    match (step(login.step), &login.device) {
        (Some(step), _) => step.to_owned(),
        (None, Some(code)) if link_is_open(login, now) => {
            format!("waiting for the browser or the code {}", code.user_code)
        }
        (None, Some(code)) => format!("waiting for the code {}", code.user_code),
        (None, None) => "waiting for the browser".to_owned(),
    }
}

/// The rows of the status page: the login, then its device code. `is_only`: there is no account but the first, which has not to
/// be named then.
pub(super) fn rows(
    login: &LoginStartResult,
    is_only: bool,
    now: u64,
    surface: Surface,
) -> Vec<(&'static str, String)> {
    let account = if is_only { named(login) } else { login.account.as_deref() };
    let to = account.map(|name| format!(" to {name}")).unwrap_or_default();
    let left = |end| until(end, now).map_or(String::new(), |left| format!(", {left} left"));
    if let Some(step) = step(login.step) {
        return vec![("waiting", format!("a login{to} is on its way: {step}"))];
    }
    let mut rows = Vec::new();
    let code = login.device.as_ref();
    if link_is_open(login, now) || code.is_none() {
        let end = code.map_or(login.expires_at, |_| login.link_expires_at);
        let how = match surface {
            Surface::Shell => {
                let (join, cancel) = (command_of(account, ""), command_of(account, " --cancel"));
                format!("; {join} joins it, {cancel} calls it off")
            }
            Surface::ClaudeCode => format!(": {}", login.auth_url),
        };
        rows.push(("waiting", format!("a login{to} waits for you{}{how}", left(end))));
    }
    let label = if rows.is_empty() { "waiting" } else { "or" };
    rows.extend(code.map(|code| (label, format!("{}{}", device(code), left(code.expires_at)))));
    rows.extend(no_device(login).map(|note| ("", note)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(place: Place) -> LoginStartResult {
        LoginStartResult {
            login_id: "l".to_owned(),
            account: Some("default".to_owned()),
            auth_url: "https://a/oauth".to_owned(),
            expires_at: 900,
            browser_opened: false,
            browser_note: None,
            redirect_port: Some(1455),
            port_note: None,
            link_expires_at: 300,
            device: Some(DeviceCode {
                verification_url: "https://auth.openai.com/codex/device".to_owned(),
                user_code: "FAKE-1234".to_owned(),
                expires_at: 900,
            }),
            device_note: None,
            place,
            step: LoginStep::Waiting,
            last_failure: None,
        }
    }

    #[test]
    fn each_place_has_one_line_that_fits_a_terminal_and_names_what_to_do() {
        for (place, does) in [
            (Place::Ssh, "ssh -L 1455:127.0.0.1:1455"),
            (Place::Wsl, "open the link in Windows"),
            (Place::Container, "use the code"),
            (Place::Headless, "use the code"),
        ] {
            let line = hint(&login(place), Surface::Shell, false).unwrap();
            assert!(line.contains(does) && line.chars().count() <= 90, "{line}");
            let without = LoginStartResult { device: None, ..login(place) };
            let without = hint(&without, Surface::Shell, false).unwrap();
            assert!(!without.contains("use the code"), "{without}");
            let asked = hint(&login(place), Surface::Shell, true).unwrap();
            assert!(!asked.contains("--paste"), "it is asked for already: {asked}");
        }
        assert_eq!(hint(&login(Place::Desktop), Surface::Shell, false), None);
        let taken = LoginStartResult { redirect_port: None, ..login(Place::Desktop) };
        assert!(hint(&taken, Surface::ClaudeCode, false).unwrap().contains("never the chat"));
    }

    #[test]
    fn the_status_names_the_ways_that_are_open_and_until_when() {
        let texts = |login: &LoginStartResult, now| {
            rows(login, true, now, Surface::ClaudeCode).into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        let device = "open https://auth.openai.com/codex/device and enter the code FAKE-1234";
        let both = texts(&login(Place::Ssh), 0);
        assert_eq!(both[0], "a login waits for you, 5 min left: https://a/oauth");
        assert_eq!(both[1], format!("{device}, 15 min left"));
        assert_eq!(texts(&login(Place::Ssh), 300), [format!("{device}, 10 min left")]);
        let proving = LoginStartResult { step: LoginStep::Proving, ..login(Place::Ssh) };
        assert_eq!(texts(&proving, 0), ["a login is on its way: trying the new login"]);
        let refused =
            LoginStartResult { device: None, device_note: Some("off".to_owned()), ..login(Place::Ssh) };
        assert_eq!(texts(&refused, 0)[1], "no device code: off");
    }

    #[test]
    fn the_command_that_is_named_joins_the_login_whatever_account_is_chosen_there() {
        let mut of = login(Place::Container);
        let mut joins = |account: Option<&str>, is_only, command: &str| {
            of.account = account.map(str::to_owned);
            let row = rows(&of, is_only, 0, Surface::Shell).swap_remove(0).1;
            assert!(row.contains(&format!("; `codex-oauth login{command}` joins it, ")), "{row}");
            assert!(row.ends_with(&format!("`codex-oauth login{command} --cancel` calls it off")), "{row}");
        };
        joins(None, false, "");
        joins(Some("default"), true, "");
        joins(Some("default"), false, " --account default");
        joins(Some("work"), true, " --account work");
        let hint = hint(&of, Surface::Shell, false).unwrap();
        assert!(hint.contains("`codex-oauth login --account work --paste`"), "{hint}");
    }
}
