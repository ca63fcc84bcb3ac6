//! The newest installed daemon, as the state folder remembers it: two installed builds then start the same one, and the
//! older never asks the newer to go.
//!
//! Written under the spawn lock alone. What is read is believed only as far as it can be checked: a build that is newer than
//! our own, and a binary that nobody else could have written. Anything else counts as not there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::dir::{owner_only, trusted};
use crate::env::Env;
use crate::version::{build, is_newer};

/// In the state folder.
const FILE: &str = "newest-daemon.json";

/// One path and two short values.
const MOST_BYTES: u64 = 16 * 1024;

/// Between two requests to hand over, whoever makes them: if a record or a build lies about its version, daemons must not
/// replace each other at every call.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// The daemon's binary.
    path: PathBuf,
    /// Its build.
    build: String,
    /// When a daemon was last asked to hand over, in seconds since 1970.
    #[serde(default)]
    asked_at: u64,
}

/// The daemon to start: `own`, the one that came with this program, or a newer one that was seen before. The newer of the
/// two is remembered. A state folder that cannot be used is no reason to start nothing.
pub(super) fn choose(env: &Env, own: PathBuf) -> PathBuf {
    // A daemon that is named is meant.
    if env.get_os("CODEX_OAUTH_DAEMON").is_some() {
        return own;
    }
    let Some(file) = file(env) else { return own };
    match read(&file) {
        Some(found) if is_newer(&found.build, build()) && is_usable(&found.path, env) => found.path,
        Some(found) if found.path == own && found.build == build() => own,
        found => {
            let asked_at = found.map_or(0, |found| found.asked_at);
            let record = Record { path: own.clone(), build: build().to_owned(), asked_at };
            // Without a record the older build may be started next time, as if there were no such file.
            let _unrecorded = write(&file, &record);
            own
        }
    }
}

/// Whether a daemon of an older build may be asked to hand over now; it is written down that it is. To be called after
/// [`choose`]. Not without a record, since nothing else bounds it.
pub(super) fn may_ask(env: &Env) -> bool {
    if env.get_os("CODEX_OAUTH_DAEMON").is_some() {
        return false;
    }
    let Some((file, record)) = file(env).and_then(|file| read(&file).map(|record| (file, record))) else {
        return false;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // A time that has not come yet is a clock that was set back, and nobody asked then.
    let asked_lately = record.asked_at <= now && now - record.asked_at < ASK_AGAIN.as_secs();
    !asked_lately && write(&file, &Record { asked_at: now, ..record }).is_ok()
}

/// The daemon that was seen last, if it can be trusted: for whoever has lost its own.
pub(super) fn usable(env: &Env) -> Option<PathBuf> {
    // A daemon that is named is meant.
    let is_named = env.get_os("CODEX_OAUTH_DAEMON").is_some();
    remembered(env).filter(|path| !is_named && is_usable(path, env))
}

/// What is written down.
pub(super) fn remembered(env: &Env) -> Option<PathBuf> {
    Some(read(&env.state_dir().ok()?.join(FILE))?.path)
}

fn file(env: &Env) -> Option<PathBuf> {
    let dir = env.state_dir().ok()?;
    crate::dir::ensure_private(&dir, env.uid).ok()?;
    Some(dir.join(FILE))
}

fn read(file: &Path) -> Option<Record> {
    let mut text = Vec::new();
    File::open(file).ok()?.take(MOST_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn is_usable(path: &Path, env: &Env) -> bool {
    let trusted = |path: &Path| trusted(path, env.uid).is_ok();
    path.is_absolute() && path.is_file() && trusted(path) && path.parent().is_none_or(trusted)
}

/// Whole or not at all, also when the machine stops in between.
fn write(file: &Path, record: &Record) -> io::Result<()> {
    let new = file.with_extension("json.new");
    // The lock makes this writer the only one: what lies there was left by one that was killed.
    let mut written = owner_only(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
    written.write_all(&serde_json::to_vec(record)?)?;
    written.sync_all()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "proto has no fsx; the file is synced, the folder right after"
    )]
    std::fs::rename(&new, file)?;
    #[cfg(unix)]
    if let Some(folder) = file.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A state folder, and two folders with a daemon each.
    fn home() -> (tempfile::TempDir, Env, [PathBuf; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(rustix::process::geteuid().as_raw(), Some(dir.path().to_owned()), None)
            .with("CODEX_OAUTH_STATE_DIR", dir.path().join("state"));
        let daemons = ["a", "b"].map(|name| {
            let path = dir.path().join(name).join("codex-oauthd");
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            File::create(&path).unwrap();
            path
        });
        (dir, env, daemons)
    }

    fn record(env: &Env, path: &Path, build: &str) {
        write(&file(env).unwrap(), &Record { path: path.to_owned(), build: build.to_owned(), asked_at: 0 })
            .unwrap();
    }

    #[test]
    fn the_newer_of_two_is_started_and_remembered() {
        let (_dir, env, [own, other]) = home();
        assert_eq!(choose(&env, own.clone()), own);
        record(&env, &other, "999.0.0");
        assert_eq!(choose(&env, own.clone()), other);
        assert_eq!(choose(&env.clone().with("CODEX_OAUTH_DAEMON", &own), own.clone()), own, "it was named");
        record(&env, &other, "0.0.1");
        assert_eq!(choose(&env, own.clone()), own);
        assert_eq!(read(&file(&env).unwrap()).unwrap().path, own);
    }

    #[test]
    fn a_record_that_cannot_be_trusted_is_replaced() {
        let (_dir, env, [own, other]) = home();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o777)).unwrap();
        for (path, build) in [
            (other.as_path(), "999.0.0"),
            (Path::new("/nonexistent/codex-oauthd"), "999.0.0"),
            (Path::new("codex-oauthd"), "999.0.0"),
            (own.parent().unwrap(), "999.0.0"),
            (other.as_path(), "newest"),
        ] {
            record(&env, path, build);
            assert_eq!(choose(&env, own.clone()), own, "{} {build}", path.display());
            assert_eq!(read(&file(&env).unwrap()).unwrap().build, crate::version::build());
        }
        File::create(file(&env).unwrap()).unwrap().write_all(b"{ torn").unwrap();
        assert_eq!(choose(&env, own.clone()), own);
    }

    #[test]
    fn a_daemon_is_asked_once_a_minute_at_most_and_never_without_a_record() {
        let (_dir, env, [own, _]) = home();
        assert!(!may_ask(&env), "there is no record");
        choose(&env, own.clone());
        assert!(may_ask(&env));
        assert!(!may_ask(&env));
        choose(&env, own.clone());
        assert!(!may_ask(&env), "a choice forgets nothing");
        let asked_at = u64::MAX;
        write(&file(&env).unwrap(), &Record { path: own, build: build().to_owned(), asked_at }).unwrap();
        assert!(may_ask(&env), "the clock was set back");
    }
}
