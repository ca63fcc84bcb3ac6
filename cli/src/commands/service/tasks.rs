//! Windows: a task of the person's own that starts the daemon at log-on. No service control manager, no administrator.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use codex_oauth_proto::env::{APP, Env};

use super::Said;
use super::facts::Facts;
use super::launchd::escaped;
use crate::child;

const TASK: &str = include_str!("../../../../windows/logon-task.xml");

/// Below our own folder of local application data.
pub(super) const NAMES: &[&str] = &["logon-task.xml"];

/// The task's name.
const NAME: &str = APP;

/// `schtasks` answers within a second.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn folder(env: &Env) -> Said<PathBuf> {
    let data = env.get("LOCALAPPDATA").ok_or("LOCALAPPDATA is not set")?;
    Ok(Path::new(data).join(APP).join("service"))
}

pub(super) fn check(env: &Env) -> Said<()> {
    program(env).map(drop)
}

/// What is started is the command, which starts the daemon detached and ends. The task cannot set variables: settings are
/// in config.toml and in the person's own environment.
pub(super) fn file(facts: &Facts) -> (&'static str, String) {
    let command = escaped(&facts.command.display().to_string());
    (NAMES[0], TASK.replace("@COMMAND@", &command).replace("@USER@", &escaped(&facts.user)))
}

pub(super) fn start(env: &Env, folder: &Path) -> Said<()> {
    let file = folder.join(NAMES[0]).display().to_string();
    schtasks(env, &["/Create", "/F", "/TN", NAME, "/XML", &file]).map(drop)
}

pub(super) fn stop(env: &Env) -> Said<()> {
    schtasks(env, &["/Delete", "/F", "/TN", NAME]).map(drop)
}

pub(super) fn state(env: &Env) -> Said<String> {
    schtasks(env, &["/Query", "/TN", NAME]).map(|_| "starts when you log in".to_owned())
}

fn schtasks(env: &Env, args: &[&str]) -> Said<String> {
    child::ask(Command::new(program(env)?).args(args), PATIENCE)
}

fn program(env: &Env) -> Said<PathBuf> {
    let name = if cfg!(windows) { "schtasks.exe" } else { "schtasks" };
    child::find(env, name).ok_or_else(|| "there is no schtasks on PATH".to_owned())
}
