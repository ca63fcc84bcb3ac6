//! What the daemon does for anybody, whatever dialect they speak. The only room that knows both `auth` and `upstream`.

mod account;
mod accounts;
mod ledger;
mod login;
mod models;
mod probe;
mod rescue;
mod summary;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Interval;
use tokio_util::task::TaskTracker;

use crate::auth::{Accounts, KeepFresh};
use crate::limits::Limits;
use crate::shutdown::Shutdown;
use crate::state::State;
use crate::upstream::Upstream;

use turn::RunningTurn;

pub(crate) use account::Probing;
pub(crate) use ledger::{ASKED_BEFORE, Abandoned};
pub(crate) use probe::Ways;
pub(crate) use summary::clock;
pub(crate) use turn::{Names, Outcome, PROGRESS_EVERY, Progress, Question, Turn, TurnEvent, millis};

/// The service; every clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct CodexService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    accounts: Accounts,
    upstream: Upstream,
    ways: Ways,
    limits: Limits,
    shutdown: Shutdown,
    /// Turns. They outlive the session that asked for them.
    tracker: TaskTracker,
    state: State,
    names: Names,
    /// Running turns by their id.
    running: Mutex<BTreeMap<String, RunningTurn>>,
    /// Turns whose client stopped waiting, oldest first.
    abandoned: Mutex<VecDeque<Abandoned>>,
    /// Tells whoever waits that none runs any more.
    none_runs: Notify,
    /// The timer of the turn that ended last, which runs out within a second. A turn that begins meanwhile sets a later one; if it
    /// were the earliest, the runtime would wake itself for it, by a system call.
    spent_tick: Mutex<Option<Interval>>,
    ended: AtomicU64,
}

impl CodexService {
    pub(crate) fn new(
        accounts: Accounts,
        upstream: Upstream,
        ways: Ways,
        limits: Limits,
        shutdown: Shutdown,
        state: State,
        names: Names,
    ) -> Self {
        let inner = Inner {
            accounts,
            upstream,
            ways,
            limits,
            shutdown,
            tracker: TaskTracker::new(),
            state,
            names,
            running: Mutex::default(),
            abandoned: Mutex::default(),
            none_runs: Notify::new(),
            spent_tick: Mutex::default(),
            ended: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Finishes what an earlier process left of a refresh. At the start, before anybody asks.
    pub(crate) async fn begin(&self) {
        self.inner.accounts.begin().await;
    }

    /// While this is held, no question waits for the login to be renewed.
    pub(crate) fn keep_login_fresh(&self) -> Vec<KeepFresh> {
        self.inner.accounts.keep_fresh()
    }

    pub(crate) fn turns_running(&self) -> usize {
        self.inner.running.lock().len()
    }

    pub(crate) fn turns_ended_count(&self) -> u64 {
        self.inner.ended.load(Ordering::Relaxed)
    }

    /// Returns when no turn runs.
    pub(crate) async fn turns_ended(&self) {
        loop {
            // It hears of whatever ends after this line.
            let none_runs = self.inner.none_runs.notified();
            if self.turns_running() == 0 {
                return;
            }
            none_runs.await;
        }
    }

    /// Returns when no turn runs and no refresh is under way.
    pub(crate) async fn nothing_runs(&self) {
        loop {
            self.turns_ended().await;
            self.inner.accounts.refresh_ended().await;
            if self.turns_running() == 0 {
                return;
            }
        }
    }

    /// Whether nothing goes on that nobody waits for: a turn, a login, a refresh.
    pub(crate) fn is_quiet(&self) -> bool {
        self.turns_running() == 0 && self.inner.accounts.is_quiet()
    }

    /// Whether a login is renewed for another program too, which needs this daemon when nobody else does.
    pub(crate) fn renews_for_others(&self) -> bool {
        self.inner.accounts.is_sharing()
    }

    /// Gives up the right to renew or change the login; see [`Accounts::release`].
    pub(crate) async fn release_login(&self) {
        self.inner.accounts.release().await;
    }

    /// Ends what still runs, with an error that says so.
    pub(crate) async fn end_turns(&self) {
        for turn in self.inner.running.lock().values() {
            turn.cancel.cancel();
        }
        self.turns_ended().await;
    }
}

/// A bound of the daemon is reached.
pub(crate) fn overloaded(what: &str, most: usize) -> WireError {
    let message =
        format!("could not take this on: {most} {what} are running, as many as the daemon takes at once");
    WireError::daemon(ErrorCode::Overloaded, Retry::Safe, message).next(NextStep::Retry)
}

/// The caller called it off.
pub(crate) fn interrupted() -> WireError {
    WireError::caller(ErrorCode::Cancelled, "the question was called off")
}

/// A fault of ours.
pub(crate) fn internal(what: &str, why: &dyn Display) -> WireError {
    tracing::error!("could not {what}: {why}");
    WireError::daemon(ErrorCode::Internal, Retry::Unknown, format!("could not {what}: a fault of the daemon"))
        .next(NextStep::Retry)
}
