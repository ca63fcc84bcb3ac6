//! Progress of a call, as the client asked for it.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use tokio::time::{Instant, sleep_until};

/// A progress text is shown only when it is still true after this long. TypeScript clients lose a progress notification
/// that is written right before the result (MCP.md §0 point 4), and a text that is replaced at once helps nobody.
const SETTLE: Duration = Duration::from_millis(250);

/// Sends progress for one request. Without a token nothing is sent.
pub(super) struct Progress {
    peer: Peer<RoleServer>,
    token: Option<ProgressToken>,
    /// Milliseconds since the turn began: always rises, as the protocol demands.
    last: u64,
    waiting: Option<(Instant, u64, String)>,
}

impl Progress {
    pub(super) const fn new(peer: Peer<RoleServer>, token: Option<ProgressToken>) -> Self {
        Self { peer, token, last: 0, waiting: None }
    }

    /// What the turn is doing now; replaces what was not shown yet.
    pub(super) fn set(&mut self, message: String, elapsed_ms: u64) {
        if self.token.is_some() {
            let due = self.waiting.as_ref().map_or_else(|| Instant::now() + SETTLE, |(due, ..)| *due);
            self.waiting = Some((due, elapsed_ms, message));
        }
    }

    /// Shows what is due. Never returns; to be raced against the turn.
    pub(super) async fn show(&mut self) {
        loop {
            let Some((due, ..)) = &self.waiting else { return std::future::pending().await };
            sleep_until(*due).await;
            let (Some((_, elapsed_ms, message)), Some(token)) = (self.waiting.take(), self.token.clone())
            else {
                continue;
            };
            self.last = elapsed_ms.max(self.last + 1);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of one turn, far below 2^52")]
            let mut param = ProgressNotificationParam::new(token, self.last as f64);
            param.message = Some(message);
            // The client is gone, or goes without progress.
            let _gone = self.peer.notify_progress(param).await;
        }
    }
}
