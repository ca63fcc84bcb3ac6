//! The Codex CLI's own locks on its `auth.json` (WIRE §4.2): `flock` on `auth.lock` in its folder and on `auth.json.lock`
//! beside the real file.
//!
//! They keep two writes apart. They do not keep that program from sending the refresh token meanwhile: it takes them only when
//! the issuer has answered. What keeps it from that is a token that is renewed before it looks.

use std::path::Path;
use std::time::Duration;

use codex_oauth_proto::lock::Acquired;

pub use codex_oauth_proto::lock::{FileLock, LockError};

/// The Codex CLI holds them for the milliseconds of one write; another daemon of ours for one exchange with the issuer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both, until this is dropped.
#[derive(Debug)]
pub struct CodexLocks {
    _folder: FileLock,
    _file: FileLock,
}

impl CodexLocks {
    /// Takes both, in that program's order. Blocks.
    pub fn take(file: &Path) -> Result<Self, LockError> {
        let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let mut beside = real.into_os_string();
        beside.push(".lock");
        Ok(Self { _folder: lock(&file.with_file_name("auth.lock"))?, _file: lock(Path::new(&beside))? })
    }
}

fn lock(path: &Path) -> Result<FileLock, LockError> {
    match FileLock::acquire(path, PATIENCE, || None::<std::convert::Infallible>)? {
        Acquired::Lock(lock) => Ok(lock),
        Acquired::Instead(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_locks_are_taken_and_given_back() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("auth.json");
        let names = ["auth.lock", "auth.json.lock"].map(|name| home.path().join(name));
        let held = CodexLocks::take(&file).unwrap();
        for name in &names {
            assert!(matches!(FileLock::try_acquire(name), Err(LockError::Held { .. })), "{}", name.display());
        }
        drop(held);
        for name in &names {
            FileLock::try_acquire(name).unwrap();
        }
    }
}
