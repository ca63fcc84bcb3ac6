//! Starting the daemon's process: detached from the starter's session and terminal, with a clean environment and none of
//! its descriptors. A kept copy of an MCP client's pipe would hang that client.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::env::Env;
use crate::report::REPORT_FLAG;

/// Variables that may pass to the daemon. The first starter's environment becomes everybody's, so nothing of one
/// project's may be in it, and never an API key.
const PASSED: &[&str] = &[
    "ALL_PROXY",
    "CODEX_CA_CERTIFICATE",
    "CODEX_HOME",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TZ",
    "USER",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Our own variables pass, but for those that are about one session or about starting.
const PASSED_PREFIX: &str = "CODEX_OAUTH_";
const NOT_PASSED: &[&str] = &["CODEX_OAUTH_DAEMON", "CODEX_OAUTH_NO_BROWSER", "CODEX_OAUTH_NO_SPAWN"];

/// Starts `daemon run --report`; its standard output is the report pipe, its standard error goes to `log`.
pub(crate) fn spawn(daemon: &Path, log: Option<&Path>, env: &Env) -> io::Result<Child> {
    let mut command = Command::new(daemon);
    command
        .args(["run", REPORT_FLAG])
        .env_clear()
        .envs(env.vars().filter(|(name, _)| passes(name)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.and_then(open_log).map_or_else(Stdio::null, Stdio::from));
    detach(&mut command);
    command.spawn()
}

fn passes(name: &str) -> bool {
    PASSED.contains(&name) || (name.starts_with(PASSED_PREFIX) && !NOT_PASSED.contains(&name))
}

/// A log that cannot be opened must not keep the daemon from starting.
fn open_log(path: &Path) -> Option<std::fs::File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).ok()
}

/// A session of its own: the end of the starter's terminal or process group is not the daemon's.
///
/// The starter's own descriptors are close-on-exec; what the starter itself inherited is closed by the daemon at start.
#[expect(unsafe_code, reason = "setsid must run in the child, between fork and exec")]
fn detach(command: &mut Command) {
    // SAFETY: `setsid` is async-signal-safe and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_keys_preloads_and_session_choices_do_not_pass() {
        for name in [
            "OPENAI_API_KEY",
            "ANTHROPIC_API_KEY",
            "LD_PRELOAD",
            "TMPDIR",
            "DISPLAY",
            "CODEX_DEBUG",
            "CODEX_OAUTH_NO_BROWSER",
            "CODEX_OAUTH_NO_SPAWN",
            "CLAUDE_CODE_SESSION_ID",
        ] {
            assert!(!passes(name), "{name}");
        }
        for name in ["HOME", "HTTPS_PROXY", "no_proxy", "CODEX_OAUTH_AUTH_FILE", "CODEX_OAUTH_STATE_DIR"] {
            assert!(passes(name), "{name}");
        }
    }
}
