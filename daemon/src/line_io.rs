//! Lines over a local socket: one reader that can be given up at any await, one writer that never interleaves.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use codex_oauth_proto::MAX_LINE_BYTES;
use codex_oauth_proto::line::{Line, LineBuffer};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::stream::Stream;

/// One read. Most lines of clients are shorter; a prompt of megabytes takes some hundred.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// How often a session whose input has ended is looked at, while answers for it are under way.
const LOOK_FOR_PEER: Duration = Duration::from_millis(250);

/// With more than this unread, a peer that takes nothing is given up after the first look and not after the last: what it has
/// missed is kept with the answers, and this memory is everybody's.
const MOST_UNREAD_BYTES: usize = 4 * 1024 * 1024;

/// Looks at a peer that takes nothing, before it is given up.
const LOOKS: u32 = 10;

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

    /// Takes no more than what has come: then comes the end. False where that cannot be told apart.
    pub(crate) fn close(&self) -> bool {
        self.stream.refuse_input()
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
            if !matches!(poll_fn(|context| self.stream.poll_fill(context, &mut self.buffer)).await, Ok(1..)) {
                return Read::End { half_line: self.buffer.has_partial() };
            }
        }
    }
}

/// Writes lines, each whole. Whoever has a line waits until it is out, and so is slowed down by a slow peer.
#[derive(Debug)]
pub(crate) struct LineWriter {
    stream: Arc<Stream>,
    /// Lines of those who wait for their turn, in order. What it holds is bounded by how many they are.
    waiting: parking_lot::Mutex<Vec<u8>>,
    /// Held for the length of a write.
    turn: Mutex<()>,
    stall: Duration,
    dead: CancellationToken,
}

impl LineWriter {
    /// `dead` is cancelled when the peer takes nothing for `stall`, for a tenth of it with megabytes unread, or is gone.
    pub(crate) fn new(stream: Arc<Stream>, stall: Duration, dead: CancellationToken) -> Self {
        Self { stream, waiting: parking_lot::Mutex::default(), turn: Mutex::default(), stall, dead }
    }

    /// Writes one line; `line` has no newline.
    ///
    /// # Errors
    /// When the session is over. A line may then have been written in part; nothing follows it. The same holds when this
    /// future is dropped in the middle of its write: the rest is lost, so the session ends. Dropped before, it leaves its
    /// line to whoever writes next.
    pub(crate) async fn write(&self, line: Vec<u8>) -> io::Result<()> {
        self.queue(line);
        self.flush().await
    }

    /// As [`Self::write`]; after this the peer gets the line also if this process dies. Lines of those who are ready at the same time
    /// share one write and wake the peer once: it has nothing to do for them.
    pub(crate) async fn write_for_good(&self, line: Vec<u8>) -> io::Result<()> {
        self.queue(line);
        behind_others().await;
        self.flush().await?;
        tokio::time::timeout(self.stall, self.stream.settle()).await?
    }

