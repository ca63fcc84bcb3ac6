//! Unix: a socket that the handler writes to.

use std::io;
use std::os::unix::net::UnixStream;

use signal_hook::consts::SIGINT;
use signal_hook::low_level;

/// Readable after the signal.
pub(super) type Wake = UnixStream;

/// Begins to watch.
pub(super) fn wake_at_sigint() -> io::Result<Wake> {
    let (wake, signalled) = UnixStream::pair()?;
    low_level::pipe::register(SIGINT, signalled)?;
    Ok(wake)
}
