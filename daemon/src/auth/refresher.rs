//! The I/O around the state machine of [`refresh`](super::refresh): one tracked task per attempt, any number of waiters.
//!
//! The task owns the attempt. A caller that goes away cancels nothing, and a drain waits for the task: between the
//! issuer's commit and the write of the new pair nothing may be cut.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::claims::Claims;
use super::credentials::{Credentials, Reason};
use super::error::AuthError;
use super::issuer::{Issuer, IssuerError, RefreshError, Tokens};
use super::refresh::{Action, Backoff, Event, Outcome, Pair, Refusal, State, Urgency};
use super::store::{Renewal, Store};
use crate::limits::Limits;
use crate::secret::Fingerprint;
use crate::task;

/// Renews the login of one store at one issuer.
#[derive(Debug)]
pub(super) struct Refresher {
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    tracker: TaskTracker,
    backoff: Backoff,
    cell: Mutex<Cell>,
}

/// What the caller of [`Refresher::renew`] does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look at the file again.
    Look,
    /// Use the token that it has.
    KeepOld,
}

/// `None` until the attempt has ended.
type Flight = watch::Receiver<Option<Result<(), AuthError>>>;

#[derive(Debug, Default)]
struct Cell {
    state: State,
    flight: Option<Flight>,
}

/// Ends the attempt in the state machine even if its task panics or is dropped with the runtime.
struct Landing {
    refresher: Arc<Refresher>,
    waiters: watch::Sender<Option<Result<(), AuthError>>>,
}

impl Refresher {
    /// Does nothing yet.
    pub(super) fn new(store: Arc<Store>, issuer: Arc<Issuer>, tracker: TaskTracker, limits: &Limits) -> Self {
        Self { store, issuer, tracker, backoff: Backoff::new(limits), cell: Mutex::default() }
    }

    /// Renews `login`, which the caller has just read from the file, or joins the attempt that runs, or says why not.
    pub(super) async fn renew(
        self: &Arc<Self>,
        login: &Arc<Credentials>,
        token: Fingerprint,
        urgency: Urgency,
        reason: Reason,
    ) -> Result<Next, AuthError> {
        let mut flight = {
            let mut cell = self.cell.lock();
            let wanted = Event::Wanted { token, urgency, now: Instant::now() };
            match cell.apply(wanted, self.backoff) {
                Action::KeepOld => return Ok(Next::KeepOld),
                Action::Fail | Action::None => return Err(cell.error()),
                Action::Spend => self.launch(&mut cell, Task::Spend(Arc::clone(login), reason)),
                Action::Save(pair) => self.launch(&mut cell, Task::Save(pair)),
                Action::Join => match &cell.flight {
                    Some(flight) => flight.clone(),
                    None => return Err(AuthError::Internal),
                },
            }
        };
        let landed = flight.wait_for(Option::is_some).await.map_err(|_| AuthError::Internal)?;
        match landed.as_ref() {
            Some(Ok(())) => Ok(Next::Look),
            Some(Err(error)) => Err(error.clone()),
            None => Err(AuthError::Internal),
        }
    }

    /// The refusal of the refresh token named `token`, if it was refused.
    pub(super) fn refusal(&self, token: &Fingerprint) -> Option<Refusal> {
        match &self.cell.lock().state {
            State::Refused { token: refused, refusal } if refused == token => Some(refusal.clone()),
            _ => None,
        }
    }

    /// A renewed login that is not on disk yet.
    pub(super) fn unsaved(&self) -> Option<Arc<Credentials>> {
        match &self.cell.lock().state {
            State::Unsaved { pair, .. } => Some(Arc::clone(&pair.renewed)),
            _ => None,
        }
    }

    fn launch(self: &Arc<Self>, cell: &mut Cell, task: Task) -> Flight {
        let (waiters, flight) = watch::channel(None);
        cell.flight = Some(flight.clone());
        let landing = Landing { refresher: Arc::clone(self), waiters };
        task::spawn(&self.tracker, "refresh", async move {
            let (outcome, result) = match task {
                Task::Spend(login, reason) => landing.refresher.spend(&login, reason).await,
                Task::Save(pair) => landing.refresher.save(pair).await,
            };
            landing.land(outcome, result);
        });
        flight
    }

    /// One attempt. An error beside [`Outcome::Settled`] is the caller's alone: nothing was spent.
    async fn spend(&self, login: &Arc<Credentials>, reason: Reason) -> (Outcome, Result<(), AuthError>) {
        let login = match self.unchanged(login).await {
            Ok(Some(login)) => login,
            Ok(None) => return (Outcome::Settled, Ok(())),
            Err(error) => return (Outcome::Settled, Err(error)),
        };
        if let Err(error) = self.store.check_writable() {
            return (Outcome::Settled, Err(error.into()));
        }
        let Some(own) = &login.own else { return (Outcome::Settled, Err(AuthError::Internal)) };
        let token = own.refresh_token.fingerprint();
        tracing::info!(%token, reason = reason.as_str(), "refreshing the login");
        let outcome = match self.issuer.refresh(&own.bound.client_id, &own.refresh_token, reason).await {
            Ok(tokens) => return self.keep(login, tokens).await,
            Err(RefreshError::Refused(refusal)) => {
                // Perhaps another program spent it and has written what it got.
                match self.unchanged(&login).await {
                    Ok(None) => return (Outcome::Settled, Ok(())),
                    Ok(Some(_)) => Outcome::Refused { token, refusal },
                    Err(error) => return (Outcome::Refused { token, refusal }, Err(error)),
                }
            }
            Err(RefreshError::Transient(cause, retry_after)) => {
                Outcome::Transient { token, cause: Arc::new(cause), retry_after }
            }
            Err(RefreshError::Unknown(cause)) => Outcome::Unknown { token, cause: Arc::new(cause) },
        };
        (outcome, Ok(()))
    }

