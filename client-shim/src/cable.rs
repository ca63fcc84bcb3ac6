//! The loop: one thread around `poll`, reading only what there is room for.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use codex_oauth_proto::MAX_LINE_BYTES;
use codex_oauth_proto::line::LineBuffer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::End;
use crate::connector::Connector;
use crate::link::LinkId;
use crate::relay::Relay;
use crate::stdio::{self, Stdout, Wrote};

/// One read. What a pipe holds by default.
const READ_BYTES: usize = 64 * 1024;

/// Bytes that may wait for the client before the daemon is read no further: one line of the greatest length.
const MAX_UNREAD_BYTES: usize = MAX_LINE_BYTES;

/// Bytes that may wait for the client before it is not read any further itself. More than the above, so that a client
/// that writes before it reads is not stopped by an answer alone.
const MAX_UNREAD_BYTES_TO_LISTEN: usize = 2 * MAX_LINE_BYTES;

/// A descriptor in one of these states has something to say even if it was not asked.
const OVER: PollFlags = PollFlags::HUP.union(PollFlags::ERR).union(PollFlags::NVAL);

/// The client on one side, the relay on the other.
#[derive(Debug)]
pub(crate) struct Cable<'fd, C> {
    stdin: BorrowedFd<'fd>,
    stdout: Stdout<'fd>,
    input: LineBuffer,
    relay: Relay<C>,
    last_answers: Duration,
    /// Nothing more can be read from the client.
    input_ended: bool,
    /// When to go, once the client has closed its side.
    deadline: Option<Instant>,
    bytes: Vec<u8>,
}

/// What a poll found.
struct Ready {
    stdout: PollFlags,
    stdin: PollFlags,
    links: Vec<(LinkId, PollFlags)>,
}

impl<'fd, C: Connector> Cable<'fd, C> {
    /// Between the client's descriptors and `relay`, which gets `last_answers` for its last answers.
    pub(crate) fn new(
        stdin: BorrowedFd<'fd>,
        stdout: BorrowedFd<'fd>,
        relay: Relay<C>,
        last_answers: Duration,
    ) -> io::Result<Self> {
        Ok(Self {
            stdin,
            stdout: Stdout::new(stdout)?,
            input: LineBuffer::new(MAX_LINE_BYTES),
            relay,
            last_answers,
            input_ended: false,
            deadline: None,
            bytes: vec![0; READ_BYTES],
        })
    }

    /// Until the client is gone.
    pub(crate) fn run(mut self) -> io::Result<End> {
        loop {
            if self.input_ended && self.relay.is_done() {
                return Ok(End::InputEnded);
            }
            let Some(ready) = self.wait()? else { return Ok(End::InputEnded) };
            if ready.stdout.intersects(OVER) {
                return Ok(End::OutputBroken);
            }
            if ready.stdout.contains(PollFlags::OUT) && self.write_output()? == Wrote::Broken {
                return Ok(End::OutputBroken);
            }
            for (link, _) in ready.links.iter().filter(|(_, found)| found.intersects(PollFlags::IN | OVER)) {
                if self.reads_links() {
                    self.relay.read_link(*link, &mut self.bytes);
                }
            }
            if ready.stdin.intersects(PollFlags::IN | OVER) {
                self.read_input(ready.stdin)?;
            }
            self.relay.flush_links();
        }
    }

    /// Waits for something to do; `None` when the time for last answers is over.
    fn wait(&self) -> io::Result<Option<Ready>> {
        let stdout = if self.relay.output.len() > 0 { PollFlags::OUT } else { PollFlags::empty() };
        // The standard output comes first, always: its end is the client's end.
        let mut fds = vec![PollFd::new(&self.stdout, stdout)];
        let reads_input = self.reads_input();
        // Unread input is only asked for its end, and that only until it was seen: it would be seen again at once.
        let asks_input = !self.input_ended && (reads_input || self.deadline.is_none());
        if asks_input {
            fds.push(PollFd::new(&self.stdin, if reads_input { PollFlags::IN } else { PollFlags::empty() }));
        }
        let first_link = fds.len();
        let mut ids = Vec::new();
        for link in self.relay.links() {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, self.reads_links());
            wanted.set(PollFlags::OUT, link.wants_write());
            if !wanted.is_empty() {
                ids.push(link.id);
                fds.push(PollFd::new(link, wanted));
            }
        }
        if !self.poll(&mut fds)? {
            return Ok(None);
        }
        Ok(Some(Ready {
            stdout: fds[0].revents(),
            stdin: if asks_input { fds[1].revents() } else { PollFlags::empty() },
            links: ids.into_iter().zip(fds[first_link..].iter().map(PollFd::revents)).collect(),
        }))
    }

    /// False when the deadline has passed.
    fn poll(&self, fds: &mut [PollFd<'_>]) -> io::Result<bool> {
        loop {
            let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            let timeout = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
            match poll(fds, timeout.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn reads_links(&self) -> bool {
        self.relay.output.len() <= MAX_UNREAD_BYTES
    }

    fn reads_input(&self) -> bool {
        self.relay.output.len() <= MAX_UNREAD_BYTES_TO_LISTEN && self.relay.daemon_keeps_up()
    }

    /// One write per poll: only the poll's word says that a pipe does not block.
    fn write_output(&mut self) -> io::Result<Wrote> {
        let wrote = self.stdout.write(self.relay.output.front())?;
        if let Wrote::Some(written) = wrote {
            self.relay.output.advance(written);
        }
        Ok(wrote)
    }

    fn read_input(&mut self, found: PollFlags) -> io::Result<()> {
        if found.intersects(OVER) && !self.reads_input() {
            self.begin_to_end();
            return Ok(());
        }
        match stdio::read(self.stdin, &mut self.bytes)? {
            None => {}
            Some(0) => {
                self.input_ended = true;
                self.begin_to_end();
                self.relay.client_ended(self.input.has_partial());
            }
            Some(read) => {
                self.input.push(&self.bytes[..read]);
                while let Some(line) = self.input.pop() {
                    self.relay.client_line(line);
                }
            }
        }
        Ok(())
    }

    fn begin_to_end(&mut self) {
        let _begun = self.deadline.get_or_insert_with(|| Instant::now() + self.last_answers);
    }
}
