//! Unix: a socket that the handler writes to.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::SIGINT;
use signal_hook::low_level;

/// Readable after the signal.
#[derive(Debug)]
pub(super) struct Wake {
    wake: UnixStream,
    waker: UnixStream,
}

/// Begins to watch.
pub(super) fn wake_at_sigint() -> io::Result<Wake> {
    let (wake, waker) = UnixStream::pair()?;
    low_level::pipe::register(SIGINT, waker.try_clone()?)?;
    wake.set_nonblocking(true)?;
    Ok(Wake { wake, waker })
}

impl Wake {
    /// Readable after this signal too.
    pub(super) fn also_at(&self, signal: i32) -> io::Result<()> {
        low_level::pipe::register(signal, self.waker.try_clone()?).map(drop)
    }

    /// Not readable any more until the next news.
    pub(super) fn settle(&self) {
        let mut news = [0; 16];
        while matches!((&self.wake).read(&mut news), Ok(1..)) {}
    }

    pub(super) fn waker(&self) -> io::Result<UnixStream> {
        self.waker.try_clone()
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
