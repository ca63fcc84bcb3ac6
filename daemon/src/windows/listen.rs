//! The pipe: made under the instance lock, for our own user and the system alone, refused to other machines.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use codex_oauth_proto::local::{self, UserId};
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _};
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use widestring::U16CString;
use windows_sys::Win32::Foundation::ERROR_ACCESS_DENIED;

use crate::activation::Passed;
use crate::instance::Instance;

/// First and longest pause after a failed accept: out of memory passes, and is no reason to end.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long the last lines of a session may take to be read. What the client has not read when our end closes is lost.
const DELIVERY: Duration = Duration::from_secs(2);

/// A pipe.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Listener,
}

/// The pipe could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Somebody has a pipe of this name who does not hold the lock: the daemon before this one, until its last session has
    /// ended, or a stranger.
    #[error("could not listen at `{}`: somebody else has a pipe of this name", path.display())]
    Obstacle {
        /// Its name.
        path: PathBuf,
    },
    /// The system failed.
    #[error("could not listen at `{}`", path.display())]
    Io {
        /// The pipe's name.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ListenError {
    /// Whether it may be the daemon before this one, whose last sessions have not ended.
    pub(crate) const fn is_predecessor(&self) -> bool {
        matches!(self, Self::Obstacle { .. })
    }

    /// No service manager has a pipe for us.
    #[expect(clippy::unused_self, reason = "as on Unix")]
    pub(crate) const fn is_managed(&self) -> bool {
        false
    }
}

impl Bound {
    /// Makes the pipe; only the holder of the instance lock may. interprocess asks for the first instance of the name and
    /// refuses remote clients (`named_pipe/listener/create_instance.rs`).
    pub(crate) fn bind(path: &Path, uid: UserId, _proof: &Instance) -> Result<Self, ListenError> {
        let io = |source| ListenError::Io { path: path.to_owned(), source };
        let security = U16CString::from_str(local::pipe_security(uid))
            .map_err(io::Error::other)
            .and_then(|text| SecurityDescriptor::deserialize(&text))
            .map_err(io)?;
        let name = path.to_fs_name::<GenericFilePath>().map_err(io)?;
        match ListenerOptions::new().name(name).security_descriptor(security).create_tokio() {
            Ok(listener) => Ok(Self { listener }),
            Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) => {
                Err(ListenError::Obstacle { path: path.to_owned() })
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Never called.
    #[expect(clippy::needless_pass_by_value, reason = "as on Unix")]
    pub(crate) fn inherited(socket: Passed, _: &Path, _: &Instance) -> Result<Self, ListenError> {
        match socket {}
    }

    /// No service manager listens for us.
    #[expect(clippy::unused_self, reason = "as on Unix")]
    pub(crate) const fn is_inherited(&self) -> bool {
        false
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

    /// Never returns: nobody can take a pipe's name from whoever has it open.
    #[expect(clippy::unused_self, reason = "as on Unix")]
    pub(crate) async fn lost(&self, _: Duration) {
        std::future::pending().await
    }

    /// Stops listening; nobody waits to be accepted, since a connect needs a free instance. The name ends with its last open
    /// instance.
    pub(crate) fn close(self) -> Vec<Stream> {
        drop(self.listener);
        Vec::new()
    }
}

/// The user of the process at the other end. The pipe's descriptor has let nobody else in; this is the second line, and a
/// process that has gone meanwhile is nobody's.
pub(crate) fn peer_user(stream: &Stream) -> Option<UserId> {
    let pid = stream.peer_creds().ok()?.pid()?;
    local::process_user(Some(pid)).ok()
}

/// Whether a peer whose input has ended reads no more either: a pipe has no halves.
pub(crate) const fn hung_up(_: &Stream) -> bool {
    true
}

/// Waits until the peer has read what was written, or has gone.
pub(crate) async fn deliver(stream: &Stream) {
    let Stream::NamedPipe(pipe) = stream;
    // A peer that does not read loses the rest.
    let _unread = tokio::time::timeout(DELIVERY, pipe.inner().flush()).await;
}
