//! What all sessions share. How the daemon lives and ends is in `life`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use codex_oauth_proto::api::daemon::StatusResult;
use codex_oauth_proto::local::UserId;
use codex_oauth_proto::{Nonce, WireError, version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::folders::Folders;
use crate::idle::Idle;
use crate::limits::Limits;
use crate::log::Log;
use crate::network::NetworkSettings;
use crate::process;
use crate::program::Program;
use crate::service::CodexService;
use crate::shutdown::{Phase, Shutdown};

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
    pub(crate) uid: UserId,
    /// The accounts of folders.
    pub(crate) folders: Folders,
    /// The credential file as it is compared with a hello.
    pub(crate) auth_file: String,
    /// Cancelled when every session must end.
    pub(crate) sessions_over: CancellationToken,
    /// Sessions and their tasks.
    pub(crate) tracker: TaskTracker,
    /// What keeps the daemon from ending for want of use.
    pub(crate) idle: Idle,
    /// Cancelled when a successor can be found at the socket.
    pub(crate) moved: CancellationToken,
    /// Nobody else can serve until it has ended: a service manager listens, and a drain still takes sessions.
    pub(crate) alone: AtomicBool,
    /// What this process was started from.
    pub(crate) program: Program,
    /// Sessions of role `mcp`, which move to the successor.
    pub(crate) cables: TaskTracker,
    /// Welcomed sessions.
    places: Arc<Semaphore>,
    /// Connections that have not been welcomed yet: they cannot take a session's place.
    pub(crate) openings: Arc<Semaphore>,
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
        uid: UserId,
    ) -> Self {
        Self {
            service,
            limits: config.limits.clone(),
            shutdown,
            log,
            nonce,
            uid,
            folders: Folders::new(config.folders.clone()),
            auth_file: config.auth_file.display().to_string(),
            sessions_over: CancellationToken::new(),
            tracker: TaskTracker::new(),
            idle: Idle::new(),
            moved: CancellationToken::new(),
            alone: AtomicBool::new(false),
            program: Program::running(),
            cables: TaskTracker::new(),
            places: Arc::new(Semaphore::new(config.limits.sessions)),
            openings: Arc::new(Semaphore::new(OPENINGS)),
            incarnations: AtomicU64::new(1),
            peers_refused: AtomicU64::new(0),
            started: Instant::now(),
            config,
        }
    }

    /// The number of a new connection.
    pub(crate) fn next_incarnation(&self) -> u64 {
        self.incarnations.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether new sessions and new turns are taken.
    pub(crate) fn takes_new(&self) -> bool {
        self.shutdown.phase() == Phase::Serving || self.alone.load(Ordering::Relaxed)
    }

    /// A place for a welcomed session.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, WireError> {
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| crate::service::overloaded("sessions", self.limits.sessions))
    }

    /// Where the daemon listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.config.endpoint.socket()
    }

    pub(crate) fn count_refused_peer(&self) {
        self.peers_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// What is configured about the network.
    pub(crate) const fn network(&self) -> &NetworkSettings {
        &self.config.network
    }

    pub(crate) fn config(&self) -> codex_oauth_proto::api::config::ReadResult {
        self.config.read_result()
    }

    pub(crate) fn status(&self, protocol: u16) -> StatusResult {
        StatusResult {
            build: version::build().to_owned(),
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
            managed: self.alone.load(Ordering::Relaxed),
        }
    }

    /// The same on one line, for the log.
    pub(crate) fn status_line(&self) -> String {
        serde_json::to_string(&self.status(version::protocol().max.0))
            .unwrap_or_else(|error| error.to_string())
    }
}
