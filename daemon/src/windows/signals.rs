//! Ctrl-C and Ctrl-Break in a console drain, a second one closes. A daemon that was started by a client has no console; it
//! is told by `daemon/drain`.

use std::io;
use std::sync::Arc;

use tokio::signal::windows::{ctrl_break, ctrl_c};

use crate::server::Server;
use crate::shutdown::Phase;
use crate::task;

/// Watches to the end of the process.
pub(crate) fn watch(server: &Arc<Server>) -> io::Result<()> {
    let (mut c, mut stop) = (ctrl_c()?, ctrl_break()?);
    let shutdown = server.shutdown.clone();
    let watching = async move {
        loop {
            let told = tokio::select! {
                told = c.recv() => told,
                told = stop.recv() => told,
            };
            if told.is_none() {
                return;
            }
            let next = if shutdown.phase() == Phase::Serving { Phase::Draining } else { Phase::Closing };
            tracing::info!(phase = next.name(), "console event");
            shutdown.advance(next);
        }
    };
    let _detached = task::spawn(&tokio_util::task::TaskTracker::new(), "signals", watching);
    Ok(())
}