    /// The login if the file still holds it, `None` if the file holds another one of the same account.
    async fn unchanged(&self, login: &Arc<Credentials>) -> Result<Option<Arc<Credentials>>, AuthError> {
        let on_disk = self.store.reload().await?.ok_or(AuthError::NotLoggedIn)?;
        same_account(&login.account_id, &on_disk)?;
        Ok(on_disk.same_tokens(login).then_some(on_disk))
    }

    /// Writes what the issuer gave.
    async fn keep(&self, spent: Arc<Credentials>, tokens: Tokens) -> (Outcome, Result<(), AuthError>) {
        let no_access_token = tokens.access.is_none();
        let rotated = tokens.refresh.is_some();
        let renewed = Arc::new(renewed(&spent, tokens, SystemTime::now()));
        let incomplete = || Outcome::Transient {
            token: renewed.refresh_fingerprint().unwrap_or_else(|| spent.access_token.fingerprint()),
            cause: Arc::new(IssuerError::Incomplete { missing: "access_token" }),
            retry_after: None,
        };
        if no_access_token && !rotated {
            return (incomplete(), Ok(()));
        }
        match self.save(Pair { spent: Arc::clone(&spent), renewed: Arc::clone(&renewed) }).await {
            (Outcome::Settled, Ok(())) if no_access_token => (incomplete(), Ok(())),
            saved => saved,
        }
    }

    async fn save(&self, pair: Pair) -> (Outcome, Result<(), AuthError>) {
        let result = match self.store.renew(&pair.spent, &pair.renewed).await {
            Ok(Renewal::Written) => {
                tracing::info!(token = %pair.renewed.access_token.fingerprint(), "the login is refreshed");
                Ok(())
            }
            Ok(Renewal::Kept(Some(on_disk))) => same_account(&pair.spent.account_id, &on_disk),
            Ok(Renewal::Kept(None)) => {
                self.forget(&pair.renewed).await;
                Err(AuthError::NotLoggedIn)
            }
            Err(cause) => return (Outcome::Unsaved { pair, cause: Arc::new(cause) }, Ok(())),
        };
        (Outcome::Settled, result)
    }

    /// The person signed out while the refresh was on its way: the new pair must not outlive that.
    async fn forget(&self, login: &Credentials) {
        let Some(own) = &login.own else { return };
        if let Err(error) = self.issuer.revoke(&own.bound.client_id, &own.refresh_token).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a login that was signed out during a refresh could not be revoked"
            );
        }
    }

    fn land(&self, outcome: Outcome, result: Result<(), AuthError>) -> Result<(), AuthError> {
        let mut cell = self.cell.lock();
        let settled = matches!(outcome, Outcome::Settled);
        cell.apply(Event::Ended { outcome, now: Instant::now(), jitter: jitter() }, self.backoff);
        cell.flight = None;
        let result = if settled { result } else { result.and(Err(cell.error())) };
        drop(cell);
        if let Err(error) = &result {
            tracing::warn!(error = error as &dyn std::error::Error, "the login was not refreshed");
        }
        result
    }
}

enum Task {
    Spend(Arc<Credentials>, Reason),
    Save(Pair),
}

impl Cell {
    fn apply(&mut self, event: Event, backoff: Backoff) -> Action {
        let (state, action) = std::mem::take(&mut self.state).on(event, backoff);
        self.state = state;
        action
    }

    /// Why there is no token, as the state has it.
    fn error(&self) -> AuthError {
        match &self.state {
            State::Waiting { pause, .. } => {
                AuthError::Unavailable { retry_at: wall_clock(pause.until), source: Arc::clone(&pause.cause) }
            }
            State::Doubtful { pause, .. } => AuthError::OutcomeUnknown {
                retry_at: wall_clock(pause.until),
                source: Arc::clone(&pause.cause),
            },
            State::Refused { refusal, .. } => AuthError::Refused(refusal.clone()),
            State::Unsaved { until, cause, .. } => {
                AuthError::NotSaved { retry_at: wall_clock(*until), source: Arc::clone(cause) }
            }
            State::Idle | State::Running { .. } => AuthError::Internal,
        }
    }
}

impl Landing {
    fn land(self, outcome: Outcome, result: Result<(), AuthError>) {
        let result = self.refresher.land(outcome, result);
        self.waiters.send_replace(Some(result));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.waiters.borrow().is_none() {
            // No outcome of the attempt is known. The next one begins with a look at the file.
            let result = self.refresher.land(Outcome::Settled, Err(AuthError::Internal));
            self.waiters.send_replace(Some(result));
        }
    }
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

fn wall_clock(until: Instant) -> SystemTime {
    SystemTime::now() + until.saturating_duration_since(Instant::now())
}

fn jitter() -> f64 {
    // Without random numbers the backoff is merely not spread.
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
