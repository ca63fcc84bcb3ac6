//! Ctrl-C as something to wait for beside a socket. The first one is reported; the second one ends the process the way
//! it would without us, so that nobody is ever stuck.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::sync::Arc;
#[cfg(unix)]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use codex_oauth_proto::local::{AsSource, Source};
use codex_oauth_proto::{ErrorCode, Retry, WireError};
use signal_hook::consts::SIGINT;
#[cfg(unix)]
use signal_hook::consts::{SIGCONT, SIGHUP, SIGQUIT, SIGTERM, SIGTSTP, SIGTTOU};
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
    /// The other signal that was taken for a Ctrl-C; 0: none.
    #[cfg(unix)]
    other: Arc<AtomicUsize>,
    /// Ctrl-Z was pressed and has not been followed yet.
    #[cfg(unix)]
    stop_asked: Arc<AtomicBool>,
    /// The process was stopped, and goes on.
    #[cfg(unix)]
    went_on: Arc<AtomicBool>,
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
        Ok(Self {
            wake: system::wake_at_sigint()?,
            seen,
            #[cfg(unix)]
            other: Arc::default(),
            #[cfg(unix)]
            stop_asked: Arc::default(),
            #[cfg(unix)]
            went_on: Arc::default(),
        })
    }

    /// Whether there was a SIGINT. What had woken the waiter is taken note of: it sleeps until the next news.
    pub(crate) fn happened(&self) -> bool {
        #[cfg(unix)]
        self.wake.settle();
        // The flag is raised before the byte is written, so nothing is missed in between.
        self.seen.load(Ordering::SeqCst)
    }

    /// Takes the other signals that end a process for a Ctrl-C too: whoever has changed the terminal puts it back first,
    /// and ends with [`Interrupt::end_as_told`].
    #[cfg(unix)]
    pub(crate) fn watch_every_end(&self) -> io::Result<()> {
        for signal in [SIGTERM, SIGHUP, SIGQUIT] {
            flag::register_conditional_default(signal, Arc::clone(&self.seen))?;
            flag::register_usize(signal, Arc::clone(&self.other), signal.unsigned_abs() as usize)?;
            flag::register(signal, Arc::clone(&self.seen))?;
            self.wake.also_at(signal)?;
        }
        Ok(())
    }

    /// Wakes the waiter at Ctrl-Z instead of stopping, and when the process goes on: whoever has changed the terminal puts it
    /// back before [`Interrupt::stop`], and changes it again afterwards, since a shell has it in between.
    #[cfg(unix)]
    pub(crate) fn watch_stops(&self) -> io::Result<()> {
        for (signal, flag) in [(SIGTSTP, &self.stop_asked), (SIGCONT, &self.went_on)] {
            flag::register(signal, Arc::clone(flag))?;
            self.wake.also_at(signal)?;
        }
        Ok(())
    }

    /// Whether Ctrl-Z was pressed since this was last asked.
    #[cfg_attr(windows, expect(clippy::unused_self, reason = "there is no Ctrl-Z there"))]
    pub(crate) fn stop_asked(&self) -> bool {
        #[cfg(unix)]
        return self.stop_asked.swap(false, Ordering::SeqCst);
        #[cfg(windows)]
        false
    }

    /// Whether the process was stopped and goes on since this was last asked.
    #[cfg(unix)]
    pub(crate) fn went_on(&self) -> bool {
        self.went_on.swap(false, Ordering::SeqCst)
    }

    /// Stops, and returns when the process goes on. By a signal that nobody watches and the kernel passes over where no shell
    /// could end the stop, as it does for Ctrl-Z itself (`docker run`): `SIGSTOP` would be for ever there.
    #[cfg(unix)]
    pub(crate) fn stop(&self) -> io::Result<()> {
        signal_hook::low_level::raise(SIGTTOU)?;
        self.went_on.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Ends the process by the signal that was taken for a Ctrl-C, if it was another one.
    #[cfg_attr(windows, expect(clippy::unused_self, reason = "no other signal is watched there"))]
    pub(crate) fn end_as_told(&self) {
        #[cfg(unix)]
        if let Ok(signal @ 1..) = i32::try_from(self.other.load(Ordering::SeqCst))
            && let Err(error) = signal_hook::low_level::emulate_default_handler(signal)
        {
            // It is none of those that were watched.
            debug_assert!(false, "{error}");
        }
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
