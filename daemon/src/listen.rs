//! The socket: bound under the instance lock, unlinked only if it is still the one we bound, and never closed over a
//! connection that waits in its backlog.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use codex_oauth_proto::local::{self, UserId};
use interprocess::local_socket::tokio::{self as local_socket, Listener};
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use rustix::net::{Shutdown, SocketAddrUnix};
use tokio::net::UnixStream;

use crate::instance::Instance;
use crate::stream::Stream;

/// First and longest pause after a failed accept: out of descriptors or memory passes, and is no reason to end.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Listener,
    path: PathBuf,
    /// Device and inode of what listens: a successor's socket at the same path is another one.
    identity: (u64, u64),
    /// The service manager listens, and the path is its own.
    inherited: bool,
}

/// The socket could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Something that is not ours to remove lies there.
    #[error("could not listen at `{}`: {what} is in the way", path.display())]
    Obstacle {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Somebody listens there who does not hold the lock.
    #[error(
        "could not listen at `{}`: a service manager listens there and starts the daemon by itself when it is used",
        path.display()
    )]
    Managed {
        /// The path.
        path: PathBuf,
    },
    /// The system failed.
    #[error("could not listen at `{}`", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ListenError {
    /// Whether a service manager has the socket.
    pub(crate) const fn is_managed(&self) -> bool {
        matches!(self, Self::Managed { .. })
    }
}

impl Bound {
    /// Removes a dead socket and binds. Only the holder of the instance lock may do either.
    pub(crate) fn bind(path: &Path, uid: UserId, _proof: &Instance) -> Result<Self, ListenError> {
        let io = |source| ListenError::Io { path: path.to_owned(), source };
        clear(path, uid)?;
        let name = path.to_fs_name::<GenericFilePath>().map_err(io)?;
        // `reclaim_name(false)`: on drop the library would delete the path even if it is a successor's by then. The mode
        // of the socket comes from the umask, that of its directory is 0700.
        let listener = ListenerOptions::new().name(name).reclaim_name(false).create_tokio().map_err(io)?;
        let found = std::fs::symlink_metadata(path).map_err(io)?;
        Ok(Self { listener, path: path.to_owned(), identity: (found.dev(), found.ino()), inherited: false })
    }

    /// Takes over a socket that the service manager passed; `activation::check` has seen it.
    pub(crate) fn inherited(socket: OwnedFd, path: &Path, _proof: &Instance) -> Result<Self, ListenError> {
        let io = |source| ListenError::Io { path: path.to_owned(), source };
        let listener = interprocess::os::unix::uds_local_socket::tokio::Listener::try_from(socket)
            .map_err(|error| io(io::Error::other(error)))?;
        let found = std::fs::symlink_metadata(path).map_err(io)?;
        let identity = (found.dev(), found.ino());
        Ok(Self { listener: listener.into(), path: path.to_owned(), identity, inherited: true })
    }

    /// Whether the service manager listens, also while no daemon is there.
    pub(crate) const fn is_inherited(&self) -> bool {
        self.inherited
    }

    /// The next connection. A failing system is waited for; it ends the wait, not the daemon.
    pub(crate) async fn accept(&self) -> Stream {
        let (mut pause, longest) = ACCEPT_BACKOFF;
        loop {
            match self.next().await {
                Ok(stream) => return stream,
                Err(error) => {
                    tracing::warn!(%error, ?pause, "could not accept a connection");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    async fn next(&self) -> io::Result<Stream> {
        let local_socket::Stream::UdSocket(stream) = self.listener.accept().await?;
        UnixStream::from(stream).into_std()?.try_into()
    }

    /// Returns when a look each `period` finds the path gone or somebody else's: nobody new finds this daemon then. What is
    /// still ours is touched, so that a cleaner of old files leaves it.
    pub(crate) async fn lost(&self, period: Duration) {
        // An interval of zero is none.
        let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
        loop {
            ticks.tick().await;
            if !self.is_ours() {
                return;
            }
            for path in [Some(self.path.as_path()), self.path.parent()].into_iter().flatten() {
                if let Err(error) = touch(path) {
                    tracing::warn!(%error, path = %path.display(), "could not touch it");
                }
            }
        }
    }

    /// Stops listening and removes the path, if it is still ours. Gives the connections that were waiting to be accepted:
    /// their peers have found a daemon, and it has to answer them. At a service manager's socket they go on waiting, for the
    /// next daemon.
    pub(crate) fn close(self) -> Vec<Stream> {
        if self.inherited {
            return Vec::new();
        }
        if self.is_ours()
            && let Err(error) = unlink(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "could not remove the socket");
        }
        match waiting(self.listener) {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(%error, "could not take the connections that were waiting");
                Vec::new()
            }
        }
    }

    fn is_ours(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }
}

/// Removes what a daemon that crashed has left, and nothing else.
fn clear(path: &Path, uid: UserId) -> Result<(), ListenError> {
    let io = |source| ListenError::Io { path: path.to_owned(), source };
    let obstacle = |what| Err(ListenError::Obstacle { path: path.to_owned(), what });
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => obstacle("something that is not a socket"),
        Ok(found) if found.uid() != uid => obstacle("a socket of another user"),
        Ok(_) if is_listened_at(path).map_err(io)? => Err(ListenError::Managed { path: path.to_owned() }),
        Ok(_) => unlink(path).map_err(io),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io(error)),
    }
}

/// Every connection that has come and was not accepted. None can come any more: the path is gone, and whoever looked it up
/// before is refused by the shutdown.
fn waiting(listener: Listener) -> io::Result<Vec<Stream>> {
    let Listener::UdSocket(listener) = listener;
    let listener = UnixListener::from(OwnedFd::try_from(listener)?);
    // Where the system has no such thing for a listener, a connection in this instant is cut instead of refused.
    let _unsupported = rustix::net::shutdown(&listener, Shutdown::Both);
    let mut waiting = Vec::new();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                waiting.push(stream.try_into()?);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Nobody; a listener that was shut down says so in words of its own.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::InvalidInput) => {
                return Ok(waiting);
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a waiting connection");
                return Ok(waiting);
            }
        }
    }
}

fn touch(path: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Whether a connect finds a listener. One that is too busy to answer is one.
fn is_listened_at(path: &Path) -> io::Result<bool> {
    let address = SocketAddrUnix::new(path)?;
    let socket = local::nonblocking_socket()?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::AGAIN) => Ok(true),
        Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn unlink(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a socket, under the instance lock")]
    std::fs::remove_file(path)
}
