//! Windows: the standard library does not tell a file's identity; the time at which it was made stands in for it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::os::windows::fs::MetadataExt as _;
use std::os::windows::io::AsHandle as _;
use std::path::Path;

/// Whether the standard error is the file at `path`.
pub(super) fn stderr_leads_to(path: &Path) -> io::Result<bool> {
    let stderr = io::stderr();
    let Ok(found) = std::fs::metadata(path) else { return Ok(false) };
    if stderr.is_terminal() {
        return Ok(false);
    }
    let stderr = File::from(stderr.as_handle().try_clone_to_owned()?);
    // A pipe has no such times.
    Ok(stderr.metadata().is_ok_and(|stderr| stderr.is_file() && is_same(&found, &stderr)))
}

/// The standard error stays where it is: on the file that was put aside.
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(super) const fn follow(_: &File) -> io::Result<()> {
    Ok(())
}

/// Whether two looks were at one file.
pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.creation_time() == other.creation_time()
}

/// Nothing to ask for: a file inherits from its folder who may read it.
pub(super) fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}
