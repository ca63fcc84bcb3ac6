//! The right to be the daemon: two locks, held for life.

use std::path::Path;

use codex_oauth_proto::lock::{FileLock, LockError, auth_lock};

use crate::config::Config;

/// Both locks: of the socket and of the credential file. Two answers to "where is the socket" must still mean one owner
/// of the login.
#[derive(Debug)]
pub(crate) struct Instance {
    // Let go in this order: whoever finds the socket free finds the login free as well.
    _credentials: FileLock,
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
}

impl Instance {
    /// Takes both or none.
    pub(crate) fn claim(config: &Config) -> Result<Self, InstanceError> {
        let text = format!("pid {} {}", std::process::id(), config.endpoint.socket().display());
        let lock = |path: &Path| {
            let mut lock = FileLock::try_acquire(path)?;
            lock.describe(&text)?;
            Ok(lock)
        };
        let socket = lock(&config.endpoint.instance_lock()).map_err(InstanceError::Socket)?;
        let credentials = lock(&auth_lock(&config.auth_file)).map_err(InstanceError::Credentials)?;
        Ok(Self { _socket: socket, _credentials: credentials })
    }
}
