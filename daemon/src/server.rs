//! Takes connections until told to stop, and knows what all sessions share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use codex_oauth_proto::api::daemon::StatusResult;
use codex_oauth_proto::{Nonce, PROTOCOL, WireError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::limits::Limits;
use crate::listen::Bound;
use crate::log::Log;
use crate::service::CodexService;
use crate::shutdown::{Phase, Shutdown};
use crate::{process, session, task};

/// How long sessions may take to write their last lines. The kernel takes a line at once from whoever still reads.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Connections that may be between accept and welcome at once. Each lasts microseconds, or the two seconds of a silent one; a
/// further one waits in the kernel's backlog.
const OPENINGS: usize = 256;

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) service: CodexService,
    pub(crate) limits: Limits,
    pub(crate) shutdown: Shutdown,
    pub(crate) log: Log,
    pub(crate) nonce: Nonce,
    pub(crate) uid: u32,
    /// The credential file as it is compared with a hello.
    pub(crate) auth_file: String,
    /// Cancelled when every session must end.
    pub(crate) sessions_over: CancellationToken,
    /// Sessions and their tasks.
    pub(crate) tracker: TaskTracker,
    /// Welcomed sessions.
    places: Arc<Semaphore>,
    /// Connections that have not been welcomed yet: they cannot take a session's place.
    openings: Arc<Semaphore>,
    incarnations: AtomicU64,
    peers_refused: AtomicU64,
    started: Instant,
    config: Config,
}

impl Server {
    pub(crate) fn new(
        config: Config,
        service: CodexService,
        shutdown: Shutdown,
        log: Log,
        nonce: Nonce,
        uid: u32,
    ) -> Self {
        Self {
            service,
            limits: config.limits.clone(),
            shutdown,
            log,
            nonce,
            uid,
            auth_file: config.auth_file.display().to_string(),
            sessions_over: CancellationToken::new(),
            tracker: TaskTracker::new(),
            places: Arc::new(Semaphore::new(config.limits.sessions)),
            openings: Arc::new(Semaphore::new(OPENINGS)),
            incarnations: AtomicU64::new(1),
            peers_refused: AtomicU64::new(0),
            started: Instant::now(),
            config,
        }
    }

    /// Serves until a drain is asked for, then lets what runs finish, each within its bound.
    ///
    /// `instance` is held to the end: only its holder may own the socket.
    pub(crate) async fn run(self: Arc<Self>, bound: Bound) {
        self.until(self.shutdown.reached(Phase::Draining), self.take_connections(&bound)).await;
        bound.close();
        tracing::info!(turns = self.service.turns_running(), "draining");
        let patience = self.limits.drain;
        let finished = tokio::time::timeout(patience, self.service.turns_ended());
        self.until(self.shutdown.reached(Phase::Closing), async {
            if finished.await.is_err() {
                tracing::warn!(?patience, "turns were still running at the end of the drain");
            }
        })
        .await;
        self.shutdown.advance(Phase::Closing);
        // Every turn that still runs ends with a terminal event, and that event is written before its session ends: as far
        // as the peer reads.
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

    /// The number of a new connection.
    pub(crate) fn next_incarnation(&self) -> u64 {
        self.incarnations.fetch_add(1, Ordering::Relaxed)
    }

    /// A place for a welcomed session.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, WireError> {
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| crate::service::overloaded("sessions", self.limits.sessions))
    }

    pub(crate) fn count_refused_peer(&self) {
        self.peers_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn config(&self) -> codex_oauth_proto::api::config::ReadResult {
        self.config.read_result()
    }

    pub(crate) fn status(&self, protocol: u16) -> StatusResult {
        StatusResult {
            build: codex_oauth_proto::BUILD.to_owned(),
            protocol,
            pid: std::process::id(),
            nonce: self.nonce.clone(),
            phase: self.shutdown.phase().name().to_owned(),
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            sessions: (self.limits.sessions - self.places.available_permits()) as u64,
            turns_running: self.service.turns_running() as u64,
            turns_ended: self.service.turns_ended_count(),
            peers_refused: self.peers_refused.load(Ordering::Relaxed),
            socket: self.config.endpoint.socket().display().to_string(),
            credential_file: self.auth_file.clone(),
            issuer: self.config.issuer.clone(),
            backend: self.config.backend.clone(),
            pss_bytes: process::pss_bytes(),
            ledger_fault: self.service.ledger_fault(),
            open_files: process::open_files(),
            log_lines_lost: self.log.lost(),
        }
    }

    /// The same on one line, for the log.
    pub(crate) fn status_line(&self) -> String {
        serde_json::to_string(&self.status(PROTOCOL.max.0)).unwrap_or_else(|error| error.to_string())
    }

    async fn take_connections(self: &Arc<Self>, bound: &Bound) {
        loop {
            // The semaphore is never closed.
            let Ok(opening) = Arc::clone(&self.openings).acquire_owned().await else { return };
            let stream = bound.accept().await;
            if session::is_ours(self, &stream) {
                let serving = session::serve(Arc::clone(self), stream, opening);
                let _detached = task::spawn(&self.tracker, "session", serving);
            }
        }
    }

    /// Runs `work` until it is done or `stop` is.
    async fn until(&self, stop: impl Future<Output = ()>, work: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = work => {}
        }
    }
}
