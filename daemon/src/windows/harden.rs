//! The first thing the daemon does. On Windows its starter lists the handles that it inherits (`proto/src/spawn/windows.rs`),
//! and nothing has to be closed.
//!
//! What this does not do: a process of the same user can still read the daemon's memory and the credential file.

use std::io;

use crate::activation::Passed;
use crate::windows::sys;

/// Nothing to do.
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(crate) const fn harden(_: Option<&Passed>) -> Result<(), (&'static str, io::Error)> {
    Ok(())
}

/// Lets go of the report pipe.
///
/// # Errors
/// When the system refuses.
pub(crate) fn stdout_to_null() -> io::Result<()> {
    sys::close_stdout()
}
