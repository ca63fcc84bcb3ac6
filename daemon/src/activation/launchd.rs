//! `launch_activate_socket(3)`: sockets by the name of their key under `Sockets` in the agent's plist.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::{io, ptr, slice};

use rustix::io::FdFlags;

use super::ActivationError;

/// The key in `launchd/local.codex-oauth.daemon.plist`.
const NAME: &CStr = c"Listener";

/// The process is not managed by launchd, or its plist has no such socket, or it was taken before (`launch.h`).
const NOT_OURS: [c_int; 3] = [2, 3, 37]; // ENOENT, ESRCH, EALREADY

#[expect(unsafe_code, reason = "libSystem has no Rust face")]
unsafe extern "C" {
    /// Fills in an array of `count` descriptors that the caller frees; 0 or an errno.
    fn launch_activate_socket(name: *const c_char, fds: *mut *mut c_int, count: *mut usize) -> c_int;
    fn free(memory: *mut c_void);
}

/// See [`super::take`].
#[expect(unsafe_code, reason = "the call, its array, and descriptors known by their numbers alone")]
pub(super) fn take() -> Result<Option<OwnedFd>, ActivationError> {
    let (mut fds, mut count) = (ptr::null_mut(), 0_usize);
    // SAFETY: both out-parameters live through the call; on success `fds` holds `count` open descriptors that nobody
    // else in this process owns, and is freed once.
    let passed: Vec<OwnedFd> = unsafe {
        match launch_activate_socket(NAME.as_ptr(), &raw mut fds, &raw mut count) {
            0 => {
                let listed = slice::from_raw_parts(fds, count);
                let owned = listed.iter().map(|fd| OwnedFd::from_raw_fd(*fd)).collect();
                free(fds.cast());
                owned
            }
            errno if NOT_OURS.contains(&errno) => return Ok(None),
            errno => return Err(io::Error::from_raw_os_error(errno).into()),
        }
    };
    let [socket]: [OwnedFd; 1] = passed
        .try_into()
        .map_err(|passed: Vec<_>| ActivationError::Count { count: passed.len().to_string() })?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC).map_err(io::Error::from)?;
    Ok(Some(socket))
}
