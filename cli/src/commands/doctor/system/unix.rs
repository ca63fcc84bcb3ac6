//! Unix: mode bits, owners, `statvfs`.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use codex_oauth_proto::local::UserId;
use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};

/// Its permission bits; nothing when it is not there.
pub(in super::super) fn mode(path: &Path) -> Option<u32> {
    path.metadata().ok().map(|found| found.mode() & 0o7777)
}

/// Sets its permission bits.
pub(in super::super) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Its owner.
pub(in super::super) fn owner(path: &Path) -> Option<UserId> {
    path.metadata().ok().map(|found| found.uid())
}

/// How many names it has.
pub(in super::super) fn links(path: &Path) -> u64 {
    path.metadata().map_or(1, |found| found.nlink())
}

/// Whether this user may make and replace files in a folder.
pub(in super::super) fn may_write(folder: &Path) -> io::Result<()> {
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Bytes that this user may still write on its disk.
pub(in super::super) fn free_bytes(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The largest file that this process may write, where there is a limit.
pub(in super::super) fn file_size_limit() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}
