//! A client that writes what it likes: JSON lines on the socket, or bytes that are no such thing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use codex_oauth_proto::Nonce;
use codex_oauth_proto::hello::Role;
use codex_oauth_proto::launch;
use serde_json::{Value, json};

use crate::{Home, inbox, patience};

/// A connection to the daemon's socket, with a deadline on every read.
#[derive(Debug)]
pub struct Lines {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
    early: Vec<Value>,
}

impl Lines {
    /// Connects and says nothing.
    pub fn connect(home: &Home) -> Self {
        let stream = UnixStream::connect(home.endpoint().socket()).expect("a daemon listens");
        stream.set_read_timeout(Some(patience())).expect("a deadline");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        Self { stream, reader, early: Vec::new() }
    }

    /// Connects, says hello as `role`, and is welcomed.
    pub fn open(home: &Home, role: Role) -> Self {
        let mut lines = Self::connect(home);
        lines.send(&Self::hello(home, role));
        let opening = lines.receive().expect("an answer to the hello");
        assert!(opening.get("welcome").is_some(), "{opening}");
        lines
    }

    /// A hello as a real client would say it.
    pub fn hello(home: &Home, role: Role) -> Value {
        let nonce = Nonce::random().expect("randomness");
        json!({ "hello": launch::hello(&home.env(), role, nonce).expect("a home") })
    }

    /// Writes one message.
    pub fn send(&mut self, message: &Value) {
        self.send_bytes(format!("{message}\n").as_bytes());
    }

    /// Writes bytes as they are. A peer that has hung up is no failure here: what it said is still to be read.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _hung_up = self.stream.write_all(bytes);
    }

    /// Writes `line` again and again until the daemon takes no more for `patience`, at most `most` times. How often it was
    /// taken.
    pub fn send_until_full(&mut self, line: &[u8], patience: Duration, most: usize) -> usize {
        self.stream.set_write_timeout(Some(patience)).expect("a deadline");
        (0..most).take_while(|_| self.stream.write_all(line).is_ok()).count()
    }

    /// Closes the sending side only.
    pub fn finish(&self) {
        // The other side may be gone.
        let _gone = self.stream.shutdown(Shutdown::Write);
    }

    /// The next message; `None` at the end of the connection. Control lines, which begin with `@`, are passed over.
    pub fn receive(&mut self) -> Option<Value> {
        let mut line = self.receive_text()?;
        while line.starts_with('@') {
            line = self.receive_text()?;
        }
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// The next line as it is, with its newline; `None` at the end of the connection.
    pub fn receive_text(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line within the deadline: {error}"),
        }
    }

    /// The answer to request `id`. Other answers that come first are kept for when they are asked for; notifications are
    /// passed over.
    pub fn answer(&mut self, id: &Value) -> Value {
        let mut early = std::mem::take(&mut self.early);
        let answer = inbox::answer(&mut early, id, || self.receive());
        self.early = early;
        answer
    }
}
