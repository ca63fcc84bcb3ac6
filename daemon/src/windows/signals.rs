//! Console events: Ctrl-C drains, a second one closes; Ctrl-Break opens the log again and writes the status to it. A daemon
//! that was started by a client has no console; it is told by `daemon/drain`.

use std::io;
use std::sync::Arc;

use tokio::signal::windows::{ctrl_break, ctrl_c};

use crate::server::Server;
use crate::shutdown::Phase;
use crate::task;

/// Watches to the end of the process.
pub(crate) fn watch(server: &Arc<Server>) -> io::Result<()> {
    let (mut end, mut look) = (ctrl_c()?, ctrl_break()?);
    let server = Arc::clone(server);
    let watching = async move {
        loop {
            tokio::select! {
                told = end.recv() => {
                    if told.is_none() {
                        return;
                    }
                    let is_first = server.shutdown.phase() < Phase::Draining;
                    let next = if is_first { Phase::Draining } else { Phase::Closing };
                    tracing::info!(phase = next.name(), "Ctrl-C");
                    server.shutdown.advance(next);
                }
                told = look.recv() => {
                    if told.is_none() {
                        return;
                    }
                    server.log.reopen();
                    tracing::info!(status = %server.status_line(), "Ctrl-Break");
                }
            }
        }
    };
    let _detached = task::spawn(&tokio_util::task::TaskTracker::new(), "signals", watching);
    Ok(())
}
