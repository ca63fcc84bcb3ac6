//! Opens a link on the screen of the person who asked.

use std::collections::BTreeMap;
use std::process::Stdio;

use crate::place;

/// Where WSL puts the drive of Windows; the daemon's own `PATH` need not hold Windows' folders.
const RUNDLL: &str = "/mnt/c/Windows/System32/rundll32.exe";

/// Variables of the asking session that an opener needs to find that person's screen.
const SCREEN: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "WSL_DISTRO_NAME",
    "WSL_INTEROP",
];

/// Whether a browser was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// An opener was started.
    Yes,
    /// The caller wants none.
    NotAsked,
    /// Another session began the login: its person may have a tab for it already.
    Elsewhere,
    /// The session wants none: `CODEX_OAUTH_NO_BROWSER=1`.
    NotWanted,
    /// The session has no screen.
    NoScreen,
    /// There is no opener, or none could be started.
    NoOpener,
}

impl Opened {
    /// Why none was opened, for a person who may have expected one.
    pub(crate) fn note(self) -> Option<String> {
        let why = match self {
            Self::Yes | Self::NotAsked => return None,
            Self::Elsewhere => "this login was begun before and still waits",
            Self::NotWanted => "CODEX_OAUTH_NO_BROWSER is set",
            Self::NoScreen => "this session has no screen",
            Self::NoOpener if cfg!(target_os = "macos") => "`open` could not be started",
            Self::NoOpener => "no program that opens links was found; xdg-open is usual",
        };
        Some(why.to_owned())
    }
}

/// Starts the system's opener for `link`, with what it needs of the asking session's environment.
///
/// The link holds no secret: without this daemon's verifier its code is worth nothing (RFC 7636).
pub(crate) fn open(link: &str, session: &BTreeMap<String, String>) -> Opened {
    if session.get("CODEX_OAUTH_NO_BROWSER").is_some_and(|value| value == "1") {
        return Opened::NotWanted;
    }
    if !has_screen(session) {
        return Opened::NoScreen;
    }
    let named = session.get("BROWSER").map(String::as_str).filter(|browser| browser.starts_with('/'));
    for opener in named.into_iter().chain(openers(session).iter().copied()) {
        let mut command = std::process::Command::new(opener);
        command
            .args(arguments(opener, link))
            .envs(SCREEN.iter().filter_map(|name| Some((name, session.get(*name)?))))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => {
                reap(child);
                return Opened::Yes;
            }
            Err(error) => tracing::debug!(opener, %error, "could not start an opener"),
        }
    }
    Opened::NoOpener
}

/// Under WSL the person's browser is one of Windows: wslview (wslu) knows how to call it, and Windows' own programs are a
/// second way where the interoperation is on. A browser of the Linux side comes last.
fn openers(session: &BTreeMap<String, String>) -> &'static [&'static str] {
    if cfg!(target_os = "macos") {
        &["open"]
    } else if cfg!(windows) {
        &["rundll32"]
    } else if place::is_wsl(session) {
        &["wslview", RUNDLL, "xdg-open"]
    } else {
        &["xdg-open"]
    }
}

/// `rundll32` takes the link as it is; `cmd.exe /c start` would cut it at its first `&`.
fn arguments<'a>(opener: &str, link: &'a str) -> Vec<&'a str> {
    if [RUNDLL, "rundll32"].contains(&opener) {
        vec!["url.dll,FileProtocolHandler", link]
    } else {
        vec![link]
    }
}

fn has_screen(session: &BTreeMap<String, String>) -> bool {
    cfg!(target_os = "macos")
        || cfg!(windows)
        || place::is_wsl(session)
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| session.contains_key(*name))
}

/// Takes leave of the opener, so that it does not stay behind as a zombie. It may be the browser itself and run for hours:
/// the thread waits with it and ends with the process, so that the daemon's end waits for neither.
fn reap(mut child: std::process::Child) {
    let waiting = std::thread::Builder::new().name("browser".to_owned()).spawn(move || match child.wait() {
        Ok(status) if !status.success() => tracing::info!(%status, "the opener could not open the link"),
        Ok(_) | Err(_) => {}
    });
    if let Err(error) = waiting {
        tracing::debug!(%error, "could not wait for the opener");
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn no_browser_is_opened_without_a_screen_or_against_the_sessions_wish() {
        const LINK: &str = "http://127.0.0.1:1/";
        assert_eq!(open(LINK, &env(&[("BROWSER", "/bin/true")])), Opened::NoScreen);
        let unwanted = env(&[("DISPLAY", ":0"), ("CODEX_OAUTH_NO_BROWSER", "1"), ("BROWSER", "/bin/true")]);
        assert_eq!(open(LINK, &unwanted), Opened::NotWanted);
        assert!(Opened::NoScreen.note().is_some() && Opened::Yes.note().is_none());
    }

    #[test]
    fn under_wsl_the_browser_of_windows_is_asked_first_and_gets_the_whole_link() {
        let wsl = env(&[("WSL_DISTRO_NAME", "Debian")]);
        assert_eq!(openers(&wsl)[0], "wslview");
        assert_eq!(openers(&env(&[("DISPLAY", ":0")])), ["xdg-open"]);
        let link = "http://127.0.0.1/?a=1&b=2";
        assert_eq!(arguments(RUNDLL, link), ["url.dll,FileProtocolHandler", link]);
        assert_eq!(arguments("wslview", link), [link]);
    }
}