    /// Leaves one line to the next write, or to [`Self::flush`].
    pub(crate) fn queue(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            *waiting = line;
        } else {
            waiting.append(&mut line);
        }
    }

    /// As [`Self::queue`], unless more than `most` bytes wait already. False: the line is dropped.
    pub(crate) fn offer(&self, mut line: Vec<u8>, most: usize) -> bool {
        line.push(b'\n');
        let mut waiting = self.waiting.lock();
        let fits = waiting.len() + line.len() <= most;
        if fits {
            waiting.append(&mut line);
        }
        fits
    }

    /// Writes what waits; with nothing there, whoever had the turn before has written this caller's line too.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(crate) async fn flush(&self) -> io::Result<()> {
        let turn = self.turn.lock().await;
        let lines = std::mem::take(&mut *self.waiting.lock());
        let whole = self.dead.drop_guard_ref();
        let written = self.write_all(&lines).await;
        if written.is_ok() {
            whole.disarm();
        }
        drop(turn);
        written
    }

    async fn write_all(&self, mut rest: &[u8]) -> io::Result<()> {
        if self.dead.is_cancelled() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        while !rest.is_empty() {
            // Most lines fit at once. What a wait needs is in a box: every session would hold room for it.
            let written = match self.stream.try_write(rest) {
                Some(written) => written?,
                None => Box::pin(self.write_within_stall(rest)).await?,
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[written..];
            if !rest.is_empty() {
                // A peer that reads as fast as this writes would keep everybody else waiting.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Waits for room.
    async fn write_within_stall(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut write = pin!(self.stream.write(bytes));
        for _ in 0..LOOKS {
            tokio::select! {
                biased;
                () = self.dead.cancelled() => return Err(io::ErrorKind::BrokenPipe.into()),
                written = &mut write => return written,
                () = tokio::time::sleep(self.stall / LOOKS) => {}
            }
            if bytes.len() + self.waiting.lock().len() > MOST_UNREAD_BYTES {
                break;
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Whether the peer itself has closed the connection, for certain: a pipe of Windows does not tell.
    pub(crate) fn is_peer_gone(&self) -> bool {
        cfg!(unix) && self.stream.hung_up()
    }

    /// Returns when the peer has closed both of its sides. A peer that has closed only its sending side still reads.
    ///
    /// The runtime tells readiness, and that side is ready for ever after the end of input; so this looks, now and then.
    pub(crate) async fn peer_gone(&self) {
        let mut tick = tokio::time::interval(LOOK_FOR_PEER);
        loop {
            tick.tick().await;
            if self.stream.hung_up() {
                return;
            }
        }
    }
}

/// Lets whoever is ready go first, once.
async fn behind_others() {
    let mut went = false;
    poll_fn(|context| {
        if std::mem::replace(&mut went, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use tokio::net::UnixStream;
    use tokio::task::JoinSet;

    use super::*;

    fn writer(kind: SocketType) -> (Arc<LineWriter>, UnixStream) {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (ours, peer) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
        let stream = Arc::new(std::os::unix::net::UnixStream::from(ours).try_into().unwrap());
        let writer = LineWriter::new(stream, Duration::from_secs(10), CancellationToken::new());
        (Arc::new(writer), UnixStream::from_std(peer.into()).unwrap())
    }

    #[tokio::test]
    async fn long_lines_of_many_tasks_arrive_whole_while_the_peer_is_slow() {
        let (writer, peer) = writer(SocketType::STREAM);
        let mut tasks = JoinSet::new();
        for n in 0..20_u8 {
            let writer = Arc::clone(&writer);
            let line = vec![b'a' + n; 100_000];
            tasks.spawn(async move { writer.write(line).await });
        }
        let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(peer));
        let mut seen = Vec::new();
        for _ in 0..20 {
            let line = lines.next_line().await.unwrap().unwrap();
            assert!(line.len() == 100_000 && line.bytes().all(|byte| byte == line.as_bytes()[0]));
            seen.push(line.as_bytes()[0]);
        }
        seen.sort_unstable();
        assert_eq!(seen, (b'a'..b'a' + 20).collect::<Vec<u8>>());
        assert!(tasks.join_all().await.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn lines_for_good_of_tasks_that_are_ready_together_share_one_write() {
        // Of this kind of socket each write is a message.
        let (writer, peer) = writer(SocketType::SEQPACKET);
        let tasks = (0..5).map(|n| {
            let writer = Arc::clone(&writer);
            async move { writer.write_for_good(format!("@sent {n}").into_bytes()).await }
        });
        assert!(tasks.collect::<JoinSet<_>>().join_all().await.iter().all(Result::is_ok));
        let mut room = [0; 256];
        peer.readable().await.unwrap();
        let read = peer.try_read(&mut room).unwrap();
        let mut lines: Vec<&[u8]> = room[..read].split_inclusive(|byte| *byte == b'\n').collect();
        lines.sort_unstable();
        assert_eq!(lines.concat(), b"@sent 0\n@sent 1\n@sent 2\n@sent 3\n@sent 4\n");
        assert_eq!(peer.try_read(&mut room).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_sooner_with_megabytes_unread() {
        for (bytes, patience) in [(1024 * 1024, 10_000), (MOST_UNREAD_BYTES + 1024 * 1024, 1_000)] {
            let (writer, _peer) = writer(SocketType::STREAM);
            let began = tokio::time::Instant::now();
            let refused = writer.write(vec![b'a'; bytes]).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
            // Timers tell milliseconds, and round up.
            let waited = began.elapsed().as_millis();
            assert!((patience..patience + 20).contains(&waited), "{bytes} bytes: {waited} ms");
            assert!(writer.dead.is_cancelled());
        }
    }

    #[tokio::test]
    async fn when_the_peer_is_gone_nobody_is_told_that_a_line_went_out() {
        let (writer, peer) = writer(SocketType::STREAM);
        drop(peer);
        let (one, two) = tokio::join!(writer.write(b"one".to_vec()), writer.write(b"two".to_vec()));
        assert!(one.is_err() && two.is_err());
        assert!(writer.dead.is_cancelled());
    }
}
