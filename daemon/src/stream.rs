//! One connection of the socket.
//!
//! The runtime is asked for readability alone. A Unix socket becomes writable anew each time its peer reads, and a daemon
//! that listened for that would be woken by every answer it gives, while its peer pays for the call.

use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use codex_oauth_proto::line::LineBuffer;
use codex_oauth_proto::local::UserId;
use interprocess::local_socket::PeerCreds;
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::os::unix::uds_local_socket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::line_io::READ_BYTES;

/// How often a daemon that has no descriptor left looks whether a peer has made room: who reads megabytes is hardly slower then.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(10);

/// A connection to a client.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: AsyncFd<UnixStream>,
    /// Who connected, at that time; nothing when the system does not say.
    peer: Option<PeerCreds>,
}

impl TryFrom<UnixStream> for Stream {
    type Error = io::Error;

    /// `accepted` does not block.
    fn try_from(accepted: UnixStream) -> io::Result<Self> {
        let accepted = uds_local_socket::Stream::from(accepted);
        let peer = accepted.peer_creds().ok();
        let socket = UnixStream::from(OwnedFd::from(accepted));
        Ok(Self { socket: watched(socket, Interest::READABLE)?, peer })
    }
}

impl Stream {
    /// The process at the other end, as the kernel says.
    pub(crate) fn peer_process(&self) -> Option<u32> {
        self.peer.as_ref()?.pid()?.try_into().ok()
    }

    /// The user at the other end at the time of the connect, as the kernel says.
    pub(crate) fn peer_user(&self) -> Option<UserId> {
        self.peer.as_ref()?.euid()
    }

    /// Reads once, by way of the stack: an idle session holds no buffer. Nothing read is the end.
    pub(crate) fn poll_fill(
        &self,
        context: &mut Context<'_>,
        lines: &mut LineBuffer,
    ) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(context))?;
            match rustix::net::recv(guard.get_inner(), &mut room, RecvFlags::empty()) {
                Ok(((bytes, _), read)) => {
                    lines.push(bytes);
                    // There was room for more, so there is no more: that is not asked again.
                    if (1..READ_BYTES).contains(&read) {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(read));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Writes as much as the peer takes now; `None` when that is nothing.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        loop {
            match self.socket.get_ref().write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return Some(written),
            }
        }
    }

    /// The same, once the peer takes something.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.try_write(bytes) {
                Some(written) => return written,
                None => self.writable().await?,
            }
        }
    }

    /// Waits until the peer has made room. By a descriptor of its own for so long, since the runtime knows each of them once;
    /// where none is left, the next try comes a little later.
    async fn writable(&self) -> io::Result<()> {
        let Ok(again) = self.socket.get_ref().try_clone() else {
            tokio::time::sleep(LOOK_FOR_ROOM).await;
            return Ok(());
        };
        watched(again, Interest::WRITABLE)?.writable().await?.retain_ready();
        Ok(())
    }

    /// Takes nothing more: from here on the peer's writes fail, and what has come is read before the end (a BSD, macOS too, drops
    /// it). False where a connection has no halves.
    pub(crate) fn refuse_input(&self) -> bool {
        // It fails only where the peer has gone.
        let _gone = rustix::net::shutdown(self.socket.get_ref(), Shutdown::Read);
        true
    }

    /// Whether a peer whose input has ended reads no more either.
    pub(crate) fn hung_up(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.get_ref(), PollFlags::empty())];
        let found = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        found.is_ok_and(|ready| ready > 0) && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// What was written is the kernel's to deliver, also after the end of this process.
    #[expect(clippy::unused_async, reason = "on Windows it waits")]
    pub(crate) async fn deliver(&self) {}

    /// So is what is written, at once.
    #[expect(clippy::unused_async, reason = "on Windows it waits")]
    pub(crate) async fn settle(&self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(
    deprecated,
    reason = "sound here: a `UnixStream` owns its descriptor and gives the same one for its life"
)]
fn watched(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}
