//! Progress of a call, as the client asked for it.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    ProgressNotification, ProgressNotificationParam, ProgressToken, ServerJsonRpcMessage, ServerNotification,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::message;
use crate::session::Session;
use crate::task;

/// A progress text is shown only when it is still true after this long. TypeScript clients lose a progress notification
/// that is written right before the result (MCP.md §0 point 4), and a text that is replaced at once helps nobody.
const SETTLE: Duration = Duration::from_millis(250);

/// Sends progress for one request. Without a token nothing is sent.
pub(super) struct Progress {
    session: Arc<Session>,
    tracker: TaskTracker,
    token: Option<ProgressToken>,
    /// Milliseconds since the turn began: always rises, as the protocol demands.
    last: u64,
    waiting: Option<(Instant, u64, String)>,
    /// Writes the last line.
    writing: Option<JoinHandle<Option<()>>>,
}

impl Progress {
    pub(super) const fn new(
        session: Arc<Session>,
        tracker: TaskTracker,
        token: Option<ProgressToken>,
    ) -> Self {
        Self { session, tracker, token, last: 0, waiting: None, writing: None }
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
            if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
                // Who reads slowly is told less often.
                self.waiting = self.waiting.take().map(|(_, at, text)| (Instant::now() + SETTLE, at, text));
                continue;
            }
            let (Some((_, elapsed_ms, message)), Some(token)) = (self.waiting.take(), self.token.clone())
            else {
                continue;
            };
            self.last = elapsed_ms.max(self.last + 1);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of one turn, far below 2^52")]
            let mut param = ProgressNotificationParam::new(token, self.last as f64);
            param.message = Some(message);
            self.send(param);
        }
    }

    /// Queued at once, so that it comes before whatever follows, and written by a task: whoever waits here may be dropped at any time,
    /// and a line that was begun must be ended.
    fn send(&mut self, param: ProgressNotificationParam) {
        let notification = ServerNotification::ProgressNotification(ProgressNotification::new(param));
        let Ok(line) = message::write(&ServerJsonRpcMessage::notification(notification)) else { return };
        self.session.writer.queue(line);
        let session = Arc::clone(&self.session);
        self.writing = Some(task::spawn(&self.tracker, "progress", async move {
            // The client is gone, or goes without progress.
            let _gone = session.writer.flush().await;
        }));
    }
}
