//! The thread of the database: takes what is queued, does it in one transaction, and answers after the commit.

use std::time::Duration;

use tokio::sync::oneshot;

use super::StateError;
use super::database::{Database, Open};
use crate::queue::Receiver;

/// Jobs in one transaction. More wait for the next, so that the first of a burst is not kept waiting for the last.
const BATCH: usize = 512;

/// How long a job that nobody waits for waits for others to share its transaction. A crash in between costs an answer that its
/// client has got or was about to get.
pub(super) const LINGER: Duration = Duration::from_millis(200);

/// What a job needs of the disk, the least first. What needs less may work while what needs more does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// Nothing: it looks.
    Nothing,
    /// Room for a trace.
    ATrace,
    /// Room for an answer.
    AnAnswer,
}

/// A piece of work, done in one transaction with others and answered once that is committed.
pub(super) trait Job: Send {
    /// What it needs.
    fn need(&self) -> Need;

    /// Does it, in one statement, or in several that each count by themselves. It counts only once the whole transaction is committed.
    fn run(&mut self, db: &mut Open<'_>) -> rusqlite::Result<()>;

    /// What it did is committed, or not and why.
    fn finish(self: Box<Self>, committed: Result<(), StateError>);
}

/// A job from a closure.
pub(super) struct Task<F, T> {
    need: Need,
    work: Option<F>,
    result: Option<T>,
    reply: Option<oneshot::Sender<Result<T, StateError>>>,
}

impl<F, T> Task<F, T> {
    /// A look, whose result somebody waits for.
    pub(super) const fn look(work: F, reply: oneshot::Sender<Result<T, StateError>>) -> Self {
        Self { need: Need::Nothing, work: Some(work), result: None, reply: Some(reply) }
    }

    /// A change that nobody waits for.
    pub(super) const fn change(need: Need, work: F) -> Self {
        Self { need, work: Some(work), result: None, reply: None }
    }
}

impl<F, T> Job for Task<F, T>
where
    T: Send,
    F: for<'c> FnOnce(&mut Open<'c>) -> rusqlite::Result<T> + Send,
{
    fn need(&self) -> Need {
        self.need
    }

    fn run(&mut self, db: &mut Open<'_>) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.result = Some(work(db)?);
        }
        Ok(())
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

/// Until the queue is closed, or every handle is dropped. The database is closed with it.
pub(super) fn work(mut database: Database, jobs: &Receiver<Box<dyn Job>>) {
    // Opened at once, beside the daemon's start, so that the first question does not wait for it.
    database.transaction(Vec::new());
    while let Some(mut taken) = jobs.take(database.next_prune()) {
        while !taken.is_empty() {
            let rest = taken.split_off(taken.len().min(BATCH));
            database.transaction(std::mem::replace(&mut taken, rest));
        }
        database.tidy();
    }
    database.close();
}
