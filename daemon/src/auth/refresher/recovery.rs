//! What an earlier process left behind: finished once, before the first renewal (DAEMON §20 step 8).

use std::sync::Arc;

use tokio::time::Instant;

use super::attempt::{Serve, blocking};
use super::{AuthError, Refresher};
use crate::auth::credentials::Credentials;
use crate::auth::issuer::IssuerError;
use crate::auth::journal::{Entry, Event};
use crate::auth::refresh::{Machine, Outcome, Pair, Pause, State};
use crate::auth::slot::{Intent, Left};
use crate::fsx;

impl Refresher {
    /// Reads the journal, removes what a killed write left, and ends what the slot says was under way.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(), AuthError> {
        self.cell.lock().machine = Machine::after(self.journal.ends());
        self.sweep();
        let Some(left) = self.slot.read().await? else { return Ok(()) };
        let _held = self.store.hold().await?;
        if self.slot.is_busy(&left, self.clock.now()) {
            return Ok(());
        }
        match left {
            Left::Torn => self.wipe().await?,
            Left::Answered(intent, renewed) => self.finish(intent, *renewed).await,
            Left::Sent(intent) => self.doubt(intent).await?,
        }
        Ok(())
    }

    /// Signing out: nothing of a refresh stays on the disk.
    pub(in crate::auth) async fn wipe(&self) -> Result<(), AuthError> {
        let slot = Arc::clone(&self.slot);
        blocking(move || slot.wipe()).await?;
        Ok(())
    }

    async fn finish(self: &Arc<Self>, intent: Intent, renewed: Credentials) {
        tracing::warn!(token = %intent.spent, "an earlier process got a new login and did not live to write it");
        let pair = Pair { spent: intent.spent, renewed: Arc::new(renewed) };
        let (outcome, result) = self.save(pair, Event::Recovered, Serve::Late).await;
        if let Outcome::Unsaved { pair, cause } = outcome {
            tracing::error!(error = &cause as &dyn std::error::Error, "it cannot be written now either");
            let until = Instant::now();
            self.cell.lock().machine.resume(State::Unsaved { pair, failures: 1, until, cause });
        } else if let Err(error) = result {
            tracing::warn!(error = &error as &dyn std::error::Error, "it was given up");
        }
    }

    /// The token was sent and may be spent. While the access token is good, nobody needs to know.
    async fn doubt(self: &Arc<Self>, intent: Intent) -> Result<(), AuthError> {
        let on_disk = self.store.reload().await?;
        if on_disk.as_deref().and_then(Credentials::refresh_fingerprint).as_ref() != Some(&intent.spent) {
            self.clear_slot(&intent.spent).await;
            return Ok(());
        }
        tracing::warn!(token = %intent.spent, "a refresh was interrupted: its refresh token may be spent");
        let entry = Entry::new(Event::Unanswered, intent.started);
        let entry = entry.about(Some(intent.spent.clone()), &intent.account_id);
        self.journal.record(entry.detail(IssuerError::Interrupted.to_string())).await;
        let pause = Pause { failures: 0, until: Instant::now(), cause: Arc::new(IssuerError::Interrupted) };
        self.cell.lock().machine.resume(State::Doubtful { token: intent.spent, pause });
        Ok(())
    }

    fn sweep(&self) {
        match fsx::sweep(self.store.path(), self.clock.now()) {
            Ok(0) => {}
            Ok(swept) => {
                tracing::info!(swept, "removed what a killed write had left beside the credential file");
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not look for leftovers beside the credential file"
            ),
        }
    }
}
