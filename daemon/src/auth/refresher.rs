//! The I/O around the state machine of [`refresh`](super::refresh): one tracked task per attempt, any number of waiters.
//!
//! The task owns the attempt. A caller that goes away cancels nothing, and a drain waits for the task: between the
//! issuer's commit and the write of the new pair nothing may be cut. What a killed process left of an attempt is finished
//! before the next one begins.

mod attempt;
mod recovery;

use attempt::{Ended, Serve};

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::credentials::{Credentials, Reason};
use super::error::{AuthError, NotRefreshable};
use super::issuer::Issuer;
use super::journal::{self, Entry, Journal};
use super::refresh::{Action, Backoff, End, Event, Machine, Outcome, Pair, State, Urgency};
use super::seams::Clock;
use super::slot::{Holder, Slot};
use super::store::{Store, StoreError};
use crate::limits::Limits;
use crate::secret::Fingerprint;
use crate::task;

/// Added to the time of one exchange before another process's record of it counts as forgotten: the writes around it.
const STALE_MARGIN: Duration = Duration::from_secs(30);

/// Renews the login of one store at one issuer.
#[derive(Debug)]
pub(super) struct Refresher {
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    tracker: TaskTracker,
    slot: Arc<Slot>,
    journal: Journal,
    clock: Clock,
    backoff: Backoff,
    /// How long the file is watched after a refusal.
    watch: Duration,
    begun: OnceCell<()>,
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

/// A token that is still good does not wait longer for its successor: an issuer that is well answers sooner.
const EARLY_PATIENCE: Duration = Duration::from_secs(2);

/// An attempt that runs.
#[derive(Clone, Debug)]
struct Flight {
    progress: watch::Sender<Progress>,
    since: Instant,
}

/// How far an attempt is.
#[derive(Clone, Debug)]
enum Progress {
    Running,
    /// The new pair is in the file, and on the disk in its record. What is still written is for crashes and for other programs.
    Usable,
    Ended(Result<(), AuthError>),
}

#[derive(Debug, Default)]
struct Cell {
    machine: Machine,
    flight: Option<Flight>,
    /// Nothing is spent or written any more, but for what is under way.
    closed: bool,
}

/// Ends the attempt in the state machine even if its task panics or is dropped with the runtime.
struct Landing {
    refresher: Arc<Refresher>,
    progress: watch::Sender<Progress>,
}

impl Refresher {
    /// Does nothing yet.
    pub(super) fn new(
        store: Arc<Store>,
        issuer: Arc<Issuer>,
        tracker: TaskTracker,
        (journal, clock, holder): (Journal, Clock, Holder),
        limits: &Limits,
    ) -> Self {
        let slot = Arc::new(Slot::new(
            store.shelf().sibling(store.path(), "refresh"),
            holder,
            limits.issuer_request + STALE_MARGIN,
        ));
        Self {
            store,
            issuer,
            tracker,
            slot,
            journal,
            clock,
            backoff: Backoff::new(limits),
            watch: limits.refusal_watch,
            begun: OnceCell::new(),
            cell: Mutex::default(),
        }
    }

    /// Reads the journal and finishes what an earlier process left undone. Once; every renewal waits for it. Local
    /// files only.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<(), AuthError> {
        self.begun
            .get_or_try_init(|| async {
                let this = Arc::clone(self);
                let recovery = task::spawn(&self.tracker, "recovery", async move { this.recover().await });
                recovery.await.ok().flatten().ok_or(AuthError::Internal)?
            })
            .await
            .copied()
    }

