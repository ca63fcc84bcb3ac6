//! Unix: descriptors that are inherited, so their file descriptions may be shared with other processes and keep their mode:
//! whoever set `O_NONBLOCK` here would set it for them too.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::Wrote;

/// What the client reads from.
pub type Sink<'fd> = BorrowedFd<'fd>;

/// A pipe that polls as writable takes this much without blocking (POSIX, `write`: `PIPE_BUF`; at least 512, 4096 on
/// Linux).
const PIECE_BYTES: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// Hands out this process's standard input and output.
pub fn with_stdio<T>(serve: impl FnOnce(BorrowedFd<'_>, Sink<'_>) -> io::Result<T>) -> io::Result<T> {
    // Not by way of `io::stdin` and `io::stdout`: each comes with a buffer that nobody would use.
    serve(rustix::stdio::stdin(), rustix::stdio::stdout())
}

/// Whether a person sits at the other end of standard input. Not by way of `io::stdin`, as below.
pub fn is_at_terminal() -> bool {
    rustix::stdio::stdin().is_terminal()
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Stdout<'fd> {
    fd: BorrowedFd<'fd>,
    way: Way,
}

/// How to write without waiting.
#[derive(Debug)]
enum Way {
    /// The system is told with each write.
    Socket,
    /// In pieces that a writable pipe takes.
    Pieces,
    /// A pipe that is opened once more as soon as a line has more than one piece.
    Pipe,
    /// That pipe, under a file description of our own, which may have a mode of its own: a line of 6 MB takes 8 ms
    /// instead of 13.
    Private(OwnedFd),
}

impl<'fd> Stdout<'fd> {
    /// Looks at what kind of file it is.
    pub(crate) fn new(fd: Sink<'fd>) -> io::Result<Self> {
        let way = match FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) {
            FileType::Socket => Way::Socket,
            FileType::Fifo if cfg!(target_os = "linux") => Way::Pipe,
            _ => Way::Pieces,
        };
        Ok(Self { fd, way })
    }

    /// Writes a first part of `bytes` without waiting; called after a poll that found the descriptor writable. A broken
    /// pipe is an error and no signal: Rust's runtime ignores `SIGPIPE`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Wrote> {
        if matches!(self.way, Way::Pipe) && bytes.len() > PIECE_BYTES {
            self.way = reopened(self.fd).map_or(Way::Pieces, Way::Private);
        }
        let written = match &self.way {
            Way::Socket => rustix::net::send(self.fd, bytes, SendFlags::DONTWAIT),
            Way::Private(pipe) => rustix::io::write(pipe, bytes),
            Way::Pieces | Way::Pipe => rustix::io::write(self.fd, &bytes[..bytes.len().min(PIECE_BYTES)]),
        };
        match written {
            Ok(written) => Ok(Wrote::Some(written)),
            Err(Errno::INTR | Errno::AGAIN) => Ok(Wrote::Nothing),
            Err(Errno::PIPE | Errno::CONNRESET) => Ok(Wrote::Broken),
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing is left to do: what was written is with the kernel.
    #[expect(clippy::unused_self, reason = "on Windows a thread may still be writing")]
    pub(crate) fn finish(&self, _: Duration) {}
}

impl AsFd for Stdout<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
    }
}

/// Standard error, for lines that may be lost.
#[derive(Debug)]
pub(crate) struct Stderr(Stdout<'static>);

impl Stderr {
    /// Looks at what kind of file it is.
    pub(crate) fn new() -> io::Result<Self> {
        Stdout::new(rustix::stdio::stderr()).map(Self)
    }

    /// Writes a line without waiting. False: it was not taken.
    pub(crate) fn offer(&mut self, line: &[u8]) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        let polled = poll(&mut fds, Some(&Timespec::default()));
        let takes = polled.is_ok() && fds[0].revents().contains(PollFlags::OUT);
        takes && self.0.write(line).is_ok_and(|wrote| matches!(wrote, Wrote::Some(_)))
    }
}

/// The same pipe under another file description. A system without `/proc`, or a pipe of another user's, has none.
fn reopened(fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// Reads standard input once, after a poll that found it readable. `Some(0)` is its end, `None` nothing for now.
pub(crate) fn read(stdin: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Option<usize>> {
    match rustix::io::read(stdin, bytes) {
        Ok(read) => Ok(Some(read)),
        Err(Errno::INTR | Errno::AGAIN) => Ok(None),
        // The other end of a socket pair closed with something of ours unread.
        Err(Errno::CONNRESET) => Ok(Some(0)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes as long as a poll allows it; how much that was.
    fn fill(stdout: &mut Stdout<'_>, bytes: &[u8]) -> usize {
        let mut total = 0;
        loop {
            let mut fds = [PollFd::new(stdout, PollFlags::OUT)];
            if poll(&mut fds, Some(&Timespec::default())).unwrap() == 0 {
                return total;
            }
            match stdout.write(bytes).unwrap() {
                Wrote::Some(written) => total += written,
                Wrote::Nothing => return total,
                Wrote::Broken => panic!("somebody reads"),
            }
        }
    }

    #[test]
    fn what_nobody_reads_fills_the_pipe_and_never_blocks() {
        let bytes = vec![b'x'; 100_000];
        for way in [Way::Pieces, Way::Pipe] {
            let (reader, writer) = io::pipe().unwrap();
            let mut stdout = Stdout { fd: writer.as_fd(), way };
            assert_eq!(fill(&mut stdout, &bytes), 65_536);
            drop(reader);
            assert_eq!(stdout.write(&bytes).unwrap(), Wrote::Broken);
            let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
            assert!(!flags.contains(OFlags::NONBLOCK), "the mode belongs to whoever opened it");
        }
    }

    #[test]
    fn what_nobody_reads_fills_the_socket_and_never_blocks() {
        let bytes = vec![b'x'; 100_000];
        let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut stdout = Stdout::new(writer.as_fd()).unwrap();
        assert!(fill(&mut stdout, &bytes) > 65_536);
        drop(reader);
        assert_eq!(stdout.write(&bytes).unwrap(), Wrote::Broken);
    }
}
