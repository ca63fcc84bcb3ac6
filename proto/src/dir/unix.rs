//! Unix: owners and mode bits.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::DirError;
use crate::local::UserId;

/// Makes a directory with mode 0700.
pub(super) fn create_private(path: &Path, _: UserId) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Whether a directory is the user's and closed to everybody else.
pub(super) fn check_owner(path: &Path, found: &Metadata, uid: UserId) -> Result<(), DirError> {
    let mode = found.mode() & 0o7777;
    if found.uid() != uid {
        return Err(DirError::ForeignOwner { path: path.to_owned(), owner: found.uid(), us: uid });
    }
    if mode & 0o077 != 0 {
        return Err(DirError::TooOpen { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Whether it belongs to the user.
pub(super) fn is_ours(path: &Path, uid: UserId) -> bool {
    path.metadata().is_ok_and(|found| found.uid() == uid)
}

/// A file made with these options is readable by its owner alone.
pub(crate) fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Whether a program, or its folder, could have been changed by others: it must be owned by us or root, and writable by
/// nobody else. The group may write when it is the user's own private group, whose number equals the user's.
pub(crate) fn trusted(path: &Path, uid: UserId) -> Result<(), String> {
    let found =
        path.metadata().map_err(|error| format!("could not inspect `{}`: {error}", path.display()))?;
    let (owner, mode) = (found.uid(), found.mode());
    if owner != uid && owner != 0 {
        return Err(format!("`{}` belongs to user {owner}", path.display()));
    }
    // A sticky folder such as /tmp lets nobody replace what is not theirs.
    let sticky = found.is_dir() && mode & 0o1000 != 0;
    let others = mode & 0o002 != 0 || (mode & 0o020 != 0 && found.gid() != owner);
    if others && !sticky {
        return Err(format!("others may write to `{}`; run `chmod go-w` on it", path.display()));
    }
    Ok(())
}
