//! What a turn says while it runs.

use codex_oauth_proto::people::words;
use tokio::time::Instant;

use super::askers::Askers;
use super::{Progress, TurnEvent, millis};
use crate::upstream::UpstreamEvent;

/// Tells the asker, as long as there is one.
pub(super) struct Teller {
    pub(super) askers: Askers,
    pub(super) began: Instant,
}

impl Teller {
    pub(super) async fn tell(&self, message: impl Into<String>) {
        let elapsed_ms = millis(self.began.elapsed());
        let progress = Progress { message: message.into(), elapsed_ms };
        self.askers.tell(TurnEvent::Progress(Box::new(progress))).await;
    }

    pub(super) async fn pass_on(&self, event: UpstreamEvent) {
        match event {
            UpstreamEvent::TextDelta { text } => self.askers.tell(TurnEvent::Delta(text)).await,
            UpstreamEvent::Retrying { attempt, of, after, kind } => {
                self.tell(format!("retry {attempt}/{of} in {}: {kind}", words::duration(after))).await;
            }
            // Shown by the next tick, with how long it has lasted.
            UpstreamEvent::Headers { .. } | UpstreamEvent::Reasoning => {}
        }
    }

    /// The turn goes on; `written` bytes of the answer have come.
    pub(super) async fn still(&self, written: usize) {
        let message = if written == 0 {
            format!("thinking {}", words::duration(self.began.elapsed()))
        } else {
            // The backend counts tokens only at the end; four bytes each is what text comes to.
            format!("writing {} tok", words::thousands(written as u64 / 4))
        };
        self.tell(message).await;
    }
}
