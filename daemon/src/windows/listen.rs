//! The pipe: made under the instance lock, for our own user and the system alone, refused to other machines.
//!
//! The daemon before this one keeps the name for as long as its last session lasts, without a listening instance. Its pipe
//! is joined then, which is as safe as one of our own. The system keeps one descriptor for all instances of a name, that of
//! the first: with ours nobody but our user and the system can add an instance or open one. Who could have made it is told
//! by its owner, which nobody sets to a user that he is not: so a stranger's pipe is left again before anything is accepted
//! at it, and clients look at the same owner before they say a word. The lock says that no other daemon listens there.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use codex_oauth_proto::local::{self, UserId};
use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName as _};
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::named_pipe::{PipeListenerOptions, tokio::PipeListener};
use interprocess::os::windows::security_descriptor::{AsSecurityDescriptorExt as _, SecurityDescriptor};
use widestring::U16CString;
use windows_sys::Win32::Foundation::ERROR_ACCESS_DENIED;

use crate::activation::Passed;
use crate::instance::Instance;
use crate::stream::Stream;
use crate::windows::sys;

/// First and longest pause after a failed accept: out of memory passes, and is no reason to end.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A pipe.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: Listener,
}

/// The pipe could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Another user has a pipe of this name.
    #[error("could not listen at `{}`: another user has a pipe of this name", path.display())]
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
    /// No service manager has a pipe for us.
    #[expect(clippy::unused_self, reason = "as on Unix")]
    pub(crate) const fn is_managed(&self) -> bool {
        false
    }
}

impl Bound {
    /// Makes the pipe, or joins that of the daemon before; only the holder of the instance lock may. interprocess asks for the
    /// first instance of the name and refuses remote clients (`named_pipe/listener/create_instance.rs`).
    pub(crate) fn bind(path: &Path, uid: UserId, _proof: &Instance) -> Result<Self, ListenError> {
        let io = |source| ListenError::Io { path: path.to_owned(), source };
        let security = U16CString::from_str(local::pipe_security(uid))
            .map_err(io::Error::other)
            .and_then(|text| SecurityDescriptor::deserialize(&text))
            .map_err(io)?;
        let name = path.to_fs_name::<GenericFilePath>().map_err(io)?;
        let first = security.to_owned_sd().map_err(io)?;
        let created = match ListenerOptions::new().name(name).security_descriptor(first).create_tokio() {
            Err(error) if is_denied(&error) => join(path, uid, security)?,
            created => created.map_err(io)?,
        };
        Ok(Self { listener: created })
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
                Ok(stream) => return stream.into(),
                Err(error) => {
                    tracing::warn!(%error, ?pause, "could not accept a connection");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// Never returns: nobody can take a pipe's name from whoever has it open.
    pub(crate) async fn lost(&self, _: Duration) {
        std::future::pending::<()>().await;
    }

    /// Stops listening; nobody waits to be accepted, since a connect needs a free instance. The name ends with its last open
    /// instance.
    pub(crate) fn close(self) -> Vec<Stream> {
        drop(self.listener);
        Vec::new()
    }
}

/// Listens beside the instances that there are, if they are of our own user's pipe.
fn join(path: &Path, uid: UserId, security: SecurityDescriptor) -> Result<Listener, ListenError> {
    let io = |source| ListenError::Io { path: path.to_owned(), source };
    let obstacle = || ListenError::Obstacle { path: path.to_owned() };
    let instance = sys::further_instance(path, &security)
        .map_err(|error| if is_denied(&error) { obstacle() } else { io(error) })?;
    if local::owner_of_pipe(&instance).map_err(io)? != uid {
        return Err(obstacle());
    }
    tracing::info!("joined the pipe of the daemon before, whose last sessions have not ended");
    let mut options = PipeListenerOptions::new().path(path);
    options.security_descriptor = Some(security);
    let options = options.to_owned().map_err(io)?;
    let listener = PipeListener::from_tokio_and_options(instance, options);
    Ok(Listener::NamedPipe(listener.into()))
}

fn is_denied(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::windows::named_pipe::ClientOptions;

    use super::*;

    fn described(text: &str) -> SecurityDescriptor {
        SecurityDescriptor::deserialize(&U16CString::from_str(text).unwrap()).unwrap()
    }

    fn name(of: &str) -> PathBuf {
        format!(r"\\.\pipe\codex-oauth-test-{of}-{}", std::process::id()).into()
    }

    /// The first instance of a pipe, as somebody made it before us.
    fn first(path: &Path, descriptor: &str) -> PipeListener<Bytes, Bytes> {
        let mut options = PipeListenerOptions::new().path(path);
        options.security_descriptor = Some(described(descriptor));
        options.create_tokio_duplex().unwrap()
    }

    /// Wine makes a first instance beside another one, so there `bind` never comes this way by itself.
    #[tokio::test]
    async fn the_pipe_of_the_daemon_before_is_joined_while_its_session_goes_on() {
        let (path, user) = (name("joined"), local::process_user(None).unwrap());
        let before = first(&path, &local::pipe_security(user));
        let mut old_client = ClientOptions::new().open(&path).unwrap();
        let mut old_session = before.accept().await.unwrap();
        drop(before);
        let busy = ClientOptions::new().open(&path).unwrap_err();
        assert_ne!(busy.kind(), ErrorKind::NotFound, "the session keeps the name: {busy}");
        let joined = join(&path, user, described(&local::pipe_security(user))).unwrap();
        let mut client = ClientOptions::new().open(&path).unwrap();
        let mut session = joined.accept().await.unwrap();
        let mut heard = [0; 3];
        client.write_all(b"new").await.unwrap();
        session.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"new");
        old_client.write_all(b"old").await.unwrap();
        old_session.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"old");
        // And who comes next finds the next instance.
        let _next = ClientOptions::new().open(&path).unwrap();
    }

    #[tokio::test]
    async fn a_pipe_that_somebody_else_made_is_left_again_before_anything_is_accepted() {
        let (path, user) = (name("squatted"), local::process_user(None).unwrap());
        let squatter = first(&path, &format!("O:BAD:P(A;;GA;;;{user})"));
        let refused = join(&path, user, described(&local::pipe_security(user))).unwrap_err();
        assert!(matches!(refused, ListenError::Obstacle { .. }), "{refused}");
        drop(squatter);
        let gone = ClientOptions::new().open(&path).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound, "no instance of ours is left: {gone}");
    }
}
