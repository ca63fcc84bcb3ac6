//! The folders that we work in: ours, closed to others, and writable.

use std::path::{Path, PathBuf};

use codex_oauth_proto::dir::{self, DirError};
use codex_oauth_proto::endpoint::{Endpoint, EndpointError};
use codex_oauth_proto::env::{Env, EnvError};

use super::report::{Finding, Fixer};
use super::system;
use crate::exit::Exit;

/// Runtime, state and configuration.
pub(super) fn look(env: &Env, endpoint: &Result<Endpoint, EndpointError>, fixer: &mut Fixer) -> Finding {
    let runtime = match endpoint {
        Ok(endpoint) => private(&endpoint.dir, "CODEX_OAUTH_RUNTIME_DIR", env, fixer),
        Err(error) => {
            let remedy = "set CODEX_OAUTH_RUNTIME_DIR to a short absolute path";
            Finding::fail(error.to_string(), remedy, Exit::Daemon)
        }
    };
    let state = placed(env.state_dir(), |dir| private(dir, "CODEX_OAUTH_STATE_DIR", env, fixer));
    let config = placed(env.config_dir(), |dir| not_writable_by_others(dir, fixer));
    let file = placed(env.config_dir(), |dir| not_writable_by_others(&dir.join("config.toml"), fixer));
    let login =
        placed(env.auth_file(), |file| writable(file.parent().unwrap_or(file), "CODEX_OAUTH_AUTH_FILE", env));
    Finding::worst(vec![runtime, state, config, file, login], "ours, closed to others, writable")
}

fn placed(place: Result<PathBuf, EnvError>, look: impl FnOnce(&Path) -> Finding) -> Finding {
    match place {
        Ok(path) => look(&path),
        Err(error) => Finding::fail(error.to_string(), "set the variable to an absolute path", Exit::Daemon),
    }
}

/// A folder that the daemon refuses unless it is ours alone.
fn private(path: &Path, variable: &str, env: &Env, fixer: &mut Fixer) -> Finding {
    let elsewhere = || format!("set {variable} to a folder of your own, or move `{}` away", path.display());
    match dir::check_private(path, env.uid) {
        Ok(()) => writable(path, variable, env),
        Err(DirError::Inspect { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let parent = writable(path, variable, env);
            if !fixer.is_allowed() || parent.status > super::Status::Ok {
                // The daemon makes it when it starts.
                return parent;
            }
            let trouble = Finding::warn(format!("`{}` is missing", path.display()), "");
            fixer.mend(trouble, format!("mkdir -m 700 {}", path.display()), || {
                dir::ensure_private(path, env.uid).map_err(std::io::Error::other)
            })
        }
        Err(DirError::TooOpen { mode, .. }) => {
            let detail = format!("others may enter `{}` (mode {mode:04o})", path.display());
            let trouble = Finding::fail(detail, "", Exit::Daemon);
            fixer.mend(trouble, format!("chmod 700 {}", path.display()), || system::set_mode(path, 0o700))
        }
        Err(error @ DirError::ForeignOwner { .. }) => {
            Finding::fail(error.to_string(), elsewhere(), Exit::Daemon)
        }
        Err(error) => {
            Finding::fail(codex_oauth_proto::connect::with_causes(&error), elsewhere(), Exit::Daemon)
        }
    }
}

/// What decides where a token is sent: nobody else may write it.
fn not_writable_by_others(path: &Path, fixer: &mut Fixer) -> Finding {
    match system::mode(path) {
        Some(mode) if mode & 0o022 != 0 => {
            let detail = format!("others may write `{}` (mode {:04o})", path.display(), mode & 0o7777);
            let what = format!("chmod go-w {}", path.display());
            fixer.mend(Finding::warn(detail, ""), what, || system::set_mode(path, mode & 0o7755))
        }
        _ => Finding::ok(""),
    }
}

/// Whether we may write in it, or make it where it is missing.
fn writable(path: &Path, variable: &str, env: &Env) -> Finding {
    let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    if !there.is_dir() {
        let detail = format!("`{}` is a file where a folder is expected", there.display());
        let remedy = format!("move `{0}` away: `mv {0} {0}.old`, or set {variable}", there.display());
        return Finding::fail(detail, remedy, Exit::Failure);
    }
    match system::may_write(there) {
        Ok(()) => Finding::ok(""),
        Err(error) => {
            let detail = format!("you may not write in `{}`: {error}", there.display());
            let own = system::owner(there) == Some(env.uid);
            let remedy = if own && error.kind() == std::io::ErrorKind::PermissionDenied {
                format!(
                    "run `chmod u+rwx {}`, or set {variable} to a folder where you may write",
                    there.display()
                )
            } else {
                format!("set {variable} to a place where you may write")
            };
            Finding::fail(detail, remedy, Exit::Failure)
        }
    }
}
