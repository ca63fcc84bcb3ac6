//! Unix: sockets and `poll`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::{AsSource, Awaited};
use crate::caller::Caller;
use crate::connect::{ConnectError, pause};
use crate::endpoint::Endpoint;
use crate::peer::Peer;

/// The stream.
pub type Stream = UnixStream;

/// What can be waited for.
pub type Source<'s> = BorrowedFd<'s>;

/// The number of a user.
pub type UserId = u32;

/// How long a full backlog is tried again. The daemon stops accepting only while it is out of descriptors or sessions.
const BACKLOG_PATIENCE: Duration = Duration::from_secs(2);

/// Nothing announces a free place in a listener's backlog.
const BACKLOG_LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a socket reports, when asked, whose peer will write no more. A pipe or socket without a peer reports `HUP` unasked.
#[cfg(target_os = "linux")]
const HALF_CLOSED: PollFlags = PollFlags::RDHUP;
#[cfg(not(target_os = "linux"))]
const HALF_CLOSED: PollFlags = PollFlags::empty();

impl<T: AsFd> AsSource for T {
    fn as_source(&self) -> Source<'_> {
        self.as_fd()
    }
}

/// The user whose rights this process has.
pub fn current_user() -> UserId {
    rustix::process::geteuid().as_raw()
}

/// Waits until one of two can be read or has ended, the first before the second; `None` when `deadline` has passed.
pub(crate) fn wait_any(
    sources: [Option<Awaited<'_>>; 2],
    deadline: Option<Instant>,
) -> io::Result<Option<usize>> {
    let mut places = Vec::with_capacity(2);
    let mut fds = Vec::with_capacity(2);
    for (place, source) in sources.into_iter().enumerate() {
        let (source, flags) = match source {
            None => continue,
            Some(Awaited::Input(source)) => (source, PollFlags::IN),
            Some(Awaited::End(source)) => (source, HALF_CLOSED),
        };
        places.push(place);
        fds.push(PollFd::from_borrowed_fd(source, flags));
    }
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => return Ok(None),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                let found = fds.iter().position(|fd| !fd.revents().is_empty());
                return Ok(found.map(|at| places[at]));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Connects; nothing is sent.
pub(crate) fn dial(endpoint: &Endpoint, user: UserId, caller: &Caller<'_>) -> Result<Stream, ConnectError> {
    let path = endpoint.socket();
    let address = SocketAddrUnix::new(&path).map_err(io::Error::from)?;
    let deadline = Instant::now() + BACKLOG_PATIENCE;
    loop {
        let socket = nonblocking_socket()?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => {
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(Errno::NOENT) => return Err(ConnectError::Absent),
            // A dead socket and a plain file answer alike: only a look tells them apart. So it is with another user's socket
            // and one of ours that was closed to us.
            Err(error @ (Errno::CONNREFUSED | Errno::ACCESS | Errno::LOOP)) => {
                return Err(refused_by(path, user, error));
            }
            // A full backlog: a live daemon, never a stale socket.
            Err(Errno::AGAIN) if Instant::now() < deadline => pause(caller, BACKLOG_LOOK_AGAIN)?,
            Err(Errno::AGAIN) => return Err(ConnectError::Busy),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

/// A Unix stream socket that waits for nothing and is closed on exec.
#[cfg(target_os = "linux")]
pub fn nonblocking_socket() -> io::Result<OwnedFd> {
    use rustix::net::{SocketFlags, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// A Unix stream socket that waits for nothing and is closed on exec.
#[cfg(not(target_os = "linux"))]
pub fn nonblocking_socket() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

fn refused_by(path: PathBuf, user: UserId, error: Errno) -> ConnectError {
    match std::fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() && found.uid() == user => match error {
            Errno::CONNREFUSED => ConnectError::Absent,
            error => io::Error::from(error).into(),
        },
        Ok(_) => ConnectError::NotASocket { path },
        Err(error) if error.kind() == io::ErrorKind::NotFound => ConnectError::Absent,
        Err(error) => error.into(),
    }
}

/// Asks the kernel about a connected stream.
#[cfg(target_os = "linux")]
pub(crate) fn peer(stream: &Stream) -> io::Result<Peer> {
    let found = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(Peer { uid: found.uid.as_raw(), pid: u32::try_from(found.pid.as_raw_nonzero().get()).ok() })
}

/// Asks the kernel about a connected stream.
#[cfg(not(target_os = "linux"))]
pub(crate) fn peer(stream: &Stream) -> io::Result<Peer> {
    use interprocess::local_socket::traits::StreamCommon as _;
    let stream = interprocess::os::unix::uds_local_socket::Stream::from(stream.try_clone()?);
    let found = stream.peer_creds()?;
    let uid = found.euid().ok_or_else(|| io::Error::other("the system does not tell the peer's user"))?;
    Ok(Peer { uid, pid: None })
}
