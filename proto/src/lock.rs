//! Locks between processes. The lock is the truth; what is written in the file is for people.
//!
//! The only caller of the standard library's file locks. A lock file is never deleted: a deleted one could be locked by
//! two processes at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::dir::owner_only;

/// First and longest pause between two looks of a waiting starter: nothing announces a lock's release. Each is half as long
/// again as the one before. Sixty sessions may wait at once, and must leave the processor to the daemon that they wait for.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Proof that this process holds the lock. It is let go when this is dropped, or when the process ends.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

/// The lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("could not lock `{}`: another process holds it{}", path.display(), holder(text))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What its holder wrote into it, as far as it can be read.
        text: String,
    },
    /// The file could not be opened or locked.
    #[error("could not lock `{}`", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl FileLock {
    /// Takes the lock if it is free.
    pub fn try_acquire(path: &Path) -> Result<Self, LockError> {
        #[expect(clippy::disallowed_methods, reason = "the one place that takes file locks")]
        Self::take(path, File::try_lock)
    }

    /// Takes the lock unless somebody has it alone: others may share it, and nobody gets it alone meanwhile.
    pub fn try_share(path: &Path) -> Result<Self, LockError> {
        #[expect(clippy::disallowed_methods, reason = "the one place that takes file locks")]
        Self::take(path, File::try_lock_shared)
    }

    fn take(path: &Path, lock: impl FnOnce(&File) -> Result<(), TryLockError>) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let file = open(path).map_err(io)?;
        match lock(&file) {
            Ok(()) => Ok(Self { file, path: path.to_owned() }),
            Err(TryLockError::WouldBlock) => {
                let text = described(path).trim().chars().take(200).collect();
                Err(LockError::Held { path: path.to_owned(), text })
            }
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// Takes the lock, waiting up to `patience` for it. `give_up` is asked between looks: a starter stops waiting when
    /// a daemon answers.
    pub fn acquire<T>(
        path: &Path,
        patience: Duration,
        mut give_up: impl FnMut() -> Option<T>,
    ) -> Result<Acquired<T>, LockError> {
        Self::acquire_between(path, patience, |pause| {
            let found = give_up();
            if found.is_none() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "no event tells of a released file lock; bounded by `patience`"
                )]
                std::thread::sleep(pause);
            }
            found
        })
    }

    /// As [`Self::acquire`]; `between` two looks also waits, as long as it is told, unless it has a reason to give up.
    pub fn acquire_between<T>(
        path: &Path,
        patience: Duration,
        mut between: impl FnMut(Duration) -> Option<T>,
    ) -> Result<Acquired<T>, LockError> {
        let deadline = Instant::now() + patience;
        let (mut pause, longest) = LOOK_AGAIN;
        loop {
            match Self::try_acquire(path) {
                Ok(lock) => return Ok(Acquired::Lock(lock)),
                Err(LockError::Held { .. }) if Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(found) = between(pause.min(left)) {
                return Ok(Acquired::Instead(found));
            }
            pause = (pause * 3 / 2).min(longest);
        }
    }

    /// Writes who holds the lock, for people who look into the file.
    pub fn describe(&mut self, text: &str) -> Result<(), LockError> {
        let io = |source| LockError::Io { path: self.path.clone(), source };
        if cfg!(windows) {
            let mut file = open(&text_path(&self.path)).map_err(io)?;
            return write_text(&mut file, text).map_err(io);
        }
        write_text(&mut self.file, text).map_err(io)
    }
}

/// What the holder of the lock at `path` wrote about itself; empty when nothing can be read.
pub fn described(path: &Path) -> String {
    std::fs::read_to_string(text_path(path)).unwrap_or_default()
}

/// Where the text is: in the lock file; on Windows beside it, since a locked file cannot be read there.
pub fn text_path(path: &Path) -> PathBuf {
    if !cfg!(windows) {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".txt");
    name.into()
}

fn write_text(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{text}")
}

/// The lock of a credential file, beside it: `auth.json` → `auth.lock`, `other` → `other.lock`.
pub fn auth_lock(auth_file: &Path) -> PathBuf {
    if auth_file.extension().is_some_and(|extension| extension == "json") {
        return auth_file.with_extension("lock");
    }
    let mut name = auth_file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// What waiting for a lock led to.
#[derive(Debug)]
pub enum Acquired<T> {
    /// The lock.
    Lock(FileLock),
    /// What `give_up` found.
    Instead(T),
}

fn open(path: &Path) -> io::Result<File> {
    // `create` without `truncate`: until the lock is won the text belongs to its holder.
    owner_only(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(path)
}

/// ` (pid 42 ...)`, to stand behind a message; nothing when the holder wrote nothing.
pub(crate) fn holder(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_and_says_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("instance.lock");
        let mut held = FileLock::try_acquire(&path).unwrap();
        held.describe("pid 42").unwrap();
        let refused = FileLock::try_acquire(&path).unwrap_err();
        assert!(refused.to_string().contains("pid 42"), "{refused}");
        drop(held);
        FileLock::try_acquire(&path).unwrap();
    }

    #[test]
    fn a_shared_lock_is_free_when_the_last_of_its_holders_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ending.lock");
        let first = FileLock::try_share(&path).unwrap();
        let second = FileLock::try_share(&path).unwrap();
        drop(first);
        assert!(matches!(FileLock::try_acquire(&path), Err(LockError::Held { .. })));
        drop(second);
        let _alone = FileLock::try_acquire(&path).unwrap();
        assert!(matches!(FileLock::try_share(&path), Err(LockError::Held { .. })));
    }

    #[test]
    fn the_lock_of_a_credential_file_is_never_the_file_itself() {
        for (file, lock) in
            [("/a/auth.json", "/a/auth.lock"), ("/a/my.lock", "/a/my.lock.lock"), ("/a/auth", "/a/auth.lock")]
        {
            assert_eq!(auth_lock(Path::new(file)), PathBuf::from(lock));
        }
    }

    #[test]
    fn a_shorter_text_leaves_nothing_of_the_longer_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut lock = FileLock::try_acquire(&path).unwrap();
        lock.describe("a long description").unwrap();
        lock.describe("short").unwrap();
        assert_eq!(described(&path), "short\n");
    }

    #[test]
    fn waiting_ends_at_the_deadline_or_when_there_is_something_better() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _held = FileLock::try_acquire(&path).unwrap();
        let refused = FileLock::acquire(&path, Duration::from_millis(20), || None::<()>);
        assert!(matches!(refused, Err(LockError::Held { .. })));
        let found = FileLock::acquire(&path, Duration::from_secs(60), || Some(7)).unwrap();
        assert!(matches!(found, Acquired::Instead(7)));
    }
}
