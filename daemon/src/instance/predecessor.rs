//! A daemon that holds the lock of a socket at which the service manager listens by now.

use std::path::Path;
use std::time::Duration;

use codex_oauth_proto::lock::{Acquired, FileLock, LockError};
use rustix::process::{Pid, Signal};

/// A drain (30 s), a refresh that is never cut (30 s), and last words; below systemd's 90 s for a start.
const PATIENCE: Duration = Duration::from_secs(75);

/// Sends SIGTERM to the lock's holder, whose text names its process. Who cannot be told is waited for all the same.
pub(super) fn ask_to_end(lock: &Path, text: &str) {
    let pid = text.strip_prefix("pid ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let Some(pid) = pid.and_then(Pid::from_raw) else {
        tracing::warn!(holder = text, "the lock of the socket does not say whose it is");
        return;
    };
    tracing::info!(pid = pid.as_raw_nonzero().get(), "telling the daemon from before to end");
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
fn terminate(pid: Pid, still_the_holder: impl Fn() -> bool) -> rustix::io::Result<()> {
    let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    if still_the_holder() { rustix::process::pidfd_send_signal(&process, Signal::TERM) } else { Ok(()) }
}

#[cfg(not(target_os = "linux"))]
fn terminate(pid: Pid, still_the_holder: impl Fn() -> bool) -> rustix::io::Result<()> {
    if still_the_holder() { rustix::process::kill_process(pid, Signal::TERM) } else { Ok(()) }
}
