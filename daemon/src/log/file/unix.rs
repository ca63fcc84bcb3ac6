//! Unix: a file is known by device and inode.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Whether the standard error is the file at `path`.
pub(super) fn stderr_leads_to(path: &Path) -> io::Result<bool> {
    let Ok(found) = std::fs::metadata(path) else { return Ok(false) };
    Ok(is_same(&found, &File::from(rustix::io::dup(io::stderr())?).metadata()?))
}

/// Makes the standard error lead to `file`.
pub(super) fn follow(file: &File) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stderr(file)?)
}

/// Whether two looks were at one file.
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A file made with these options is readable by its owner alone.
pub(super) fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}
