//! The first thing the daemon does: nobody else's descriptors, no core dumps, no looking into its memory.
//!
//! What this does not do: a process of the same user can still read the credential file.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::activation::Passed;

/// Descriptors for the most sessions, their upstream connections, files and a reserve.
const OPEN_FILES: u64 = 4096;

/// Hardens this process. To be called before any file is opened or thread is started; only `keep`, which the service
/// manager passed, stays open.
///
/// # Errors
/// The first step that failed, by name.
pub(crate) fn harden(keep: Option<&Passed>) -> Result<(), (&'static str, io::Error)> {
    close_inherited(keep).map_err(|error| ("close inherited descriptors", error))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|error| ("forbid core dumps", error.into()))?;
    forbid_tracing().map_err(|error| ("forbid being traced", error))?;
    let files = getrlimit(Resource::Nofile);
    let wanted = files.maximum.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES));
    if files.current.is_some_and(|soft| soft < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: files.maximum })
            .map_err(|error| ("raise the limit of open files", error.into()))?;
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::allocator::give_large_buffers_back();
    #[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
    crate::names::use_built_in_lookups().map_err(|error| ("look names up with what is built in", error))?;
    Ok(())
}

/// Not dumpable: its environment, memory and descriptors cannot be read, and no debugger of the same user attaches.
#[cfg(target_os = "linux")]
fn forbid_tracing() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// No debugger of the same user attaches (`ptrace(2)`: `PT_DENY_ATTACH`). Its environment can still be read.
#[cfg(target_os = "macos")]
#[expect(unsafe_code, reason = "libSystem has no Rust face")]
fn forbid_tracing() -> io::Result<()> {
    use std::ffi::{c_char, c_int};

    /// `sys/ptrace.h`.
    const PT_DENY_ATTACH: c_int = 31;

    unsafe extern "C" {
        fn ptrace(request: c_int, pid: c_int, address: *mut c_char, data: c_int) -> c_int;
    }
    // SAFETY: this request takes no other argument, and touches no memory.
    match unsafe { ptrace(PT_DENY_ATTACH, 0, std::ptr::null_mut(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes what the starter let through above the three standard descriptors. A kept copy of an MCP client's pipe would
/// keep that client waiting for its end.
#[expect(unsafe_code, reason = "descriptors that nobody in this process owns yet")]
fn close_inherited(keep: Option<&Passed>) -> io::Result<()> {
    let keep = keep.map(AsRawFd::as_raw_fd);
    let listed: Vec<i32> = std::fs::read_dir("/dev/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2 && Some(*fd) != keep)
        .collect();
    for fd in listed {
        // SAFETY: called before this process opens anything, so no object owns these numbers. One of them was the
        // listing's own and is closed already, which is looked up first.
        unsafe {
            if rustix::io::fcntl_getfd(BorrowedFd::borrow_raw(fd)).is_ok() {
                rustix::io::close(fd);
            }
        }
    }
    Ok(())
}

/// Lets go of the report pipe: standard output becomes the null device.
///
/// # Errors
/// When the null device cannot be opened.
pub(crate) fn stdout_to_null() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}
