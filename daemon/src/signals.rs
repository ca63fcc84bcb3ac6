//! Signals: TERM and INT drain, a second one closes.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::shutdown::{Phase, Shutdown};

/// Watches from a thread of its own; no code of ours runs in a handler. It ends with the process.
pub(crate) fn watch(shutdown: &Shutdown) -> io::Result<()> {
    // HUP is taken and ignored: the daemon has no terminal whose end it would follow.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let shutdown = shutdown.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                continue;
            }
            let next = if shutdown.phase() == Phase::Serving { Phase::Draining } else { Phase::Closing };
            tracing::info!(signal, phase = next.name(), "signal");
            shutdown.advance(next);
        }
    })?;
    Ok(())
}
