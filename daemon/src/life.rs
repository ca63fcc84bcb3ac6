//! From the first connection to the last word: serve, notice that nobody needs this daemon or nobody can find it, hand over,
//! finish.
//!
//! Every end is a hand-over, in this order, so that a successor can start at once and neither of the two is ever without
//! what it needs: the right to the login, the socket, the instance lock, word to the sessions. Then what runs is finished.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codex_oauth_proto::lock::FileLock;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::instance::Instance;
use crate::listen::Bound;
use crate::server::Server;
use crate::shutdown::Phase;
use crate::stream::Stream;
use crate::{session, task};

/// How long sessions may take to write their last lines. The kernel takes a line at once from whoever still reads.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a session that was told of the successor may take to hang up. What it sent before it heard of that is read until
/// then. A shim needs microseconds; a client that does not know the word is cut.
const MOVING: Duration = Duration::from_secs(1);

/// To a session of role `mcp`: whatever you have not sent yet, send to my successor (DESIGN §4).
pub(crate) const MOVED: &[u8] = b"@moved";

impl Server {
    /// Serves until a drain is asked for, nobody needs the daemon, or nobody finds it any more; then hands over and
    /// finishes what runs, each within its bound. Gives what shows that this daemon is not gone yet, for as long as it still
    /// writes to its files.
    pub(crate) async fn run(self: Arc<Self>, bound: Bound, instance: Instance) -> Option<FileLock> {
        self.alone.store(bound.is_inherited(), Ordering::Relaxed);
        let bound = self.serve(bound, &instance).await;
        let mut deadline = None;
        if let Some(bound) = bound.as_ref().filter(|bound| bound.is_inherited()) {
            // A service manager starts no successor before this process has ended.
            self.shutdown.advance(Phase::Draining);
            deadline = Some(Instant::now() + self.limits.drain);
            self.finish_before(self.end_of_drain(deadline), bound).await;
        } else if self.shutdown.phase() == Phase::Draining {
            deadline = Some(Instant::now() + self.limits.drain);
        }
        let ending = instance.show_ending();
        self.hand_over(bound, instance).await;
        tokio::select! {
            () = self.shutdown.reached(Phase::Closing) => {}
            () = self.finished() => {}
            () = self.end_of_drain(deadline) => {
                tracing::warn!(patience = ?self.limits.drain, "turns were still running at the end of the drain");
            }
        }
        self.shutdown.advance(Phase::Closing);
        self.close().await;
        ending
    }

    /// Takes connections. `None`: the socket is closed already.
    async fn serve(self: &Arc<Self>, bound: Bound, instance: &Instance) -> Option<Bound> {
        let mut bound = bound;
        loop {
            tokio::select! {
                () = self.shutdown.reached(Phase::HandingOver) => return Some(bound),
                () = self.take_connections(&bound) => {}
                () = bound.lost(self.limits.self_check) => {
                    tracing::warn!("the socket was removed or replaced: nobody new finds this daemon");
                    self.shutdown.advance(Phase::HandingOver);
                }
                () = self.idle.lasted(self.limits.idle) => {
                    let shares = self.service.renews_for_others();
                    if shares {
                        tracing::debug!("nobody asks, but the login that is shared has to be renewed");
                    }
                    if shares || !self.service.is_quiet() {
                        self.idle.touch();
                        continue;
                    }
                    bound = self.leave(bound, instance)?;
                }
            }
        }
    }

    /// Nobody needs the daemon: it ends, unless somebody has come in this very instant. `None`: it ends.
    fn leave(self: &Arc<Self>, bound: Bound, instance: &Instance) -> Option<Bound> {
        let late = bound.close();
        if late.is_empty() {
            tracing::info!("nobody has needed this daemon for a while");
            self.shutdown.advance(Phase::HandingOver);
            return None;
        }
        let bound = match Bound::bind(&self.socket(), self.uid, instance) {
            Ok(bound) => Some(bound),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "could not listen again");
                self.shutdown.advance(Phase::HandingOver);
                None
            }
        };
        for stream in late {
            self.admit(stream, None);
        }
        bound
    }

    /// A service manager starts no successor before this process has ended: whoever comes meanwhile is better served here than
    /// left waiting. Returns when nothing runs, no refresh either, or at the `end`.
    async fn finish_before(self: &Arc<Self>, end: impl Future<Output = ()>, bound: &Bound) {
        tokio::select! {
            () = self.take_connections(bound) => {}
            () = self.service.nothing_runs() => {}
            () = end => {}
            () = self.shutdown.reached(Phase::Closing) => {}
        }
    }

    /// The end of the drain: at `deadline`, or, when none was asked for yet, its whole length after somebody does.
    async fn end_of_drain(&self, deadline: Option<Instant>) {
        self.shutdown.reached(Phase::Draining).await;
        tokio::time::sleep_until(deadline.unwrap_or_else(|| Instant::now() + self.limits.drain)).await;
    }

    /// Gives up everything that a successor needs.
    async fn hand_over(self: &Arc<Self>, bound: Option<Bound>, instance: Instance) {
        tracing::info!(turns = self.service.turns_running(), "draining");
        self.alone.store(false, Ordering::Relaxed);
        // While a refresh is awaited, whoever comes is told that this daemon is going away, and not left waiting.
        let released = self.service.release_login();
        let late = if let Some(bound) = bound.filter(|bound| !bound.is_inherited()) {
            tokio::select! {
                () = released => {}
                () = self.take_connections(&bound) => {}
            }
            let instance = instance.release_credentials();
            let late = bound.close();
            drop(instance);
            late
        } else {
            released.await;
            drop(instance);
            Vec::new()
        };
        for stream in late {
            self.admit(stream, None);
        }
        self.moved.cancel();
        tracing::info!("handed over");
    }

    /// Returns when no turn runs and every session that was told to move has gone.
    async fn finished(&self) {
        self.cables.close();
        loop {
            self.service.turns_ended().await;
            let _ignored_the_word = tokio::time::timeout(MOVING, self.cables.wait()).await;
            // What crossed the word on its way may have begun a turn.
            if self.service.turns_running() == 0 {
                return;
            }
        }
    }

    /// Every turn that still runs ends with a terminal event, and that event is written before its session ends: as far as
    /// the peer reads.
    async fn close(&self) {
        self.tracker.close();
        let last_words = async {
            self.service.end_turns().await;
            self.tracker.wait().await;
        };
        if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
            self.sessions_over.cancel();
            self.service.end_turns().await;
            self.tracker.wait().await;
        }
    }

    async fn take_connections(self: &Arc<Self>, bound: &Bound) {
        loop {
            // The semaphore is never closed.
            let Ok(opening) = Arc::clone(&self.openings).acquire_owned().await else { return };
            let stream = bound.accept().await;
            self.admit(stream, Some(opening));
        }
    }

    fn admit(self: &Arc<Self>, stream: Stream, opening: Option<OwnedSemaphorePermit>) {
        if session::is_ours(self, &stream) {
            let serving = session::serve(Arc::clone(self), stream, opening);
            let _detached = task::spawn(&self.tracker, "session", serving);
        }
    }
}
