//! One connection of the pipe.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use codex_oauth_proto::line::LineBuffer;
use codex_oauth_proto::local::{self, UserId};
use futures_util::FutureExt as _;
use interprocess::local_socket::tokio as local_socket;
use interprocess::local_socket::traits::StreamCommon as _;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};

use crate::line_io::READ_BYTES;

/// How long the last lines of a session may take to be read. What the client has not read when our end closes is lost.
const DELIVERY: Duration = Duration::from_secs(2);

/// A connection to a client.
#[derive(Debug)]
pub(crate) struct Stream(local_socket::Stream);

impl From<local_socket::Stream> for Stream {
    fn from(accepted: local_socket::Stream) -> Self {
        Self(accepted)
    }
}

impl Stream {
    /// The process at the other end, as the system says.
    pub(crate) fn peer_process(&self) -> Option<u32> {
        self.0.peer_creds().ok()?.pid()
    }

    /// The user of the process at the other end. The pipe's descriptor has let nobody else in; this is the second line, and a
    /// process that has gone meanwhile is nobody's.
    pub(crate) fn peer_user(&self) -> Option<UserId> {
        local::process_user(Some(self.peer_process()?)).ok()
    }

    /// Reads once, by way of the stack: an idle session holds no buffer. Nothing read is the end.
    pub(crate) fn poll_fill(
        &self,
        context: &mut Context<'_>,
        lines: &mut LineBuffer,
    ) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut &self.0).poll_read(context, &mut read))?;
        lines.push(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Writes as much as the peer takes now; `None` when that is nothing.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        self.write(bytes).now_or_never()
    }

    /// The same, once the peer takes something.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes).await
    }

    /// A pipe has no halves.
    #[expect(clippy::unused_self, reason = "as on Unix")]
    pub(crate) const fn refuse_input(&self) -> bool {
        false
    }

    /// Whether a peer whose input has ended reads no more either: a pipe has no halves.
    #[expect(clippy::unused_self, reason = "as on Unix")]
    pub(crate) const fn hung_up(&self) -> bool {
        true
    }

    /// Waits until the peer has read what was written, or has gone.
    pub(crate) async fn deliver(&self) {
        // A peer that does not read loses the rest.
        let _unread = tokio::time::timeout(DELIVERY, self.settle()).await;
    }

    /// Waits until the peer has read what was written. The runtime writes behind our back, and what lies in a pipe may end with
    /// our end of it.
    ///
    /// # Errors
    /// When the peer has gone.
    pub(crate) async fn settle(&self) -> io::Result<()> {
        let local_socket::Stream::NamedPipe(pipe) = &self.0;
        pipe.inner().flush().await
    }
}
