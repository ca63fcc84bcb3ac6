//! systemd: a user socket and the service behind it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use codex_oauth_proto::env::Env;

use super::Said;
use super::facts::Facts;
use crate::child;

const SOCKET: &str = include_str!("../../../../systemd/codex-oauthd.socket");
const SERVICE: &str = include_str!("../../../../systemd/codex-oauthd.service");
const HARDENING: &str = include_str!("../../../../systemd/codex-oauthd.service.d/hardening.conf");

/// Below the folder of user units.
pub(super) const NAMES: &[&str] =
    &["codex-oauthd.socket", "codex-oauthd.service", "codex-oauthd.service.d/hardening.conf"];

/// The folder of the service's drop-ins. A person's own may lie beside ours.
pub(super) const DROP_INS: &str = "codex-oauthd.service.d";

/// Below the same folder: what `systemctl --user enable` makes, whoever brought the units.
pub(super) const LINK: &str = "sockets.target.wants/codex-oauthd.socket";

const UNITS: [&str; 2] = ["codex-oauthd.socket", "codex-oauthd.service"];

/// A stop waits for running answers (30 s) and for a renewal of the login (30 s).
const PATIENCE: Duration = Duration::from_secs(75);

pub(super) fn folder(env: &Env) -> Said<PathBuf> {
    let given = env.get_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let config = given.or_else(|| env.home.as_ref().map(|home| home.join(".config")));
    config.map(|config| config.join("systemd/user")).ok_or_else(|| "no home folder is known".to_owned())
}

pub(super) fn check(env: &Env) -> Said<()> {
    systemctl(env, &["show-environment"]).map(drop)
}

pub(super) fn files(facts: &Facts, harden: bool) -> Vec<(&'static str, String)> {
    let socket = if facts.is_usual_socket {
        SOCKET.to_owned()
    } else {
        set(SOCKET, "ListenStream", &[unspecified(&facts.socket.display().to_string())])
    };
    let exec = format!("{} run", quoted(&facts.daemon.display().to_string()).replace('$', "$$"));
    let service = set(SERVICE, "ExecStart", &[exec]);
    let own = "CODEX_OAUTH_SERVICE=systemd".to_owned();
    let variables = facts.variables.iter().map(|(name, value)| quoted(&format!("{name}={value}")));
    let service = set(&service, "Environment", &std::iter::once(own).chain(variables).collect::<Vec<_>>());
    let mut files = vec![(NAMES[0], socket), (NAMES[1], service)];
    if harden {
        let folders =
            facts.folders.iter().map(|folder| format!("-{}", unspecified(&folder.display().to_string())));
        let lines: Vec<String> =
            folders.map(|folder| format!("ReadWritePaths={}\n", quoted_word(&folder))).collect();
        files.push((NAMES[2], format!("{HARDENING}{}", lines.concat())));
    }
    files
}

/// The program of `ExecStart`, unless its path holds what systemd would have quoted.
pub(super) fn program(unit: &str) -> Option<PathBuf> {
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart="))?;
    let path = line.strip_suffix(" run")?;
    (!path.contains(['"', '%', '$'])).then(|| PathBuf::from(path))
}

pub(super) fn is_ready(env: &Env) -> bool {
    active(env, UNITS[0]).is_ok_and(|state| state == "active")
}

pub(super) fn start(env: &Env) -> Said<()> {
    systemctl(env, &["daemon-reload"])?;
    systemctl(env, &["enable", UNITS[0]])?;
    systemctl(env, &["restart", UNITS[0]]).map(drop)
}

pub(super) fn stop(env: &Env) -> Said<()> {
    systemctl(env, &["disable", "--now", UNITS[0], UNITS[1]]).map(drop)
}

pub(super) fn forget(env: &Env) -> Said<()> {
    systemctl(env, &["daemon-reload"]).map(drop)
}

pub(super) fn state(env: &Env) -> Said<String> {
    let [socket, service] = [active(env, UNITS[0])?, active(env, UNITS[1])?];
    Ok(format!("socket {socket}, daemon {service}"))
}

fn active(env: &Env, unit: &str) -> Said<String> {
    let said = systemctl(env, &["show", "--property=ActiveState", "--value", unit])?;
    Ok(said.trim().to_owned())
}

/// Runs `systemctl --user`, which after `su` or under cron has to be told where its manager is.
fn systemctl(env: &Env, args: &[&str]) -> Said<String> {
    let program =
        child::find(env, "systemctl").ok_or("systemd is not installed (there is no systemctl on PATH)")?;
    let mut command = Command::new(program);
    command.arg("--user").args(args);
    if let (Some(run), None) = (&env.run_user, env.get("XDG_RUNTIME_DIR")) {
        command.env("XDG_RUNTIME_DIR", run);
    }
    child::ask(&mut command, PATIENCE)
}

/// The unit with the first line of a key replaced by these, and its other lines of that key gone.
fn set(unit: &str, key: &str, values: &[String]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut done = false;
    for line in unit.lines() {
        if !line.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')) {
            lines.push(line.to_owned());
        } else if !std::mem::replace(&mut done, true) {
            lines.extend(values.iter().map(|value| format!("{key}={value}")));
        }
    }
    lines.join("\n") + "\n"
}

/// `%` begins a specifier (systemd.unit(5)).
fn unspecified(text: &str) -> String {
    text.replace('%', "%%")
}

/// One word of a line that is split into words (systemd.syntax(7)).
fn quoted(text: &str) -> String {
    quoted_word(&unspecified(text))
}

fn quoted_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_signs_that_mean_something_to_systemd_stays_one_word() {
        assert_eq!(quoted("/home/ada/.local/codex-oauthd"), "/home/ada/.local/codex-oauthd");
        assert_eq!(quoted("/home/a \"b\" 5%"), "\"/home/a \\\"b\\\" 5%%\"");
    }

    #[test]
    fn a_key_is_replaced_where_it_stands() {
        assert_eq!(
            set("A=1\nB=2\nA=3\nAB=4\n", "A", &["x".to_owned(), "y".to_owned()]),
            "A=x\nA=y\nB=2\nAB=4\n"
        );
    }
}
