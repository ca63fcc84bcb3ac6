//! What crashed programs left behind: files that were being written, and sockets in places that are no longer used.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use codex_oauth_proto::endpoint::{Endpoint, EndpointError};
use codex_oauth_proto::env::Env;

use super::report::{Finding, Fixer};

/// Beginning of the name of the file that `disk` writes.
pub(super) const PROBE: &str = ".codex-oauth-doctor.";

/// What a running program writes has its last name within a second; this leaves room for one that was stopped.
const OLD: Duration = Duration::from_secs(3_600);

/// Entries of a folder that are looked at; `~/.claude` is not ours alone.
const MOST_ENTRIES: usize = 4_096;

/// Names them; with `--fix` removes them.
pub(super) fn look(env: &Env, endpoint: &Result<Endpoint, EndpointError>, fixer: &mut Fixer) -> Finding {
    let mut found = Vec::new();
    if let Ok(file) = env.auth_file()
        && let (Some(folder), Some(name)) = (file.parent(), file.file_name())
    {
        // `fsx` of the daemon: `.auth.json.XXXX.tmp`; of its two small files beside it `..auth.json.copy.XXXX.tmp`.
        let name = name.to_string_lossy();
        let (own, beside) = (format!(".{name}."), format!("..{name}."));
        let ours = |file: &str| file.starts_with(&own) || file.starts_with(&beside);
        found.extend(old_files(folder, |file| file.strip_suffix(".tmp").is_some_and(ours)));
        found.extend(old_files(folder, |file| file.starts_with(PROBE)));
    }
    if let Ok(folder) = env.state_dir() {
        found.extend(old_files(&folder, |file| {
            file.starts_with(PROBE)
                || file == "newest-daemon.json.new"
                || file.strip_suffix(".tmp").is_some_and(|file| file.starts_with('.'))
        }));
    }
    if let Ok(endpoint) = endpoint {
        found.extend(old_files(&endpoint.dir, |file| file.starts_with(PROBE)));
        found.extend(former_sockets(env, &endpoint.dir));
    }
    let findings = found.iter().map(|path| {
        let trouble = Finding::warn(format!("`{}` was left behind", path.display()), "");
        fixer.mend(trouble, format!("rm {}", path.display()), || {
            #[expect(clippy::disallowed_methods, reason = "ours by its name, and nobody writes it any more")]
            std::fs::remove_file(path)
        })
    });
    Finding::worst(findings.collect(), "none")
}

/// Files that nobody has written for [`OLD`].
fn old_files(folder: &Path, is_ours: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_old = |path: &PathBuf| {
        path.symlink_metadata().is_ok_and(|found| {
            let age = found.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            found.is_file() && age.is_some_and(|age| age > OLD)
        })
    };
    let named =
        entries.flatten().take(MOST_ENTRIES).filter(|entry| entry.file_name().to_str().is_some_and(&is_ours));
    named.map(|entry| entry.path()).filter(is_old).collect()
}

/// Dead sockets where clients look without `CODEX_OAUTH_RUNTIME_DIR`, other than the place in use.
#[cfg(unix)]
fn former_sockets(env: &Env, in_use: &Path) -> Vec<PathBuf> {
    use codex_oauth_proto::caller::Caller;
    use codex_oauth_proto::connect::{ConnectError, connect};
    use codex_oauth_proto::env::APP;
    use std::os::unix::fs::FileTypeExt as _;

    let usual = [
        env.run_user.as_ref().map(|run| run.join(APP)),
        Some(PathBuf::from(format!("/tmp/{APP}-{}", env.uid))),
    ];
    let is_dead = |dir: &PathBuf| {
        let place = Endpoint::resolve(&env.clone().with("CODEX_OAUTH_RUNTIME_DIR", dir));
        place.is_ok_and(|place| {
            matches!(connect(&place, env.uid, &Caller::unwatched()), Err(ConnectError::Absent))
        })
    };
    let is_socket = |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    let others = usual.into_iter().flatten().filter(|dir| dir != in_use).filter(is_dead);
    others.map(|dir| dir.join("daemon.sock")).filter(is_socket).collect()
}

/// Pipes leave nothing behind.
#[cfg(not(unix))]
fn former_sockets(_: &Env, _: &Path) -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn aged(path: &Path) {
        let file = File::create(path).unwrap();
        file.set_modified(SystemTime::now() - OLD - OLD).unwrap();
    }

    #[test]
    fn only_old_files_with_our_names_are_leftovers() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        let env = Env::new(7, Some(home.path().to_owned()), None)
            .with("CODEX_OAUTH_AUTH_FILE", home.path().join("auth.json"))
            .with("CODEX_OAUTH_RUNTIME_DIR", home.path().join("run"))
            .with("CODEX_OAUTH_STATE_DIR", &state);
        std::fs::create_dir(&state).unwrap();
        for ours in [".auth.json.AbC.tmp", "..auth.json.copy.x.tmp", "state/.refresh-history.jsonl.x.tmp"] {
            aged(&home.path().join(ours));
        }
        for other in ["auth.json", ".other.tmp", ".auth.json.copy", "state/state.sqlite"] {
            aged(&home.path().join(other));
        }
        File::create(home.path().join(".auth.json.new.tmp")).unwrap();
        let endpoint = Endpoint::resolve(&env);
        let found = look(&env, &endpoint, &mut Fixer::new(false));
        assert_eq!(found.status, crate::commands::doctor::report::Status::Warn);
        look(&env, &endpoint, &mut Fixer::new(true));
        let mut left: Vec<String> = [home.path(), &state]
            .iter()
            .flat_map(|dir| std::fs::read_dir(dir).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected =
            [".auth.json.copy", ".auth.json.new.tmp", ".other.tmp", "auth.json", "state", "state.sqlite"];
        assert_eq!(left, expected);
    }
}