    /// Renews `login`, which the caller has just read from the file, or joins the attempt that runs, or says why not.
    pub(super) async fn renew(
        self: &Arc<Self>,
        login: &Arc<Credentials>,
        token: Fingerprint,
        urgency: Urgency,
        reason: Reason,
    ) -> Result<Next, AuthError> {
        if !self.is_closed() {
            self.begin().await?;
        }
        let flight = {
            let mut cell = self.cell.lock();
            if cell.closed && cell.flight.is_none() {
                return Err(AuthError::Closed);
            }
            let wanted = Event::Wanted { token, urgency, now: Instant::now() };
            match cell.machine.on(wanted, self.backoff) {
                Action::KeepOld => return Ok(Next::KeepOld),
                Action::Fail | Action::None => return Err(cell.error()),
                Action::Spend => self.launch(&mut cell, Task::Spend(Arc::clone(login), reason)),
                Action::Restore => self.launch(&mut cell, Task::Restore(Arc::clone(login))),
                Action::Save(pair) => self.launch(&mut cell, Task::Save(pair)),
                Action::Join => match &cell.flight {
                    Some(flight) => flight.clone(),
                    None => return Err(AuthError::Internal),
                },
            }
        };
        let over = flight.over();
        let result = match urgency {
            Urgency::Needed => over.await,
            Urgency::Early => match tokio::time::timeout_at(flight.since + EARLY_PATIENCE, over).await {
                Ok(result) => result,
                Err(_) => return Ok(Next::KeepOld),
            },
        };
        result.map(|()| Next::Look)
    }

    /// Why the refresh token named `token` will not be sent, if it has ended.
    pub(super) fn ended(&self, token: &Fingerprint) -> Option<NotRefreshable> {
        self.cell.lock().machine.end(token).map(|end| match end {
            End::Refused(refusal) => NotRefreshable::Refused(refusal.clone()),
            End::Spent { at } => NotRefreshable::Spent { at: *at },
        })
    }

    /// Another program wrote `login` into the file: a line in the journal, once.
    pub(super) async fn notice(&self, login: &Credentials) {
        // What appears during an attempt is its own before it has a line; what is not is met again after it.
        if !self.is_closed() && !self.is_busy() && !self.journal.knows(login) {
            let found = Entry::new(journal::Event::Found, self.store.modified());
            self.journal.record(found.about(login.refresh_fingerprint(), &login.account_id)).await;
        }
    }

    /// A renewed login that is not on disk yet.
    pub(super) fn unsaved(&self) -> Option<Arc<Credentials>> {
        match self.cell.lock().machine.state() {
            State::Unsaved { pair, .. } => Some(Arc::clone(&pair.renewed)),
            _ => None,
        }
    }

    /// Waits for the end of the attempt that runs.
    pub(super) async fn landed(&self) {
        let progress = self.cell.lock().flight.as_ref().map(|flight| flight.progress.subscribe());
        if let Some(mut progress) = progress {
            // An attempt that vanished has ended as well.
            let _ended = progress.wait_for(|progress| matches!(progress, Progress::Ended(_))).await;
        }
    }

    /// Spends nothing any more. A pair that could not be written gets its last chance.
    pub(super) fn close(self: &Arc<Self>) {
        let mut cell = self.cell.lock();
        cell.closed = true;
        let State::Unsaved { pair, until, .. } = cell.machine.state() else { return };
        let now_or_never = Event::Wanted { token: pair.spent.clone(), urgency: Urgency::Needed, now: *until };
        if let Action::Save(pair) = cell.machine.on(now_or_never, self.backoff) {
            let _awaited_by_the_tracker = self.launch(&mut cell, Task::Save(pair));
        }
    }

    fn is_closed(&self) -> bool {
        self.cell.lock().closed
    }

    fn is_busy(&self) -> bool {
        self.cell.lock().flight.is_some()
    }

    /// Whoever waits for the attempt that runs can have its token.
    fn serve(&self) {
        if let Some(flight) = &self.cell.lock().flight {
            flight.progress.send_replace(Progress::Usable);
        }
    }

    fn launch(self: &Arc<Self>, cell: &mut Cell, task: Task) -> Flight {
        let progress = watch::Sender::new(Progress::Running);
        let flight = Flight { progress: progress.clone(), since: Instant::now() };
        cell.flight = Some(flight.clone());
        let landing = Landing { refresher: Arc::clone(self), progress };
        task::spawn(&self.tracker, "refresh", async move {
            // Across the whole of it: from the look at the file to the write.
            let (outcome, result) = match landing.refresher.store.hold().await {
                Ok(_held) => landing.refresher.run(task).await,
                Err(error) => task.not_begun(error),
            };
            landing.land(outcome, result);
        });
        flight
    }

