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
/// in config.toml and in the person's own environment. UTF-16 with its mark, as the task scheduler itself exports: names of
/// people have all kinds of letters.
pub(super) fn file(facts: &Facts) -> (&'static str, Vec<u8>) {
    let command = escaped(&facts.command.display().to_string());
    let text = TASK.replace("@COMMAND@", &command).replace("@USER@", &escaped(&facts.user));
    (
        NAMES[0],
        std::iter::once('\u{feff}')
            .chain(text.chars())
            .collect::<String>()
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect(),
    )
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
    child::find(env, "schtasks").ok_or_else(|| "there is no schtasks on PATH".to_owned())
}
