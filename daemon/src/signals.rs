//! Signals: TERM and INT drain, a second one closes; HUP opens the log again, USR1 writes the status to it.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::server::Server;
use crate::shutdown::{Phase, Shutdown};

/// Watches from a thread of its own; no code of ours runs in a handler. It ends with the process.
pub(crate) fn watch(server: &Arc<Server>) -> io::Result<()> {
    // HUP is no end: the daemon has no terminal that it would follow.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
    let server = Arc::clone(server);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => {
                    server.log.reopen();
                    tracing::info!("the log was opened again");
                }
                SIGUSR1 => tracing::info!(status = %server.status_line(), "as asked for"),
                _ => end(signal, &server.shutdown),
            }
        }
    })?;
    Ok(())
}

fn end(signal: i32, shutdown: &Shutdown) {
    let next = if shutdown.phase() < Phase::Draining { Phase::Draining } else { Phase::Closing };
    if shutdown.advance(next) {
        tracing::info!(signal, phase = next.name(), "signal");
    }
}
