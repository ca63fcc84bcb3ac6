//! The socket: bound under the instance lock, unlinked only if it is still the one we bound.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use crate::instance::Instance;

/// First and longest pause after a failed accept: out of descriptors or memory passes, and is no reason to end.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Listener,
    path: PathBuf,
    /// Device and inode of what we bound: a successor's socket at the same path is another one. `None`: the service manager
    /// listens, and the path is its own.
    identity: Option<(u64, u64)>,
}

/// The socket could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Something that is no socket lies there. It is never removed.
    #[error("could not listen at `{}`: something that is not a socket is in the way", path.display())]
    Obstacle {
        /// The path.
        path: PathBuf,
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

impl Bound {
    /// Removes a dead socket and binds. Only the holder of the instance lock may do either.
    pub(crate) fn bind(path: &Path, _proof: &Instance) -> Result<Self, ListenError> {
        let io = |source| ListenError::Io { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => {
                if is_listened_at(path).map_err(io)? {
                    return Err(ListenError::Managed { path: path.to_owned() });
                }
                unlink(path).map_err(io)?;
            }
            Ok(_) => return Err(ListenError::Obstacle { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let name = path.to_fs_name::<GenericFilePath>().map_err(io)?;
        // `reclaim_name(false)`: on drop the library would delete the path even if it is a successor's by then. The mode
        // of the socket comes from the umask, that of its directory is 0700.
        let listener = ListenerOptions::new().name(name).reclaim_name(false).create_tokio().map_err(io)?;
        let found = std::fs::symlink_metadata(path).map_err(io)?;
        Ok(Self { listener, path: path.to_owned(), identity: Some((found.dev(), found.ino())) })
    }

    /// Takes over a socket that the service manager passed; `activation::check` has seen it.
    pub(crate) fn inherited(socket: OwnedFd, path: &Path, _proof: &Instance) -> Result<Self, ListenError> {
        let listener = interprocess::os::unix::uds_local_socket::tokio::Listener::try_from(socket)
            .map_err(|error| ListenError::Io { path: path.to_owned(), source: io::Error::other(error) })?;
        Ok(Self { listener: listener.into(), path: path.to_owned(), identity: None })
    }

    /// Whether the service manager listens, also while no daemon is there.
    pub(crate) const fn is_inherited(&self) -> bool {
        self.identity.is_none()
    }

    /// The next connection. A failing system is waited for; it ends the wait, not the daemon.
    pub(crate) async fn accept(&self) -> Stream {
        let (mut pause, longest) = ACCEPT_BACKOFF;
        loop {
            match self.listener.accept().await {
                Ok(stream) => return stream,
                Err(error) => {
                    tracing::warn!(%error, ?pause, "could not accept a connection");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// Stops listening and removes the path, if it is still ours.
    pub(crate) fn close(self) {
        let Self { listener, path, identity } = self;
        let ours =
            std::fs::symlink_metadata(&path).is_ok_and(|found| Some((found.dev(), found.ino())) == identity);
        if ours && let Err(error) = unlink(&path) {
            tracing::warn!(%error, path = %path.display(), "could not remove the socket");
        }
        drop(listener);
    }
}

/// Whether a connect finds a listener. One that is too busy to answer is one.
fn is_listened_at(path: &Path) -> io::Result<bool> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
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
