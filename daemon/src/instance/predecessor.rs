//! A daemon that holds the lock of a socket at which the service manager listens by now.

use std::io;
use std::path::Path;
use std::time::Duration;

use codex_oauth_proto::lock::{Acquired, FileLock, LockError};

/// A drain (30 s), a refresh that is never cut (30 s), and last words; below systemd's 90 s for a start.
const PATIENCE: Duration = Duration::from_secs(75);

/// Sends SIGTERM to the lock's holder, whose text names its process. Who cannot be told is waited for all the same.
pub(super) fn ask_to_end(lock: &Path, text: &str) {
    let pid = text.strip_prefix("pid ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let Some(pid) = pid else {
        tracing::warn!(holder = text, "the lock of the socket does not say whose it is");
        return;
    };
    tracing::info!(pid, "telling the daemon from before to end");
    if let Err(error) = terminate(pid, || is_held_by(lock, text)) {
        tracing::warn!(%error, "could not tell the daemon from before to end");
    }
}

/// Waits for the lock.
pub(super) fn wait_for(lock: &Path) -> Result<FileLock, LockError> {
    match FileLock::acquire(lock, PATIENCE, || None::<FileLock>)? {
        Acquired::Lock(lock) | Acquired::Instead(lock) => Ok(lock),
    }
}

fn is_held_by(lock: &Path, text: &str) -> bool {
    matches!(FileLock::try_acquire(lock), Err(LockError::Held { text: now, .. }) if now == text)
}

/// The number may be another process's by now. A descriptor of the process cannot be; that it is the right one is asked
/// once it is held.
#[cfg(target_os = "linux")]
fn terminate(pid: i32, still_the_holder: impl Fn() -> bool) -> io::Result<()> {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    if still_the_holder() {
        pidfd_send_signal(&process, Signal::TERM)?;
    }
    Ok(())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn terminate(pid: i32, still_the_holder: impl Fn() -> bool) -> io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};

    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
    if still_the_holder() {
        kill_process(pid, Signal::TERM)?;
    }
    Ok(())
}

/// Without a service manager that listens there is no such predecessor.
#[cfg(windows)]
fn terminate(_: i32, _: impl Fn() -> bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
