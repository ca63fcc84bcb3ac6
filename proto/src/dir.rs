//! The runtime directory: ours alone, or not used at all.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use crate::NextStep;
use crate::env::{Env, HOME};
use crate::local::UserId;

pub(crate) use system::{owner_only, trusted};

/// Why a directory is not used. Nothing in it is touched.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// It could not be made.
    #[error("could not create `{}`", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be looked at.
    #[error("could not inspect `{}`", path.display())]
    Inspect {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a file, or a link that somebody could turn elsewhere.
    #[error("could not use `{}`: it is not a directory (links are not followed)", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error("could not use `{}`: it belongs to user {owner}, not to user {us}", path.display())]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: UserId,
        /// The caller.
        us: UserId,
    },
    /// Others may enter it. Unix only: Windows folders inherit who may enter.
    #[error("could not use `{}`: its mode is {mode:04o}, so others may enter", path.display())]
    TooOpen {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl DirError {
    /// What to do about the directory that `variable` moves.
    pub fn next_step(&self, variable: &str) -> NextStep {
        match self {
            // Ours, or it would be `ForeignOwner`.
            Self::TooOpen { .. } => NextStep::Mend,
            _ => NextStep::FixConfiguration { name: variable.to_owned() },
        }
    }

    /// The same where it is known whether anybody has set `variable`: else the folder itself is what can be seen to.
    pub fn next_step_in(&self, env: &Env, variable: &str) -> NextStep {
        let is_set = env.get_os(variable).is_some();
        let step = match self {
            Self::Create { path, source } | Self::Inspect { path, source } => {
                match write_step(path, source, env.uid) {
                    Some(NextStep::MakeWritable { .. }) if is_set => None,
                    None if !is_set => unset(path, env),
                    step => step,
                }
            }
            Self::NotADirectory { path } if !is_set => {
                Some(NextStep::FixFile { path: path.display().to_string() })
            }
            _ => None,
        };
        step.unwrap_or_else(|| self.next_step(variable))
    }
}

/// What to do where something could not be made or written at `path`, if the reason says it.
pub fn write_step(path: &Path, why: &io::Error, uid: UserId) -> Option<NextStep> {
    let folder = path.ancestors().find(|place| place.is_dir())?;
    let path = || folder.display().to_string();
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some(NextStep::FreeSpace { path: path() })
        }
        io::ErrorKind::PermissionDenied if system::is_ours(folder, uid) => {
            Some(NextStep::MakeWritable { path: path() })
        }
        _ => None,
    }
}

/// A file in the way, or a home folder that is not there or not the user's.
fn unset(path: &Path, env: &Env) -> Option<NextStep> {
    let there = path.ancestors().find(|place| place.exists())?;
    if !there.is_dir() {
        return Some(NextStep::FixFile { path: there.display().to_string() });
    }
    let home = env.home.as_deref().filter(|home| path.starts_with(home))?;
    let is_ours = home.is_dir() && system::is_ours(home, env.uid);
    (!is_ours).then(|| NextStep::FixConfiguration { name: HOME.to_owned() })
}

/// Makes the directory for the user alone (mode 0700) when it is absent (and its parents with the default mode), then checks that it is
/// a real directory, ours, and closed to everybody else.
pub fn ensure_private(path: &Path, uid: UserId) -> Result<(), DirError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|source| DirError::Create { path: parent.to_owned(), source })?;
    }
    match system::create_private(path, uid) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(DirError::Create { path: path.to_owned(), source }),
    }
    check_private(path, uid)
}

/// The check alone: for a client, which uses what the daemon made.
pub fn check_private(path: &Path, uid: UserId) -> Result<(), DirError> {
    let found = std::fs::symlink_metadata(path)
        .map_err(|source| DirError::Inspect { path: path.to_owned(), source })?;
    if !found.is_dir() {
        return Err(DirError::NotADirectory { path: path.to_owned() });
    }
    system::check_owner(path, &found, uid)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn us() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn a_missing_directory_is_made_for_us_alone() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a").join("b");
        ensure_private(&path, us()).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        ensure_private(&path, us()).unwrap();
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        for mode in [0o701, 0o710, 0o704, 0o750, 0o755, 0o770, 0o777, 0o1777] {
            let base = tempfile::tempdir().unwrap();
            std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = ensure_private(base.path(), us()).unwrap_err();
            assert!(matches!(refused, DirError::TooOpen { .. }), "{mode:o}: {refused}");
        }
    }

    #[test]
    fn a_link_a_file_and_a_foreign_directory_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let real = base.path().join("real");
        ensure_private(&real, us()).unwrap();
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(matches!(ensure_private(&link, us()), Err(DirError::NotADirectory { .. })));
        let file = base.path().join("file");
        std::fs::File::create(&file).unwrap();
        assert!(matches!(ensure_private(&file, us()), Err(DirError::NotADirectory { .. })));
        assert!(matches!(ensure_private(&real, us() + 1), Err(DirError::ForeignOwner { .. })));
    }
}
