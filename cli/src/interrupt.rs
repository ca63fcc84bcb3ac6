//! Ctrl-C as something to wait for beside a socket. The first one is reported; the second one ends the process the way
//! it would without us, so that nobody is ever stuck.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use codex_oauth_proto::{ErrorCode, Retry, WireError};
use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};

/// Watches SIGINT from its making to the end of the process.
#[derive(Debug)]
pub(crate) struct Interrupt {
    /// Readable after the first SIGINT.
    wake: UnixStream,
}

impl Interrupt {
    /// Begins to watch.
    pub(crate) fn watch() -> Result<Self, WireError> {
        Self::register().map_err(|error| {
            let message = format!("could not watch for Ctrl-C: {error}");
            WireError::daemon(ErrorCode::Internal, Retry::Safe, message)
        })
    }

    fn register() -> io::Result<Self> {
        let (wake, signalled) = UnixStream::pair()?;
        let seen = Arc::new(AtomicBool::new(false));
        // The order counts: the first signal finds the flag down and raises it.
        flag::register_conditional_default(SIGINT, Arc::clone(&seen))?;
        flag::register(SIGINT, seen)?;
        low_level::pipe::register(SIGINT, signalled)?;
        Ok(Self { wake })
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
