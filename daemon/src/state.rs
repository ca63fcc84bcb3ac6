//! What the daemon remembers beyond its own life: `state.sqlite` in the state folder (DESIGN §8).
//!
//! Promises: what was committed survives the death of this process, not a power cut (WAL, synchronous NORMAL); no question
//! waits for the disk, which has one thread of its own, fed by a bounded queue and committing what is queued in one
//! transaction; a database that is full, broken, or of a newer build costs the history, never the service. An orderly end
//! leaves one file, and a kill its log beside it, for the next daemon.

mod database;
mod schema;
mod traces;
mod turns;
mod waiting;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex_oauth_proto::api::trace::Trace;
use codex_oauth_proto::api::turn::{Completed, Kept};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::queue::{Sender, queue};
use database::Database;
use worker::{Job, Need, Task};

use turns::Ended;
use waiting::Waiting;

pub(crate) use turns::Key;

/// Jobs that may wait for the disk. A running turn has at most one there, and each session's calls at most one more.
const QUEUE: usize = 1024;

/// How long the daemon's end waits for the last commits, and for `SQLite` to put its log away.
const LAST_COMMITS: Duration = Duration::from_secs(2);

/// Why something could not be kept or looked up. The message is for people.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StateError(String);

/// The handle; every clone is the same database.
#[derive(Clone, Debug)]
pub(crate) struct State {
    queue: Sender<Box<dyn Job>>,
    traces: Waiting<Trace>,
    /// Outcomes that somebody has.
    given_out: Waiting<Ended>,
    fault: Arc<Mutex<Option<String>>>,
    /// Cancelled when the thread has closed the database.
    closed: CancellationToken,
}

impl State {
    /// Starts the thread, which opens `path`, or makes it. Never fails for the database's sake: see [`Self::fault`].
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn open(path: PathBuf) -> std::io::Result<Self> {
        let (queue, jobs) = queue(QUEUE, worker::LINGER);
        let fault = Arc::new(Mutex::new(None));
        let database = Database::new(path, Arc::clone(&fault));
        let closed = CancellationToken::new();
        let closes = closed.clone().drop_guard();
        std::thread::Builder::new().name("state".to_owned()).spawn(move || {
            worker::work(database, &jobs);
            drop(closes);
        })?;
        Ok(Self { queue, traces: Waiting::default(), given_out: Waiting::default(), fault, closed })
    }

    /// Why answers are not kept at the moment, if so: the last failure, until what failed, or what needs more, has worked.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// Keeps how a turn ended, which answers the request `key` if an MCP client asked. Does not wait; what is asked afterwards
    /// sees it. `is_alone`: nobody else has the answer; of the others a flood leaves only the last.
    pub(crate) fn end(&self, key: Option<Key>, outcome: Completed, is_alone: bool) {
        let ended = Ended { key, outcome, at: now() };
        if is_alone {
            self.post(Need::AnAnswer, true, move |db| turns::end(db, &ended));
        } else if let Some(ticket) = self.given_out.push(ended) {
            self.post(Need::AnAnswer, false, move |db| {
                ticket.take().iter().try_for_each(|ended| turns::end(db, ended))
            });
        }
    }

    /// Keeps what became of a turn, step by step. Does not wait.
    pub(crate) fn keep_trace(&self, trace: Trace) {
        if let Some(ticket) = self.traces.push(trace) {
            self.post(Need::ATrace, false, move |db| traces::keep(db, ticket.take()));
        }
    }

    /// The last turns, latest first: at most `limit` of those whose id begins with `prefix`.
    pub(crate) async fn traces(&self, prefix: String, limit: u32) -> Result<Vec<Trace>, StateError> {
        self.run(move |db| traces::list(db, &prefix, limit)).await
    }

    /// How the turn ended that answered the request `key`, if that is kept.
    pub(crate) async fn find(&self, key: Key) -> Result<Option<Completed>, StateError> {
        self.run(move |db| turns::find(db, &key)).await
    }

    /// The outcome of the turn `id`, if it is kept.
    pub(crate) async fn outcome(&self, id: String) -> Result<Option<Kept>, StateError> {
        self.run(move |db| turns::outcome(db, &id)).await
    }

    /// Every kept outcome, latest first, its answer cut to a first part.
    pub(crate) async fn outcomes(&self) -> Result<Vec<Kept>, StateError> {
        self.run(|db| turns::outcomes(db)).await
    }

    /// Waits until everything queued is committed, and until the database is closed: `SQLite` then copies its log into it and
    /// removes the log, unless another daemon has the database open. The last call of a daemon's life.
    pub(crate) async fn close(&self) {
        let deadline = Instant::now() + LAST_COMMITS;
        if timeout_at(deadline, self.committed()).await.is_err() {
            tracing::warn!("the last answers could not be kept: the disk does not answer");
        }
        self.queue.close();
        if timeout_at(deadline, self.closed.cancelled()).await.is_err() {
            tracing::info!("the database could not be closed in time: the next daemon finds its log");
        }
    }

    /// Waits until everything queued is committed, or could not be.
    pub(crate) async fn committed(&self) {
        let _why_not_is_known = self.run(|_| Ok(())).await;
    }

    async fn run<T, F>(&self, work: F) -> Result<T, StateError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&mut database::Open<'c>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        if !self.queue.push(Box::new(Task::look(work, reply)), true) {
            return Err(StateError("the disk does not keep up".to_owned()));
        }
        answer.await.map_err(|_| StateError("the thread of the database has ended".to_owned()))?
    }

    fn post<F>(&self, need: Need, is_urgent: bool, work: F)
    where
        F: for<'c> FnOnce(&mut database::Open<'c>) -> rusqlite::Result<()> + Send + 'static,
    {
        if !self.queue.push(Box::new(Task::change(need, work)), is_urgent) {
            tracing::error!("an answer could not be kept: the disk does not keep up");
        }
    }
}

/// Microseconds since 1970: what times in the database are.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
