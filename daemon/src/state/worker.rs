//! The thread of the database: takes what is queued, does it in one transaction, and answers after the commit.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::StateError;
use super::database::{Database, Open};

/// Jobs in one transaction. More wait for the next, so that the first of a burst is not kept waiting for the last.
const BATCH: usize = 128;

/// How long a job that nobody waits for may wait for others to share its transaction: it is committed with the next question
/// of whoever asks one after the other. A crash in between costs what an answer costs that its client has already got, or
/// `outcome_unknown`.
const LINGER: Duration = Duration::from_millis(20);

/// A piece of work, done in one transaction with others and answered once that is committed.
pub(super) trait Job: Send {
    /// Does it, changing what it changes in one statement. It counts only once the whole transaction is committed.
    fn run(&mut self, db: &mut Open<'_>) -> rusqlite::Result<()>;

    /// Whether somebody waits for it.
    fn is_awaited(&self) -> bool;

    /// What it did is committed, or not and why.
    fn finish(self: Box<Self>, committed: Result<(), StateError>);
}

/// A job from a closure.
pub(super) struct Task<F, T> {
    work: Option<F>,
    result: Option<T>,
    reply: Option<oneshot::Sender<Result<T, StateError>>>,
}

impl<F, T> Task<F, T> {
    pub(super) const fn new(work: F, reply: Option<oneshot::Sender<Result<T, StateError>>>) -> Self {
        Self { work: Some(work), result: None, reply }
    }
}

impl<F, T> Job for Task<F, T>
where
    T: Send,
    F: for<'c> FnOnce(&mut Open<'c>) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, db: &mut Open<'_>) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.result = Some(work(db)?);
        }
        Ok(())
    }

    fn is_awaited(&self) -> bool {
        self.reply.is_some()
    }

    fn finish(self: Box<Self>, committed: Result<(), StateError>) {
        let Self { result, reply, .. } = *self;
        let Some(reply) = reply else { return };
        let result =
            committed.and_then(|()| result.ok_or_else(|| StateError("it was not carried out".to_owned())));
        // Whoever asked may have stopped waiting.
        let _gone = reply.send(result);
    }
}

/// Until every handle is dropped.
pub(super) fn work(mut database: Database, jobs: &Receiver<Box<dyn Job>>) {
    // Opened at once, beside the daemon's start, so that the first question does not wait for it.
    database.transaction(Vec::new());
    loop {
        let first = match database.next_prune() {
            Some(wait) => jobs.recv_timeout(wait),
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let batch: Vec<Box<dyn Job>> = match first {
            Ok(job) => batch(job, jobs),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if !batch.is_empty() {
            database.transaction(batch);
        }
        database.tidy();
    }
}

/// `first` and what comes until somebody waits, or time or room are over; then what is there at once.
fn batch(first: Box<dyn Job>, jobs: &Receiver<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
    let until = Instant::now() + LINGER;
    let mut batch = vec![first];
    while batch.len() < BATCH && !batch.last().is_some_and(|job| job.is_awaited()) {
        match jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(job) => batch.push(job),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    let room = BATCH - batch.len();
    batch.extend(jobs.try_iter().take(room));
    batch
}
