//! Ctrl-C as something to wait for beside a socket. The first one is reported; the second one ends the process the way
//! it would without us, so that nobody is ever stuck.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use codex_oauth_proto::local::{AsSource, Source};
use codex_oauth_proto::{ErrorCode, Retry, WireError};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// Watches SIGINT from its making to the end of the process.
#[derive(Debug)]
pub(crate) struct Interrupt {
    /// Readable after the first SIGINT, and after a byte to [`Interrupt::waker`].
    wake: system::Wake,
    seen: Arc<AtomicBool>,
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
        let seen = Arc::new(AtomicBool::new(false));
        // The order counts: the first signal finds the flag down and raises it.
        flag::register_conditional_default(SIGINT, Arc::clone(&seen))?;
        flag::register(SIGINT, Arc::clone(&seen))?;
        Ok(Self { wake: system::wake_at_sigint()?, seen })
    }

    /// Whether there was a SIGINT. What had woken the waiter is taken note of: it sleeps until the next news.
    pub(crate) fn happened(&self) -> bool {
        #[cfg(unix)]
        self.wake.settle();
        // The flag is raised before the byte is written, so nothing is missed in between.
        self.seen.load(Ordering::SeqCst)
    }

    /// Something else to wake the waiter with.
    #[cfg(unix)]
    pub(crate) fn waker(&self) -> io::Result<std::os::unix::net::UnixStream> {
        self.wake.waker()
    }
}

impl AsSource for Interrupt {
    fn as_source(&self) -> Source<'_> {
        self.wake.as_source()
    }
}
