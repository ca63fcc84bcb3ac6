//! What use of the product has left behind: it outlives an uninstall unless it is asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::env::{APP, Env};
use codex_oauth_proto::launch::LaunchError;
use codex_oauth_proto::local::UserId;
use codex_oauth_proto::lock::{FileLock, text_path};

use super::not_removed;
use crate::commands::claude;
use crate::failure::Failure;

/// Where things are, whether they exist or not.
#[derive(Debug)]
pub(super) struct Leftovers {
    uid: UserId,
    auth_file: PathBuf,
    state: PathBuf,
    config: PathBuf,
    runtime: Endpoint,
    plugin_cache: Option<PathBuf>,
}

/// A path that stays, and what it is.
type Left = (PathBuf, &'static str);

impl Leftovers {
    /// The places that this environment names.
    pub(super) fn of(env: &Env, endpoint: &Endpoint) -> Result<Self, Failure> {
        let place = |found: Result<PathBuf, _>| found.map_err(|error| LaunchError::Env(error).to_wire());
        Ok(Self {
            uid: env.uid,
            auth_file: place(env.auth_file())?,
            state: place(env.state_dir())?,
            config: place(env.config_dir())?,
            runtime: endpoint.clone(),
            plugin_cache: claude::plugin_cache(env),
        })
    }

    /// Those that exist.
    pub(super) fn present(&self) -> Vec<Left> {
        let own = [
            (&self.state, "state and log"),
            (&self.config, "configuration"),
            (&self.runtime.dir, "locks"),
            (&self.auth_file, "the login"),
        ];
        let lock = codex_oauth_proto::lock::auth_lock(&self.auth_file);
        let own = own.map(|(path, what)| (path.clone(), what));
        let present = own.into_iter().chain([(lock, "its lock")]).filter(|(path, _)| path.exists());
        present.chain(self.copies()).chain(self.not_ours_to_remove()).collect()
    }

    /// What the daemon keeps beside the credential file to heal it with, `.auth.json.copy`: it is the login once more.
    fn copies(&self) -> impl Iterator<Item = Left> {
        let is_copy = |name: &str, file: &str| {
            name.starts_with(&format!(".{file}."))
                && Path::new(name).extension().is_some_and(|kind| kind == "copy")
        };
        self.beside(is_copy).into_iter().map(|path| (path, "its copy"))
    }

    /// Credential files that could not be read when somebody signed in: whose they are only a person can tell.
    fn put_aside(&self) -> impl Iterator<Item = Left> {
        let is_aside = |name: &str, file: &str| name.starts_with(&format!("{file}.unreadable-"));
        let what =
            "a login that could not be read, and was put aside; delete it unless you need something of it";
        self.beside(is_aside).into_iter().map(move |path| (path, what))
    }

    /// Files beside the credential file whose names are so, beside its own.
    fn beside(&self, is_so: impl Fn(&str, &str) -> bool) -> Vec<PathBuf> {
        let Some(file) = self.auth_file.file_name().map(|name| name.to_string_lossy()) else {
            return Vec::new();
        };
        let beside = self.auth_file.parent().and_then(|folder| folder.read_dir().ok());
        let paths = beside.into_iter().flatten().flatten().map(|entry| entry.path());
        let named =
            |path: &PathBuf| path.file_name().is_some_and(|name| is_so(&name.to_string_lossy(), &file));
        let mut found: Vec<PathBuf> = paths.filter(named).collect();
        found.sort();
        found
    }

    /// Removes all but what other programs keep in the credential file, which has lost our record by the logout. Gives what
    /// is gone, and what stays.
    pub(super) fn remove(&self) -> Result<(Vec<PathBuf>, Vec<Left>), Failure> {
        let mut gone = Vec::new();
        let mut left = Vec::new();
        let auth_lock = codex_oauth_proto::lock::auth_lock(&self.auth_file);
        if self.auth_file.exists() {
            let held = FileLock::try_acquire(&auth_lock);
            if held.is_ok() && is_emptied(&self.auth_file) {
                #[expect(clippy::disallowed_methods, reason = "nothing is in it, and its lock is ours")]
                std::fs::remove_file(&self.auth_file)
                    .map_err(|error| not_removed(&self.auth_file, &error))?;
                gone.push(self.auth_file.clone());
            } else {
                left.push((self.auth_file.clone(), "what other programs keep there"));
            }
        }
        for (path, what) in [(&self.state, "state and log"), (&self.config, "configuration")] {
            self.remove_folder(path, what, &mut gone, &mut left)?;
        }
        let instance_lock = self.runtime.instance_lock();
        for (lock, folder) in [(&auth_lock, None), (&instance_lock, Some(&self.runtime.dir))] {
            if !folder.unwrap_or(lock).exists() {
                continue;
            }
            // Held for the removal: a lock file that somebody uses must not be deleted.
            let Ok(free) = FileLock::try_acquire(lock) else {
                left.push((lock.clone(), "in use by a daemon"));
                continue;
            };
            if cfg!(windows) {
                // What is open cannot be removed there; nor is there a program left that could start a daemon.
                drop(free);
            }
            if let Some(folder) = folder {
                self.remove_folder(folder, "locks", &mut gone, &mut left)?;
            } else {
                let files = BTreeSet::from([lock.clone(), text_path(lock)]);
                for file in files.into_iter().filter(|file| file.exists()) {
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "our lock, held by us, and what is written of it"
                    )]
                    std::fs::remove_file(&file).map_err(|error| not_removed(&file, &error))?;
                    gone.push(file);
                }
            }
        }
        if cfg!(windows)
            && let Some(shared) = self.state.parent().filter(|parent| is_ours(parent, self.uid))
        {
            // The folder that state and locks lie in; with somebody else's file in it, it stays.
            let _kept = std::fs::remove_dir(shared);
        }
        left.extend(self.not_ours_to_remove());
        Ok((gone, left))
    }

    /// What stays even in a purge.
    fn not_ours_to_remove(&self) -> impl Iterator<Item = Left> {
        let cache = self.plugin_cache.clone().filter(|folder| folder.is_dir());
        let others = programs_that_ran().into_iter().chain(self.put_aside());
        others.chain(cache.map(|folder| (folder, "kept by Claude Code")))
    }

    /// Removes a folder with all that is in it, if by its name it is ours: the environment may name any folder.
    fn remove_folder(
        &self,
        path: &Path,
        what: &'static str,
        gone: &mut Vec<PathBuf>,
        left: &mut Vec<Left>,
    ) -> Result<(), Failure> {
        if !path.exists() {
            return Ok(());
        }
        // On Windows state and locks lie in a folder of our name, not in one each.
        let is_inner = cfg!(windows) && path.parent().is_some_and(|parent| is_ours(parent, self.uid));
        if !is_inner && !is_ours(path, self.uid) {
            left.push((path.to_owned(), what));
            return Ok(());
        }
        std::fs::remove_dir_all(path).map_err(|error| not_removed(path, &error))?;
        gone.push(path.to_owned());
        Ok(())
    }
}