    async fn run(self: &Arc<Self>, task: Task) -> Ended {
        match task {
            Task::Spend(login, reason) => self.spend(&login, reason).await,
            Task::Save(pair) => self.save(pair, journal::Event::Renewed, Serve::Late).await,
            Task::Restore(login) => self.restore(&login).await,
        }
    }

    fn land(&self, outcome: Outcome, result: Result<(), AuthError>) -> Result<(), AuthError> {
        let mut cell = self.cell.lock();
        let refused = match &outcome {
            Outcome::Refused { token, .. } => Some(token.clone()),
            _ => None,
        };
        let settled = matches!(outcome, Outcome::Settled);
        cell.machine.on(Event::Ended { outcome, now: Instant::now(), jitter: jitter() }, self.backoff);
        cell.flight = None;
        let error = |cell: &Cell| match refused.as_ref().and_then(|token| cell.machine.end(token)) {
            Some(end) => end.clone().into(),
            None => cell.error(),
        };
        let result = if settled { result } else { result.and_then(|()| Err(error(&cell))) };
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
    Restore(Arc<Credentials>),
}

impl Task {
    /// How it ends when the file's locks are not to be had. A pair that waits to be written goes on waiting.
    fn not_begun(self, error: StoreError) -> Ended {
        match self {
            Self::Save(pair) => (Outcome::Unsaved { pair, cause: Arc::new(error) }, Ok(())),
            Self::Spend(..) | Self::Restore(_) => (Outcome::Settled, Err(error.into())),
        }
    }
}

impl Cell {
    /// Why there is no token, as the state has it.
    fn error(&self) -> AuthError {
        match self.machine.state() {
            State::Waiting { pause, .. } => {
                AuthError::Unavailable { retry_at: wall_clock(pause.until), source: Arc::clone(&pause.cause) }
            }
            State::Doubtful { pause, .. } => AuthError::OutcomeUnknown {
                retry_at: wall_clock(pause.until),
                source: Arc::clone(&pause.cause),
            },
            State::Unsaved { until, cause, .. } => {
                AuthError::NotSaved { retry_at: wall_clock(*until), source: Arc::clone(cause) }
            }
            State::Idle | State::Running { .. } => AuthError::Internal,
        }
    }
}

impl Flight {
    /// Waits for a login that can be used. Who comes when there is one has no use for that one, and waits for the end.
    async fn over(&self) -> Result<(), AuthError> {
        let mut progress = self.progress.subscribe();
        let late = matches!(*progress.borrow(), Progress::Usable);
        let over = progress.wait_for(|progress| match progress {
            Progress::Running => false,
            Progress::Usable => !late,
            Progress::Ended(_) => true,
        });
        match &*over.await.map_err(|_| AuthError::Internal)? {
            Progress::Ended(result) => result.clone(),
            Progress::Running | Progress::Usable => Ok(()),
        }
    }
}

impl Landing {
    fn land(self, outcome: Outcome, result: Result<(), AuthError>) {
        let result = self.refresher.land(outcome, result);
        self.progress.send_replace(Progress::Ended(result));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !matches!(*self.progress.borrow(), Progress::Ended(_)) {
            // No outcome of the attempt is known. The next one begins with a look at the file.
            // Should its token have been sent: the slot says so.
            let result = self.refresher.land(Outcome::Settled, Err(AuthError::Internal));
            self.progress.send_replace(Progress::Ended(result));
        }
    }
}

fn wall_clock(until: Instant) -> SystemTime {
    SystemTime::now() + until.saturating_duration_since(Instant::now())
}

fn jitter() -> f64 {
    // Without random numbers the backoff is merely not spread.
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
