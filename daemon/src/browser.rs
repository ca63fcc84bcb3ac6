//! Opens a link on the screen of the person who asked.

use std::collections::BTreeMap;
use std::process::Stdio;

/// Variables of the asking session that an opener needs to find that person's screen.
const SCREEN: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "WSL_DISTRO_NAME",
    "WSL_INTEROP",
];

/// Starts the system's opener for `link`. False: none was started, because the session wants none, has no screen, or
/// there is no opener.
///
/// The link holds no secret: without this daemon's verifier its code is worth nothing (RFC 7636).
pub(crate) fn open(link: &str, session: &BTreeMap<String, String>) -> bool {
    if session.get("CODEX_OAUTH_NO_BROWSER").is_some_and(|value| value == "1") || !has_screen(session) {
        return false;
    }
    let openers: &[&str] = match () {
        () if cfg!(target_os = "macos") => &["open"],
        () if cfg!(windows) => &["rundll32"],
        () => &["xdg-open", "wslview"],
    };
    let named = session.get("BROWSER").map(String::as_str).filter(|browser| browser.starts_with('/'));
    for opener in named.iter().copied().chain(openers.iter().copied()) {
        let mut command = std::process::Command::new(opener);
        if cfg!(windows) {
            command.arg("url.dll,FileProtocolHandler");
        }
        command
            .arg(link)
            .envs(SCREEN.iter().filter_map(|name| Some((name, session.get(*name)?))))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => {
                reap(child);
                return true;
            }
            Err(error) => tracing::debug!(opener, %error, "could not start an opener"),
        }
    }
    false
}

fn has_screen(session: &BTreeMap<String, String>) -> bool {
    cfg!(target_os = "macos")
        || cfg!(windows)
        || ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].iter().any(|name| session.contains_key(*name))
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

    #[test]
    fn no_browser_is_opened_without_a_screen_or_against_the_sessions_wish() {
        let env =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        for session in [env(&[]), env(&[("DISPLAY", ":0"), ("CODEX_OAUTH_NO_BROWSER", "1")])] {
            assert!(!open("http://127.0.0.1:1/", &session));
        }
    }
}
