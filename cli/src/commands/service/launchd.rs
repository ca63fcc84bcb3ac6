//! launchd: an agent whose socket launchd listens at.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use codex_oauth_proto::env::Env;

use super::Said;
use super::facts::Facts;
use crate::child;

const PLIST: &str = include_str!("../../../../launchd/local.codex-oauth.daemon.plist");

/// Below the folder of agents.
pub(super) const NAMES: &[&str] = &["local.codex-oauth.daemon.plist"];

const LABEL: &str = "local.codex-oauth.daemon";

/// An end waits for running answers (30 s) and for a renewal of the login (30 s).
const PATIENCE: Duration = Duration::from_secs(75);

pub(super) fn folder(env: &Env) -> Said<PathBuf> {
    let home = env.home.as_ref().ok_or("no home folder is known")?;
    Ok(home.join("Library/LaunchAgents"))
}

pub(super) fn check(env: &Env) -> Said<()> {
    launchctl(env, &["print", &domain(env)]).map(drop)
}

/// launchd expands nothing, so every path is written out.
pub(super) fn file(facts: &Facts) -> (&'static str, String) {
    let variables = facts.variables.iter().map(|(name, value)| {
        format!("\t\t<key>{}</key>\n\t\t<string>{}</string>\n", escaped(name), escaped(value))
    });
    let text = PLIST
        .replace("@DAEMON@", &escaped(&facts.daemon.display().to_string()))
        .replace("@SOCKET@", &escaped(&facts.socket.display().to_string()))
        .replace("@LOG@", &escaped(&facts.log.display().to_string()))
        .replace("\t\t<!-- @VARIABLES@ -->\n", &variables.collect::<String>());
    (NAMES[0], text)
}

pub(super) fn start(env: &Env, folder: &Path) -> Said<()> {
    // One from before has to go first; that there is none is the usual case.
    let _none = stop(env);
    launchctl(env, &["bootstrap", &domain(env), &folder.join(NAMES[0]).display().to_string()]).map(drop)
}

pub(super) fn stop(env: &Env) -> Said<()> {
    launchctl(env, &["bootout", &format!("{}/{LABEL}", domain(env))]).map(drop)
}

pub(super) fn state(env: &Env) -> Said<String> {
    launchctl(env, &["print", &format!("{}/{LABEL}", domain(env))]).map(|_| "loaded".to_owned())
}

fn domain(env: &Env) -> String {
    format!("gui/{}", env.uid)
}

fn launchctl(env: &Env, args: &[&str]) -> Said<String> {
    let program = child::find(env, "launchctl").ok_or("there is no launchctl on PATH")?;
    child::ask(Command::new(program).args(args), PATIENCE)
}

/// Text of an XML element.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
