//! Starting the daemon's process: detached from the starter's session and terminal, with a clean environment and none of
//! its descriptors. A kept copy of an MCP client's pipe would hang that client.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs::OpenOptions;
use std::path::Path;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use crate::dir::owner_only;
use crate::env::Env;

pub(crate) use system::{Child, ReportPipe, reap_all, spawn, take_leave};

/// Variables that may pass to the daemon. The first starter's environment becomes everybody's, so nothing of one
/// project's may be in it, and never an API key. The general names of proxies and CA files are not among them: a project's own
/// would lead everybody's login that way. They are in `config.toml`, or in our own variables; a session that has others is told.
const PASSED: &[&str] = &[
    "CODEX_HOME",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "TZ",
    "USER",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
];

/// What every program on Windows needs to find the system's libraries, folders and services. Names have no case there.
#[cfg(windows)]
const PASSED_ON_WINDOWS: &[&str] = &[
    "ALLUSERSPROFILE",
    "APPDATA",
    "COMSPEC",
    "HOMEDRIVE",
    "HOMEPATH",
    "LOCALAPPDATA",
    "PATHEXT",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "USERDOMAIN",
    "USERNAME",
    "USERPROFILE",
    "WINDIR",
];
#[cfg(not(windows))]
const PASSED_ON_WINDOWS: &[&str] = &[];

/// Our own variables pass, but for those that are about one session or about starting.
const PASSED_PREFIX: &str = "CODEX_OAUTH_";
const NOT_PASSED: &[&str] =
    &["CODEX_OAUTH_DAEMON", "CODEX_OAUTH_NO_BROWSER", "CODEX_OAUTH_NO_SPAWN", "CODEX_OAUTH_SERVICE"];

/// What a service manager gives its programs by itself.
const THE_MANAGERS: &[&str] = &["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TZ", "USER"];

/// What of `env` a service's daemon has to be given to be like one that was started from here.
pub(crate) fn service_variables(env: &Env) -> Vec<(String, String)> {
    let wanted =
        |name: &str| !THE_MANAGERS.contains(&name) && !PASSED_ON_WINDOWS.contains(&name) && passes(name);
    let names = env.vars().map(|(name, _)| name).filter(|name| wanted(name));
    names.filter_map(|name| Some((name.to_owned(), env.get(name)?.to_owned()))).collect()
}

/// The environment of the daemon.
fn environment(env: &Env) -> impl Iterator<Item = (&str, &std::ffi::OsString)> {
    env.vars().filter(|(name, _)| passes(name))
}

fn passes(name: &str) -> bool {
    PASSED.contains(&name)
        || PASSED_ON_WINDOWS.contains(&name)
        || (name.starts_with(PASSED_PREFIX) && !NOT_PASSED.contains(&name) && !is_for_tests(name))
}

/// What a build for people does not read.
fn is_for_tests(name: &str) -> bool {
    !cfg!(debug_assertions) && name.starts_with("CODEX_OAUTH_TEST_")
}

/// A log that cannot be opened must not keep the daemon from starting.
fn open_log(path: &Path) -> Option<std::fs::File> {
    owner_only(OpenOptions::new().append(true).create(true)).open(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_keys_preloads_proxies_and_session_choices_do_not_pass() {
        for name in [
            "OPENAI_API_KEY",
            "ANTHROPIC_API_KEY",
            "LD_PRELOAD",
            "TMPDIR",
            "DISPLAY",
            "CODEX_DEBUG",
            "CODEX_OAUTH_NO_BROWSER",
            "CODEX_OAUTH_NO_SPAWN",
            "HTTPS_PROXY",
            "all_proxy",
            "no_proxy",
            "SSL_CERT_FILE",
            "CODEX_CA_CERTIFICATE",
            "CLAUDE_CODE_SESSION_ID",
        ] {
            assert!(!passes(name), "{name}");
        }
        for name in ["HOME", "CODEX_OAUTH_PROXY", "CODEX_OAUTH_AUTH_FILE", "CODEX_OAUTH_STATE_DIR"] {
            assert!(passes(name), "{name}");
        }
    }
}
