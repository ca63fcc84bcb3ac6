//! The loop: one wait for everything, reading only what there is room for.

use std::io;
use std::time::{Duration, Instant};

use codex_oauth_proto::MAX_LINE_BYTES;
use codex_oauth_proto::line::LineBuffer;
use codex_oauth_proto::local::Source;

use crate::End;
use crate::connector::Connector;
use crate::poll::{Found, LinkWanted, Wanted, poll};
use crate::relay::Relay;
use crate::stdio::{self, Sink, Stdout, Wrote};

/// One read. What a pipe holds by default.
const READ_BYTES: usize = 64 * 1024;

/// Bytes that may wait for the client before the daemon is read no further: one line of the greatest length.
const MAX_UNREAD_BYTES: usize = MAX_LINE_BYTES;

/// Bytes that may wait for the client before it is not read any further itself. More than the above, so that a client
/// that writes before it reads is not stopped by an answer alone.
const MAX_UNREAD_BYTES_TO_LISTEN: usize = 2 * MAX_LINE_BYTES;

/// The client on one side, the relay on the other.
#[derive(Debug)]
pub(crate) struct Cable<'fd, C> {
    stdin: Source<'fd>,
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

impl<'fd, C: Connector> Cable<'fd, C> {
    /// Between the client's descriptors and `relay`, which gets `last_answers` for its last answers.
    pub(crate) fn new(
        stdin: Source<'fd>,
        stdout: Sink<'fd>,
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
        let end = self.carry()?;
        if end == End::InputEnded {
            self.stdout.finish(self.last_answers);
        }
        Ok(end)
    }

    fn carry(&mut self) -> io::Result<End> {
        loop {
            if self.input_ended && self.relay.is_done() {
                return Ok(End::InputEnded);
            }
            let Some(ready) = poll(&self.wanted())? else { return Ok(End::InputEnded) };
            if ready.stdout.over {
                return Ok(End::OutputBroken);
            }
            if ready.stdout.ready && self.write_output()? == Wrote::Broken {
                return Ok(End::OutputBroken);
            }
            for link in &ready.links {
                if self.reads_links() {
                    self.relay.read_link(*link, &mut self.bytes);
                }
            }
            if ready.stdin.ready {
                self.read_input(ready.stdin)?;
            }
            self.relay.flush_links();
        }
    }

    /// What there is to do, and how long.
    fn wanted(&self) -> Wanted<'_> {
        let reads = self.reads_input();
        // Unread input is only asked for its end, and that only until it was seen: it would be seen again at once.
        let asks_input = !self.input_ended && (reads || self.deadline.is_none());
        let reads_links = self.reads_links();
        let link = |link| LinkWanted { link, reads: reads_links, writes: link.wants_write() };
        Wanted {
            stdout: &self.stdout,
            writes: self.relay.output.len() > 0,
            stdin: asks_input.then_some(self.stdin),
            reads,
            links: self.relay.links().iter().map(link).filter(|link| link.reads || link.writes).collect(),
            deadline: self.deadline,
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

    fn read_input(&mut self, found: Found) -> io::Result<()> {
        if found.over && !self.reads_input() {
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