/// Whether a folder is ours by its name.
fn is_ours(path: &Path, uid: UserId) -> bool {
    path.file_name().is_some_and(|name| name == APP || name == format!("{APP}-{uid}").as_str())
}

/// Programs that could not be removed because they run, this one among them.
#[cfg(windows)]
fn programs_that_ran() -> Option<Left> {
    let folder = crate::commands::windows::put_aside();
    folder.is_dir().then_some((folder, "programs that still ran, among temporary files"))
}

#[cfg(unix)]
const fn programs_that_ran() -> Option<Left> {
    None
}

/// Whether a file of its own, no link, holds an object without keys: what a logout leaves where nobody else wrote.
fn is_emptied(file: &Path) -> bool {
    file.symlink_metadata().is_ok_and(|found| found.is_file())
        && std::fs::read(file).is_ok_and(|text| {
            serde_json::from_slice(&text).is_ok_and(|value: serde_json::Value| {
                value.as_object().is_some_and(serde_json::Map::is_empty)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leftovers(home: &Path, state: &Path) -> Leftovers {
        let uid = UserId::default();
        let env = Env::new(uid, Some(home.to_owned()), None)
            .with("CODEX_OAUTH_STATE_DIR", state)
            .with("CODEX_OAUTH_RUNTIME_DIR", home.join(format!("{APP}-{uid}")));
        let endpoint = Endpoint::resolve(&env).unwrap();
        for dir in [state, &endpoint.dir, &env.config_dir().unwrap()] {
            std::fs::create_dir_all(dir.join("inner")).unwrap();
        }
        Leftovers::of(&env, &endpoint).unwrap()
    }

    #[test]
    fn folders_of_ours_go_with_all_that_is_in_them() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let state = home.join(".local/state/codex-oauth");
        let found = leftovers(&home, &state);
        assert_eq!(found.present().len(), 3);
        let (gone, left) = found.remove().unwrap();
        let config = if cfg!(windows) { home.join("AppData").join("Roaming") } else { home.join(".config") };
        assert_eq!(gone, [state, config.join(APP), home.join(format!("{APP}-{}", UserId::default()))]);
        assert_eq!((left, found.present()), (vec![], vec![]));
    }

    #[test]
    fn what_lies_beside_the_login_is_named_with_it() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let found = leftovers(&home, &home.join("codex-oauth"));
        let folder = found.auth_file.parent().unwrap().to_owned();
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["auth.json", "auth.lock", ".auth.json.copy", ".auth.json.work.copy", ".other.json.copy"]
        {
            std::fs::File::create(folder.join(name)).unwrap();
        }
        let named: Vec<_> =
            found.present().into_iter().filter(|(path, _)| path.parent() == Some(&*folder)).collect();
        let expected = [
            ("auth.json", "the login"),
            ("auth.lock", "its lock"),
            (".auth.json.copy", "its copy"),
            (".auth.json.work.copy", "its copy"),
        ];
        assert_eq!(named, expected.map(|(name, what)| (folder.join(name), what)));
    }

    #[test]
    fn a_login_that_was_put_aside_is_named_also_by_a_purge() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let found = leftovers(&home, &home.join("codex-oauth"));
        let aside = found.auth_file.with_file_name("auth.json.unreadable-1795434846");
        std::fs::create_dir_all(aside.parent().unwrap()).unwrap();
        std::fs::File::create(&aside).unwrap();
        let names_it = |left: &[Left]| left.iter().any(|(path, _)| *path == aside);
        assert!(names_it(&found.present()));
        let (_, left) = found.remove().unwrap();
        assert!(names_it(&left) && aside.exists(), "only a person can tell whose it is: {left:?}");
    }

    #[test]
    fn a_folder_with_a_name_of_its_own_is_left_and_named() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let state = home.join("documents");
        let (_, left) = leftovers(&home, &state).remove().unwrap();
        assert_eq!(left, [(state.clone(), "state and log")]);
        assert!(state.join("inner").is_dir());
    }

    #[test]
    fn locks_of_a_running_daemon_are_left() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let found = leftovers(&home, &home.join("codex-oauth"));
        let lock = found.runtime.instance_lock();
        let _running = FileLock::try_acquire(&lock).unwrap();
        let (_, left) = found.remove().unwrap();
        assert_eq!(left, [(lock, "in use by a daemon")]);
    }
}
