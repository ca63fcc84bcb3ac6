//! The socket: bound under the instance lock, unlinked only if it is still the one we bound.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _};

use crate::instance::Instance;

/// First and longest pause after a failed accept: out of descriptors or memory passes, and is no reason to end.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Listener,
    path: PathBuf,
    /// Device and inode of what we bound: a successor's socket at the same path is another one.
    identity: (u64, u64),
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
            Ok(found) if found.file_type().is_socket() => unlink(path).map_err(io)?,
            Ok(_) => return Err(ListenError::Obstacle { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let name = path.to_fs_name::<GenericFilePath>().map_err(io)?;
        // `reclaim_name(false)`: on drop the library would delete the path even if it is a successor's by then. The mode
        // of the socket comes from the umask, that of its directory is 0700.
        let listener = ListenerOptions::new().name(name).reclaim_name(false).create_tokio().map_err(io)?;
        let found = std::fs::symlink_metadata(path).map_err(io)?;
        Ok(Self { listener, path: path.to_owned(), identity: (found.dev(), found.ino()) })
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
        let ours = std::fs::symlink_metadata(&path).is_ok_and(|found| (found.dev(), found.ino()) == identity);
        if ours && let Err(error) = unlink(&path) {
            tracing::warn!(%error, path = %path.display(), "could not remove the socket");
        }
        drop(listener);
    }
}

fn unlink(path: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a socket, under the instance lock")]
    std::fs::remove_file(path)
}
