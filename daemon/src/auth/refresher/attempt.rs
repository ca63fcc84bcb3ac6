//! One attempt: the intent, the exchange, the pair, each on the disk before the next.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::{AuthError, Refresher};
use crate::auth::claims::Claims;
use crate::auth::credentials::{Credentials, Reason};
use crate::auth::issuer::{IssuerError, RefreshError, Tokens};
use crate::auth::journal::{Entry, Event, refusal_detail};
use crate::auth::refresh::{End, Outcome, Pair, Refusal};
use crate::auth::slot::{self, Left};
use crate::auth::store::{Renewal, StoreError};
use crate::kill_point;
use crate::secret::Fingerprint;
use crate::task;

/// How often a file is looked at that another process is about to change.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(100);
/// Tries to put a renewed pair in the place of ever older copies of its login.
const SWAPS: u32 = 4;

/// How an attempt ended. An error beside [`Outcome::Settled`] is the caller's alone: nothing was spent.
pub(super) type Ended = (Outcome, Result<(), AuthError>);

/// When those who wait for the attempt get its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serve {
    /// As soon as it is in the credential file: it is on the disk elsewhere, where a start finds it.
    Early,
    /// At the end.
    Late,
}

/// What stands in the slot when a token may be sent.
enum Announced {
    /// Our intent; with it, whether an earlier request with this token got no answer.
    Ours { doubtful: bool },
    /// Nothing of ours: another process is done, or is doing it.
    Done(Ended),
}

impl Refresher {
    /// Renews `login`.
    pub(super) async fn spend(self: &Arc<Self>, login: &Arc<Credentials>, reason: Reason) -> Ended {
        match self.try_spend(login, reason).await {
            Ok(ended) => ended,
            Err(error) => (Outcome::Settled, Err(error)),
        }
    }

    /// The token of `login` has ended: writes the newer copy of the login, if there is one.
    pub(super) async fn restore(self: &Arc<Self>, login: &Arc<Credentials>) -> Ended {
        let unchanged = match self.unchanged(login).await {
            Ok(Some(login)) => login,
            Ok(None) => return (Outcome::Settled, Ok(())),
            Err(error) => return (Outcome::Settled, Err(error)),
        };
        if let Some(ended) = self.restore_newer(&unchanged).await {
            return ended;
        }
        let token = login.refresh_fingerprint();
        let end = token.and_then(|token| self.cell.lock().machine.end(&token).cloned());
        (Outcome::Settled, Err(end.map_or(AuthError::Internal, AuthError::from)))
    }

    /// Puts a renewed pair in the place of the spent one. Newer logins and log-outs on disk win.
    pub(super) async fn save(self: &Arc<Self>, mut pair: Pair, event: Event, serve: Serve) -> Ended {
        let first = pair.spent.clone();
        let ended = self.swap(&mut pair, event, serve).await;
        // Its record names the token that was sent, whatever older ones were replaced since.
        if pair.spent != first && matches!(ended.0, Outcome::Settled) {
            self.clear_slot(&first).await;
        }
        ended
    }

    async fn swap(self: &Arc<Self>, pair: &mut Pair, event: Event, serve: Serve) -> Ended {
        let replaced = || {
            if serve == Serve::Early {
                self.serve();
                kill_point::reached("refresh served");
            }
        };
        for _ in 0..SWAPS {
            let on_disk = match self.store.renew(&pair.spent, &pair.renewed, replaced).await {
                Ok(Renewal::Written) => return self.saved(pair, event).await,
                Ok(Renewal::Kept(on_disk)) => on_disk,
                Err(cause) => {
                    return (Outcome::Unsaved { pair: pair.clone(), cause: Arc::new(cause) }, Ok(()));
                }
            };
            let found = on_disk.as_deref().and_then(Credentials::refresh_fingerprint);
            match on_disk {
                // Another program put the file back to an even older state.
                Some(on_disk) if pair.renewed.is_newer_than(&on_disk) => match found {
                    Some(found) => pair.spent = found,
                    None => return (Outcome::Settled, Err(AuthError::Internal)),
                },
                on_disk => return self.discard(pair, on_disk.as_deref()).await,
            }
        }
        (Outcome::Settled, Err(AuthError::Unsettled { path: self.store.path().to_owned() }))
    }

