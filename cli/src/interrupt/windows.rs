//! Windows: a pipe that the handler writes to. The system calls it on a thread of its own.

use std::io::{self, Write as _};

use codex_oauth_proto::local::Inlet;
use signal_hook::consts::SIGINT;
use signal_hook::low_level;

/// Readable after the signal.
pub(super) type Wake = Inlet;

/// Begins to watch.
#[expect(unsafe_code, reason = "the action of a signal handler")]
pub(super) fn wake_at_sigint() -> io::Result<Wake> {
    let (wake, signalled) = io::pipe()?;
    let tell = move || {
        // With the pipe full it was told already.
        let _told = (&signalled).write(b"!");
    };
    // SAFETY: a console event is delivered on a new thread and interrupts nobody.
    unsafe { low_level::register(SIGINT, tell)? };
    Inlet::new(wake)
}
