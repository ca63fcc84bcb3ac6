//! Lines over a local socket: one reader that can be given up at any await, one writer that never interleaves.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use codex_oauth_proto::MAX_LINE_BYTES;
use codex_oauth_proto::line::{Line, LineBuffer};
use interprocess::local_socket::tokio::Stream;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::listen;

/// One read. Most lines of clients are shorter; a prompt of megabytes takes some hundred.
const READ_BYTES: usize = 16 * 1024;

/// How often a session whose input has ended is looked at, while answers for it are under way.
const LOOK_FOR_PEER: Duration = Duration::from_millis(250);

/// Reads lines. A wait that is dropped loses nothing: what has come lies in the buffer.
#[derive(Debug)]
pub(crate) struct LineReader {
    stream: Arc<Stream>,
    buffer: LineBuffer,
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A whole line, not empty.
    Line(Vec<u8>),
    /// A line over the cap.
    TooLong,
    /// The peer closed its side; `half_line` when it stopped in the middle of a line.
    End {
        /// Whether bytes without a newline came last.
        half_line: bool,
    },
}

impl LineReader {
    /// A reader with an empty buffer.
    pub(crate) fn new(stream: Arc<Stream>) -> Self {
        Self { stream, buffer: LineBuffer::new(MAX_LINE_BYTES) }
    }

    /// The next line. Empty lines are passed over. A broken connection is an end.
    pub(crate) async fn next(&mut self) -> Read {
        loop {
            match self.buffer.pop() {
                Some(Line::Whole(line)) if line.is_empty() => continue,
                Some(Line::Whole(line)) => return Read::Line(line),
                Some(Line::TooLong { .. }) => return Read::TooLong,
                None => {}
            }
            if !matches!(poll_fn(|context| self.fill(context)).await, Ok(1..)) {
                return Read::End { half_line: self.buffer.has_partial() };
            }
        }
    }

    /// Reads once, by way of the stack: an idle session holds no buffer.
    fn fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut bytes);
        let filled = ready!(Pin::new(&mut &*self.stream).poll_read(context, &mut read));
        self.buffer.push(read.filled());
        Poll::Ready(filled.map(|()| read.filled().len()))
    }
}

/// Writes lines, each whole. There is no queue: whoever has a line waits for its turn, and so is slowed down by a slow
/// peer.
#[derive(Debug)]
pub(crate) struct LineWriter {
    stream: Arc<Stream>,
    /// Held for the length of a line.
    turn: Mutex<()>,
    stall: Duration,
    dead: CancellationToken,
}

impl LineWriter {
    /// `dead` is cancelled when the peer takes nothing for `stall`, or is gone.
    pub(crate) fn new(stream: Arc<Stream>, stall: Duration, dead: CancellationToken) -> Self {
        Self { stream, turn: Mutex::default(), stall, dead }
    }

    /// Writes one line; `line` has no newline.
    ///
    /// # Errors
    /// When the session is over. A line may then have been written in part; nothing follows it. The same holds when this
    /// future is dropped in the middle of a line: the rest of it is lost, so the session ends.
    pub(crate) async fn write(&self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        let turn = self.turn.lock().await;
        let whole = self.dead.clone().drop_guard();
        let written = self.write_all(&line).await;
        if written.is_ok() {
            whole.disarm();
        }
        drop(turn);
        written
    }

    async fn write_all(&self, mut rest: &[u8]) -> io::Result<()> {
        let mut stream = &*self.stream;
        while !rest.is_empty() {
            let written = tokio::select! {
                biased;
                () = self.dead.cancelled() => return Err(io::ErrorKind::BrokenPipe.into()),
                written = tokio::time::timeout(self.stall, stream.write(rest)) => written,
            };
            match written {
                Ok(Ok(0)) | Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(Ok(written)) => rest = &rest[written..],
                Ok(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns when the peer has closed both of its sides. A peer that has closed only its sending side still reads.
    ///
    /// The runtime tells readiness, and that side is ready for ever after the end of input; so this looks, now and then.
    pub(crate) async fn peer_gone(&self) {
        let mut tick = tokio::time::interval(LOOK_FOR_PEER);
        loop {
            tick.tick().await;
            if listen::hung_up(&self.stream) {
                return;
            }
        }
    }
}
