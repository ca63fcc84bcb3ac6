//! The right to be the daemon: two locks, held for life.

mod predecessor;

use std::path::{Path, PathBuf};
use std::time::Duration;

use codex_oauth_proto::lock::{FileLock, LockError, auth_lock};

use crate::config::Config;

/// Both locks: of the socket and of the credential file. Two answers to "where is the socket" must still mean one owner
/// of the login.
#[derive(Debug)]
pub(crate) struct Instance {
    ending_lock: PathBuf,
    text: String,
    // Let go in this order: whoever finds the socket free finds the login free as well.
    _credentials: Option<FileLock>,
    _socket: FileLock,
}

/// Which lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstanceError {
    /// A daemon listens here already.
    #[error("could not take the lock of the socket")]
    Socket(#[source] LockError),
    /// A daemon with another socket owns the login.
    #[error("another daemon, with another socket, owns this login")]
    Credentials(#[source] LockError),
    /// The daemon of this very socket, which was removed under it.
    #[error(
        "could not start a daemon: the one that runs has lost its socket `{}`, which was removed; it notices \
         within {} s, and `kill {pid}` ends it at once",
        socket.display(),
        within.as_secs()
    )]
    Unreachable {
        /// Its process.
        pid: u32,
        /// The path.
        socket: PathBuf,
        /// How long it takes to notice.
        within: Duration,
    },
}

impl InstanceError {
    /// The lock of the credential file was not to be had.
    fn credentials(error: LockError, config: &Config) -> Self {
        let socket = config.endpoint.socket();
        let LockError::Held { text, .. } = &error else { return Self::Credentials(error) };
        let holder = text.strip_prefix("pid ").and_then(|rest| rest.split_once(' '));
        match holder.map(|(pid, path)| (pid.parse(), path)) {
            // Its own lock lay beside the socket, or this daemon would not have come here.
            Some((Ok(pid), path)) if Path::new(path) == socket => {
                Self::Unreachable { pid, socket, within: config.limits.self_check }
            }
            _ => Self::Credentials(error),
        }
    }
}

impl Instance {
    /// Takes both or none.
    pub(crate) fn claim(config: &Config) -> Result<Self, InstanceError> {
        let socket =
            FileLock::try_acquire(&config.endpoint.instance_lock()).map_err(InstanceError::Socket)?;
        Self::with_socket(config, socket)
    }

    /// The same for a daemon that was passed the listening socket: whoever holds the lock can no longer be reached there, is
    /// told to end, and is waited for. Clients wait in the socket's backlog meanwhile.
    pub(crate) fn claim_from_predecessor(config: &Config) -> Result<Self, InstanceError> {
        let path = config.endpoint.instance_lock();
        let socket = match FileLock::try_acquire(&path) {
            Err(LockError::Held { text, .. }) => {
                predecessor::ask_to_end(&path, &text);
                predecessor::wait_for(&path)
            }
            other => other,
        };
        Self::with_socket(config, socket.map_err(InstanceError::Socket)?)
    }

    fn with_socket(config: &Config, mut socket: FileLock) -> Result<Self, InstanceError> {
        let text = holder_text(config);
        socket.describe(&text).map_err(InstanceError::Socket)?;
        let mut credentials = FileLock::try_acquire(&auth_lock(&config.auth_file))
            .map_err(|error| InstanceError::credentials(error, config))?;
        credentials.describe(&text).map_err(InstanceError::Credentials)?;
        let ending_lock = config.endpoint.ending_lock();
        Ok(Self { ending_lock, text, _socket: socket, _credentials: Some(credentials) })
    }

    /// What shows, once everything is handed over, that this daemon still finishes answers; one before it may do so too.
    pub(crate) fn show_ending(&self) -> Option<FileLock> {
        let shown = FileLock::try_share(&self.ending_lock).and_then(|mut lock| {
            lock.describe(&self.text)?;
            Ok(lock)
        });
        shown
            .inspect_err(|error| tracing::debug!(error = error as &dyn std::error::Error, "it is not shown"))
            .ok()
    }

    /// Lets go of the login and keeps the socket.
    pub(crate) fn release_credentials(self) -> Self {
        Self { _credentials: None, ..self }
    }
}

/// `pid 42 /run/user/1000/codex-oauth/daemon.sock`.
fn holder_text(config: &Config) -> String {
    format!("pid {} {}", std::process::id(), config.endpoint.socket().display())
}