    /// Removes the record of the attempt. One that stays is found at the next attempt, and says nothing wrong.
    pub(super) async fn clear_slot(&self, spent: &Fingerprint) {
        let (slot, spent) = (Arc::clone(&self.slot), spent.clone());
        if let Err(error) = blocking(move || slot.clear(&spent)).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a finished refresh left its record behind"
            );
        }
    }

    async fn try_spend(
        self: &Arc<Self>,
        login: &Arc<Credentials>,
        reason: Reason,
    ) -> Result<Ended, AuthError> {
        let done = || Ok((Outcome::Settled, Ok(())));
        let Some(login) = self.unchanged(login).await? else { return done() };
        let Some(own) = &login.own else { return Err(AuthError::Internal) };
        self.store.check_writable()?;
        let token = own.refresh_token.fingerprint();
        let doubtful = match self.announce(&login, &token).await? {
            Announced::Ours { doubtful } => doubtful,
            Announced::Done(ended) => return Ok(ended),
        };
        // Again, now that nobody else begins: another process may have finished in between.
        match self.unchanged(&login).await {
            Ok(Some(_)) => {}
            changed => {
                self.clear_slot(&token).await;
                return changed.map(|_| (Outcome::Settled, Ok(())));
            }
        }
        if let Some(ended) = self.restore_newer(&login).await {
            return Ok(ended);
        }
        kill_point::reached("refresh announced");
        kill_point::panics("refresh panics", &login);
        tracing::info!(%token, reason = reason.as_str(), "refreshing the login");
        let outcome = match self.issuer.refresh(&own.bound.client_id, &own.refresh_token, reason).await {
            Ok(tokens) => return Ok(self.keep(&login, tokens, reason).await),
            Err(RefreshError::Refused(mut refusal)) => {
                refusal.interrupted |= doubtful;
                return Ok(self.refused(&login, token, refusal).await);
            }
            Err(RefreshError::Transient(cause, retry_after)) => {
                self.tell(Event::Failed, &login, &cause).await;
                if !doubtful {
                    self.clear_slot(&token).await;
                }
                Outcome::Transient { token, cause: Arc::new(cause), retry_after }
            }
            Err(RefreshError::Unknown(cause)) => {
                self.tell(Event::Unanswered, &login, &cause).await;
                Outcome::Unknown { token, cause: Arc::new(cause) }
            }
        };
        Ok((outcome, Ok(())))
    }

    /// Writes the intent. While another process refreshes, waits for what it writes.
    async fn announce(
        self: &Arc<Self>,
        login: &Arc<Credentials>,
        token: &Fingerprint,
    ) -> Result<Announced, AuthError> {
        // By our own clock: the time in the record is another process's, and the time of day may be set.
        let patience = Instant::now() + self.slot.stale_after;
        loop {
            let intent = self.slot.intent(token.clone(), &login.account_id, self.clock.now());
            let slot = Arc::clone(&self.slot);
            match blocking(move || slot.open(&intent)).await {
                Ok(()) => return Ok(Announced::Ours { doubtful: false }),
                Err(error) if slot::is_taken(&error) => {}
                Err(error) => return Err(error.into()),
            }
            match self.slot.read().await? {
                None => {}
                Some(left) if self.slot.is_busy(&left, self.clock.now()) && Instant::now() < patience => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    if self.unchanged(login).await?.is_none() {
                        return Ok(Announced::Done((Outcome::Settled, Ok(()))));
                    }
                }
                Some(Left::Answered(intent, renewed)) => {
                    let pair = Pair { spent: intent.spent, renewed: Arc::new(*renewed) };
                    return Ok(Announced::Done(self.save(pair, Event::Recovered, Serve::Late).await));
                }
                Some(Left::Sent(intent)) if intent.spent == *token => {
                    return Ok(Announced::Ours { doubtful: true });
                }
                Some(Left::Sent(intent)) => {
                    let slot = Arc::clone(&self.slot);
                    blocking(move || slot.clear(&intent.spent)).await?;
                }
                Some(Left::Torn) => {
                    let slot = Arc::clone(&self.slot);
                    blocking(move || slot.wipe()).await?;
                }
            }
        }
    }

    /// Writes the newer copy of `login` over it, if there is one: the file was put back to an older state.
    async fn restore_newer(self: &Arc<Self>, login: &Credentials) -> Option<Ended> {
        let newer = self.store.copy().read().await.filter(|copy| copy.is_newer_than(login))?;
        let spent = login.refresh_fingerprint()?;
        tracing::warn!(path = %self.store.path().display(), "another program put an older copy of the login back");
        let pair = Pair { spent, renewed: Arc::new(newer) };
        Some(self.save(pair, Event::Restored, Serve::Late).await)
    }

    /// The login if the file still holds it, `None` if the file holds another one of the same account.
    async fn unchanged(&self, login: &Arc<Credentials>) -> Result<Option<Arc<Credentials>>, AuthError> {
        let on_disk = self.store.reload().await?.ok_or(AuthError::NotLoggedIn)?;
        same_account(&login.account_id, &on_disk)?;
        Ok(on_disk.same_tokens(login).then_some(on_disk))
    }

    /// Writes what the issuer gave: into the slot before anything else.
    async fn keep(self: &Arc<Self>, spent: &Credentials, tokens: Tokens, reason: Reason) -> Ended {
        let no_access_token = tokens.access.is_none();
        let rotated = tokens.refresh.is_some();
        let Some(token) = spent.refresh_fingerprint() else { return (Outcome::Settled, Ok(())) };
        let renewed = Arc::new(renewed(spent, tokens, self.clock.now()));
        let next = renewed.refresh_fingerprint().unwrap_or_else(|| token.clone());
        let incomplete = move || Outcome::Transient {
            token: next,
            cause: Arc::new(IssuerError::Incomplete { missing: "access_token" }),
            retry_after: None,
        };
        if no_access_token && !rotated {
            self.clear_slot(&token).await;
            return (incomplete(), Ok(()));
        }
        kill_point::reached("refresh answered");
        let (slot, pair) = (Arc::clone(&self.slot), Arc::clone(&renewed));
        let serve = match blocking(move || slot.fill(&pair)).await {
            Ok(()) if no_access_token => Serve::Late,
            Ok(()) => Serve::Early,
            Err(error) => {
                // The credential file itself may still take it.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the renewed login has no second place"
                );
                Serve::Late
            }
        };
        kill_point::reached("refresh kept");
        tracing::info!(%token, reason = reason.as_str(), "the login is refreshed");
        match self.save(Pair { spent: token, renewed }, Event::Renewed, serve).await {
            (Outcome::Settled, Ok(())) if no_access_token => (incomplete(), Ok(())),
            saved => saved,
        }
    }

    async fn saved(&self, pair: &Pair, event: Event) -> Ended {
        kill_point::reached("refresh written");
        self.remember_spent(pair);
        let entry = Entry::new(event, self.clock.now());
        let entry = entry.about(Some(pair.spent.clone()), &pair.renewed.account_id);
        self.journal.record(entry.followed_by(&pair.renewed)).await;
        self.clear_slot(&pair.spent).await;
        (Outcome::Settled, Ok(()))
    }

    /// The file holds another login, or none: that stays, and the renewed pair is given up.
    async fn discard(self: &Arc<Self>, pair: &Pair, on_disk: Option<&Credentials>) -> Ended {
        self.remember_spent(pair);
        let entry = Entry::new(Event::Discarded, self.clock.now());
        let entry = entry.about(Some(pair.spent.clone()), &pair.renewed.account_id);
        self.journal.record(entry.followed_by(&pair.renewed)).await;
        // Somebody who renews the very same login has it from us: ending ours could end theirs.
        // In the Codex CLI's file a newer login is most likely its own renewal of the same one.
        if self.store.shelf().is_ours() && !on_disk.is_some_and(|on_disk| on_disk.same_login(&pair.renewed)) {
            let (this, login) = (Arc::clone(self), Arc::clone(&pair.renewed));
            let _tracked = task::spawn(&self.tracker, "revocation", async move { this.forget(&login).await });
        }
        self.clear_slot(&pair.spent).await;
        let result = match on_disk {
            Some(on_disk) => same_account(&pair.renewed.account_id, on_disk),
            None => Err(AuthError::NotLoggedIn),
        };
        (Outcome::Settled, result)
    }

    /// The issuer refused the token. Perhaps another program used it and is about to write what it got.
    async fn refused(
        self: &Arc<Self>,
        login: &Arc<Credentials>,
        token: Fingerprint,
        mut refusal: Refusal,
    ) -> Ended {
        refusal.evidence = self.journal.evidence(&token);
        let entry =
            Entry::new(Event::Refused, self.clock.now()).about(Some(token.clone()), &login.account_id);
        self.journal.record(entry.detail(refusal_detail(&refusal))).await;
        self.clear_slot(&token).await;
        self.cell.lock().machine.remember(token.clone(), End::Refused(refusal.clone()));
        let deadline = Instant::now() + self.watch;
        loop {
            match self.unchanged(login).await {
                Ok(None) => return (Outcome::Settled, Ok(())),
                Ok(Some(_)) => {}
                Err(error) => return (Outcome::Refused { token, refusal }, Err(error)),
            }
            if let Some(ended) = self.restore_newer(login).await {
                return ended;
            }
            if Instant::now() >= deadline {
                return (Outcome::Refused { token, refusal }, Ok(()));
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_AGAIN)).await;
        }
    }

    fn remember_spent(&self, pair: &Pair) {
        // An issuer may leave the refresh token as it was (WIRE §5.1).
        if pair.renewed.refresh_fingerprint().as_ref() != Some(&pair.spent) {
            let end = End::Spent { at: self.clock.now() };
            self.cell.lock().machine.remember(pair.spent.clone(), end);
        }
    }

    async fn tell(&self, event: Event, login: &Credentials, error: &IssuerError) {
        let entry = Entry::new(event, self.clock.now()).about(login.refresh_fingerprint(), &login.account_id);
        self.journal.record(entry.detail(error.to_string())).await;
    }

    /// A pair that is in no file any more must not live on.
    async fn forget(&self, login: &Credentials) {
        let Some(own) = &login.own else { return };
        if let Err(error) = self.issuer.revoke(&own.bound.client_id, &own.refresh_token).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a login that was replaced or signed out during a refresh could not be revoked"
            );
        }
    }
}

/// Runs `work`, which waits for a disk, on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.expect("file work does not panic, and nobody aborts it")
}

fn same_account(expected: &str, on_disk: &Credentials) -> Result<(), AuthError> {
    if on_disk.account_id == expected {
        return Ok(());
    }
    Err(AuthError::AccountMismatch { expected: expected.to_owned(), found: on_disk.account_id.clone() })
}

/// `spent` with what the issuer gave; what it left out stays (WIRE §5.1).
fn renewed(spent: &Credentials, tokens: Tokens, now: SystemTime) -> Credentials {
    let mut login = spent.clone();
    let has_access = tokens.access.is_some();
    if let Some(access) = tokens.access {
        let ends = tokens.expires_in.and_then(|lifetime| now.checked_add(lifetime));
        login.expires_at = Claims::of(&access).expires_at.or(ends);
        login.access_token = access;
    }
    if let Some(id) = tokens.id {
        login.id_token = Some(id);
    }
    if let Some(own) = &mut login.own {
        own.renewals += 1;
        if let Some(refresh) = tokens.refresh {
            own.refresh_token = refresh;
        }
        // Without a new access token the login is as old as before.
        if has_access {
            own.last_refresh = Some(now);
        }
    }
    login
}
