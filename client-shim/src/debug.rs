//! Debug lines on standard error, for a client that asked for them (`CODEX_DEBUG=1`). The daemon's come over the socket; what
//! only the shim knows is its own.
//!
//! Promises: nobody waits for standard error: a line that it does not take at once is dropped and counted. Nothing is made
//! while nobody asked.

use std::fmt::Display;
use std::time::Instant;

use codex_oauth_proto::WireError;
use codex_oauth_proto::connect::Session;

use crate::stdio::Stderr;

/// A pipe that has room takes this much whole (POSIX, `PIPE_BUF`: at least 512). The daemon's lines are shorter.
const LINE_BYTES: usize = 512;

/// Standard error, once it is known that somebody wants the lines.
#[derive(Debug, Default)]
pub(crate) struct DebugLines {
    stderr: Option<Stderr>,
    /// Lines that were dropped, and that nobody was told of yet.
    lost: u64,
}

impl DebugLines {
    /// From here on lines are written.
    #[cold]
    pub(crate) fn begin(&mut self) {
        // Without a standard error there is nobody to write for.
        self.stderr = self.stderr.take().or_else(|| Stderr::new().ok());
    }

    /// Whether anybody wants the lines.
    pub(crate) const fn are_wanted(&self) -> bool {
        self.stderr.is_some()
    }

    /// A line of the daemon's.
    #[cold]
    pub(crate) fn pass_on(&mut self, line: &[u8]) {
        let Some(stderr) = &mut self.stderr else { return };
        if self.lost > 0 && stderr.offer(format!("[IPC] {} debug lines were lost\n", self.lost).as_bytes()) {
            self.lost = 0;
        }
        let mut whole = line[..line.len().min(LINE_BYTES - 1)].to_vec();
        whole.push(b'\n');
        if self.lost > 0 || !stderr.offer(&whole) {
            self.lost += 1;
        }
    }

    /// A line of the shim's own.
    pub(crate) fn say(&mut self, text: impl Display) {
        if self.are_wanted() {
            self.pass_on(format!("[IPC] {text}").as_bytes());
        }
    }

    /// How the search for a daemon ended.
    #[cold]
    pub(crate) fn opened(&mut self, opened: &Result<Session, WireError>, resumed: usize, began: Instant) {
        let took = began.elapsed().as_millis();
        match opened {
            Ok(Session { welcome, started, .. }) => {
                let how = if *started { "Started daemon" } else { "Connected to daemon" };
                self.say(format_args!("{how} {}, process {}, after {took} ms", welcome.build, welcome.pid));
                if resumed > 0 {
                    self.say(format_args!("{resumed} unanswered requests are sent again"));
                }
            }
            Err(error) => self.say(format_args!("No daemon after {took} ms: {}", error.message)),
        }
    }
}
