//! Windows: folders inherit who may enter them, and a try tells more than any number.

use std::io;
use std::path::Path;

use codex_oauth_proto::local::UserId;

/// None: there are no permission bits.
pub(in super::super) fn mode(_: &Path) -> Option<u32> {
    None
}

/// Never called where there are no bits.
pub(in super::super) fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Unknown: what is in a person's profile is that person's.
pub(in super::super) fn owner(_: &Path) -> Option<UserId> {
    None
}

/// Not told without further libraries.
pub(in super::super) fn links(_: &Path) -> u64 {
    1
}

/// The write probe of `disk` is what tells.
#[expect(clippy::unnecessary_wraps, reason = "Unix can tell")]
pub(in super::super) fn may_write(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Not told without further libraries.
pub(in super::super) fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// There is none.
pub(in super::super) fn file_size_limit() -> Option<u64> {
    None
}
