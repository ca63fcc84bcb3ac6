//! The three programs: that they belong together, and that there is one set of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use codex_oauth_proto::env::{APP, Env};
use codex_oauth_proto::launch::find_daemon;
use codex_oauth_proto::{BUILD, version};

use super::report::Finding;
use crate::child;

/// A program that prints its version takes a millisecond; this covers a cold disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// The shim's file name, beside the daemon.
const SHIM: &str = if cfg!(windows) { "codex-oauth-mcp.exe" } else { "codex-oauth-mcp" };

/// What a person runs to install.
pub(super) const INSTALL: &str = if cfg!(windows) { "install.ps1" } else { "sh install.sh" };

/// The daemon that this command starts, and the shim beside it.
pub(super) fn look(env: &Env) -> Finding {
    let daemon = match find_daemon(env) {
        Ok(daemon) => daemon,
        Err(error) => return Finding::error(&error.to_wire()),
    };
    let shim = daemon.with_file_name(SHIM);
    let mut findings = vec![of_this_build(&daemon)];
    if shim.is_file() {
        findings.push(of_this_build(&shim));
    } else {
        let detail = format!("there is no `{}`: Claude Code cannot be served", shim.display());
        findings.push(Finding::warn(detail, format!("install again: `{INSTALL}`")));
    }
    Finding::worst(findings, format!("{BUILD}: command, daemon and shim are of one build"))
}

/// Every installation that may be used: on PATH, where install.sh puts one, and the one that a daemon was last started from.
pub(super) fn look_for_others(env: &Env) -> Finding {
    let mut builds: BTreeMap<PathBuf, String> = BTreeMap::new();
    for daemon in daemons(env) {
        // One that others could write is not run to be asked, and never started either.
        let Ok(trusted) = find_daemon(&env.clone().with("CODEX_OAUTH_DAEMON", &daemon)) else { continue };
        if let Ok(build) = build_of(&trusted) {
            builds.insert(trusted, build);
        }
    }
    let listed: Vec<String> =
        builds.iter().map(|(path, build)| format!("{build} in `{}`", folder(path).display())).collect();
    let mut kinds: Vec<&String> = builds.values().collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() > 1 {
        let oldest = builds.iter().reduce(|a, b| if version::is_newer(a.1, b.1) { b } else { a });
        let oldest = oldest.map(|(path, _)| folder(path).display().to_string()).unwrap_or_default();
        let detail =
            format!("there are {} installations: {}; the newest one serves", listed.len(), listed.join(", "));
        return Finding::warn(detail, format!("remove the older one, in `{oldest}`, or bring it up to date"));
    }
    Finding::ok(match builds.len() {
        0 | 1 => "one installation".to_owned(),
        many => format!("{many} installations of one build"),
    })
}

/// Daemons of the installations, whether they are there or not.
fn daemons(env: &Env) -> Vec<PathBuf> {
    let daemon = if cfg!(windows) { "codex-oauthd.exe" } else { "codex-oauthd" };
    let own = find_daemon(env).ok();
    let commands = child::find_all(env, APP);
    let near = commands.filter_map(|command| command.canonicalize().ok()).flat_map(|command| {
        let folder = command.parent().map(Path::to_owned).unwrap_or_default();
        [folder.join(daemon), folder.join("../libexec").join(APP).join(daemon)]
    });
    let home = env.home.iter().map(|home| home.join(".local/libexec").join(APP).join(daemon));
    let places = own.into_iter().chain(near).chain(home).chain(codex_oauth_proto::launch::newest_daemon(env));
    places.filter_map(|path| path.canonicalize().ok()).collect()
}

fn of_this_build(program: &Path) -> Finding {
    match build_of(program) {
        Ok(build) if build == BUILD => Finding::ok(build),
        Ok(build) => Finding::warn(
            format!("`{}` is of build {build} and this command of {BUILD}", program.display()),
            format!("install again, so that all programs are of one build: `{INSTALL}`"),
        ),
        Err(why) => Finding::fail(
            format!("`{}` does not run: {why}", program.display()),
            format!("install again: `{INSTALL}`"),
            crate::exit::Exit::Daemon,
        ),
    }
}

/// The build in `codex-oauthd 0.1.0`.
fn build_of(program: &Path) -> Result<String, String> {
    let said = child::ask(Command::new(program).arg("--version"), PATIENCE)?;
    let build = said.split_whitespace().nth(1).ok_or("it does not say its version")?;
    Ok(build.chars().filter(|c| !c.is_control()).collect())
}

fn folder(daemon: &Path) -> &Path {
    daemon.parent().unwrap_or(daemon)
}
