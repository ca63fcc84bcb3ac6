//! Host names in the static build (glibc, `+crt-static`), which is what a release ships.
//!
//! Promise: no shared library is ever loaded to look a name up. glibc has `/etc/hosts` and DNS built in; whatever else
//! `/etc/nsswitch.conf` lists it would load from the system, whose glibc is another one, and that may crash.

use std::ffi::{CStr, c_char, c_int};
use std::io;

const DATABASE: &CStr = c"hosts";
const BUILT_IN: &CStr = c"files dns";

#[expect(unsafe_code, reason = "glibc's own function (nss.h), which no crate offers")]
unsafe extern "C" {
    fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
}

/// Looks names up with what is built in, whatever the system's configuration says. To be called while there is one thread.
///
/// # Errors
/// As glibc says it.
#[expect(unsafe_code, reason = "a call into glibc")]
pub(crate) fn use_built_in_lookups() -> io::Result<()> {
    // SAFETY: both strings end in a zero byte, and glibc copies what it keeps.
    if unsafe { __nss_configure_lookup(DATABASE.as_ptr(), BUILT_IN.as_ptr()) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
