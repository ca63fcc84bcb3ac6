//! One connection to the daemon: a socket that never blocks, and what waits on both of its sides.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

use codex_oauth_proto::connect::Session;
use codex_oauth_proto::line::{Line, LineBuffer};
use codex_oauth_proto::local::Stream;
use codex_oauth_proto::version::ANNOUNCES_SENT;

use crate::outbox::Outbox;

/// Names a connection of this process; never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkId(u64);

impl LinkId {
    /// The one after this.
    pub(crate) fn following(self) -> Self {
        Self(self.0 + 1)
    }

    /// Its number, for names.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) outbox: Outbox,
    /// Whether the daemon says which requests it sends upstream.
    pub(crate) announces: bool,
    /// The connection is over, and everything that came over it is in.
    pub(crate) ended: bool,
    stream: Stream,
    input: LineBuffer,
    writing: Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// The daemon reads no more. What it wrote before is still to be read, and then its end is seen.
    Broken,
    /// We said that no more will come.
    Finished,
}

impl Link {
    /// Takes over a welcomed session.
    pub(crate) fn new(id: LinkId, session: Session) -> io::Result<Self> {
        let Session { stream, buffer, welcome, .. } = session;
        stream.set_nonblocking(true)?;
        Ok(Self {
            id,
            outbox: Outbox::default(),
            announces: welcome.protocol >= ANNOUNCES_SENT,
            ended: false,
            stream,
            input: buffer,
            writing: Writing::Open,
        })
    }

    /// The socket, to wait for.
    pub(crate) const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The next whole line from the daemon.
    pub(crate) fn pop(&mut self) -> Option<Line> {
        self.input.pop()
    }

    /// Reads once. The caller pops every line before the next call.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        match self.stream.read(bytes) {
            Ok(0) => self.ended = true,
            Ok(read) => self.input.push(&bytes[..read]),
            Err(error) if would_block(&error) => {}
            // A reset says no more than the end does: the peer is gone. It comes behind everything that was written.
            Err(_) => self.ended = true,
        }
    }

    /// Whether there is something to write, and somebody to read it.
    pub(crate) fn wants_write(&self) -> bool {
        self.writing == Writing::Open && self.outbox.len() > 0
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) {
        while self.wants_write() {
            match self.stream.write_vectored(&self.outbox.front()) {
                Ok(written) => self.outbox.advance(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => return,
                Err(_) => self.writing = Writing::Broken,
            }
        }
    }

    /// Tells the daemon, once everything is written, that the client will say no more.
    pub(crate) fn finish(&mut self) {
        if self.writing == Writing::Open && self.outbox.len() == 0 {
            self.writing = match self.stream.shutdown(Shutdown::Write) {
                Ok(()) => Writing::Finished,
                Err(_) => Writing::Broken,
            };
        }
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
