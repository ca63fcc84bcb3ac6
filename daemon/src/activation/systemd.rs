//! `sd_listen_fds(3)`: `LISTEN_PID`, `LISTEN_FDS`, descriptors from 3 on.

use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::FdFlags;

use super::ActivationError;

/// `SD_LISTEN_FDS_START`.
const FIRST: RawFd = 3;

/// See [`super::take`]. Variables for another process are an inheritance, and ignored.
#[expect(unsafe_code, reason = "a descriptor that is known by its number alone")]
pub(super) fn take() -> Result<Option<OwnedFd>, ActivationError> {
    let [pid, count, _names] =
        ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(crate::notify::take_variable);
    let ours = pid.is_some_and(|pid| pid.parse() == Ok(std::process::id()));
    let Some(count) = count.filter(|_| ours) else { return Ok(None) };
    if count != "1" {
        return Err(ActivationError::Count { count });
    }
    // SAFETY: the manager opened it for this process, nothing in it has used the number yet, and whether it is open is
    // looked up before it is owned.
    unsafe {
        let passed = BorrowedFd::borrow_raw(FIRST);
        if rustix::io::fcntl_setfd(passed, FdFlags::CLOEXEC).is_err() {
            return Err(ActivationError::Unfit { expected: "open" });
        }
        Ok(Some(OwnedFd::from_raw_fd(FIRST)))
    }
}
