//! Both neighbours of the shim, and the shim on a thread between them. Nobody waits longer than [`PATIENCE`].

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use codex_oauth_mcp::{Connector, End, Limits, Opening, run};
use codex_oauth_proto::connect::Session;
use codex_oauth_proto::hello::Welcome;
use codex_oauth_proto::line::LineBuffer;
use codex_oauth_proto::{
    BUILD, ErrorCode, MAX_LINE_BYTES, NextStep, Nonce, PROTOCOL, ProtocolVersion, Retry, WireError,
};
use serde_json::{Value, json};

/// Everything here happens at once; this is for a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Only a test that is about the end is about its time.
pub(crate) const LIMITS: Limits =
    Limits { last_answers: PATIENCE, slow_refusal: PATIENCE, refusal_holds: Duration::ZERO };

pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The shim, running.
pub(crate) struct Shim {
    pub(crate) client: Peer,
    opened: Receiver<(Opening, Peer)>,
    plans: Sender<Plan>,
    lost: Receiver<()>,
    thread: JoinHandle<std::io::Result<End>>,
}

impl Shim {
    pub(crate) fn start() -> Self {
        Self::start_with(LIMITS)
    }

    pub(crate) fn start_with(limits: Limits) -> Self {
        let (client, stdio) = UnixStream::pair().unwrap();
        let (opened, openings) = channel();
        let (plans, planned) = channel();
        let (lost, losses) = channel();
        let connector = Scripted { opened, planned, lost };
        let thread = std::thread::spawn(move || {
            run(stdio.as_fd(), stdio.as_fd(), Nonce::from("test"), connector, limits)
        });
        Self { client: Peer::new(client), opened: openings, plans, lost: losses, thread }
    }

    /// The daemon's end of the next connection, and what the shim said to open it.
    pub(crate) fn accept(&self) -> (Opening, Peer) {
        self.opened.recv_timeout(PATIENCE).expect("the shim opens a connection")
    }

    /// Whether the shim has opened a connection that the test did not accept.
    pub(crate) fn has_opened(&self) -> bool {
        self.opened.try_recv().is_ok()
    }

    /// Has the next attempt to connect fail.
    pub(crate) fn refuse_next(&self) {
        self.plans.send(Plan::Refuse).unwrap();
    }

    /// Has the daemon of the next connection hand over right behind its welcome.
    pub(crate) fn move_next(&self) {
        self.plans.send(Plan::Move).unwrap();
    }

    /// Has the daemon of the next connection speak another version.
    pub(crate) fn speak(&self, version: ProtocolVersion) {
        self.plans.send(Plan::Speak(version)).unwrap();
    }

    /// Waits until the shim has noticed the end of a connection.
    pub(crate) fn wait_for_loss(&self) {
        self.lost.recv_timeout(PATIENCE).expect("the shim notices the end of the connection");
    }

    /// Closes the client's side, and returns how the shim ended and what it still said.
    pub(crate) fn end(mut self) -> (End, Vec<Value>) {
        self.client.finish();
        let mut rest = Vec::new();
        // The stream ends when the shim's thread drops its end of it.
        while let Some(line) = self.client.line() {
            rest.push(checked(&line));
        }
        (self.thread.join().unwrap().unwrap(), rest)
    }

    /// Closes the client's side; nothing more may have been said.
    pub(crate) fn end_in_silence(self) {
        assert_eq!(self.end(), (End::InputEnded, Vec::new()));
    }

    /// How the shim ends when the client is gone altogether.
    pub(crate) fn drop_client(self) -> End {
        drop(self.client);
        self.thread.join().unwrap().unwrap()
    }
}

/// What the next attempt to connect meets, instead of a daemon that works.
enum Plan {
    Refuse,
    Move,
    Speak(ProtocolVersion),
}

fn refusal() -> WireError {
    WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, "could not start the daemon: a test says so")
        .next(NextStep::RunDaemon)
}

struct Scripted {
    opened: Sender<(Opening, Peer)>,
    planned: Receiver<Plan>,
    lost: Sender<()>,
}

impl Connector for Scripted {
    fn open(&mut self, opening: &Opening) -> Result<Session, WireError> {
        let mut buffer = LineBuffer::new(MAX_LINE_BYTES);
        let mut protocol = PROTOCOL.max;
        match self.planned.try_recv() {
            Ok(Plan::Refuse) => return Err(refusal()),
            Ok(Plan::Move) => buffer.push(b"@moved\n"),
            Ok(Plan::Speak(version)) => protocol = version,
            Err(_) => {}
        }
        let (mut stream, daemon) = UnixStream::pair().unwrap();
        if let Some(first) = &opening.first {
            stream.write_all(&[first, &b"\n"[..]].concat()).unwrap();
        }
        let welcome = Welcome {
            protocol,
            build: BUILD.to_owned(),
            pid: 1,
            nonce: Nonce::from("daemon"),
            warnings: Vec::new(),
        };
        // A test that has ended expects no further connection.
        let _ended = self.opened.send((opening.clone(), Peer::new(daemon)));
        Ok(Session { stream, buffer, welcome, started: false })
    }

    fn lost(&mut self) {
        let _ended = self.lost.send(());
    }
}

/// One end of a conversation in lines.
pub(crate) struct Peer {
    pub(crate) writer: UnixStream,
    pub(crate) reader: BufReader<UnixStream>,
}

impl Peer {
    pub(crate) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { writer: stream.try_clone().unwrap(), reader: BufReader::new(stream) }
    }

    /// Sends a line as it is.
    pub(crate) fn say(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.say(&message.to_string());
    }

    pub(crate) fn request(&mut self, id: impl Into<Value>, method: &str) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id.into(), "method": method }));
    }

    /// A call that the stateless era makes.
    pub(crate) fn modern_request(&mut self, id: impl Into<Value>, method: &str) {
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
        self.send(
            &json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": { "_meta": meta } }),
        );
    }

    pub(crate) fn result(&mut self, id: impl Into<Value>, result: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id.into(), "result": result }));
    }

    /// The next line, without its newline; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(_) => {}
            // A peer that went with something unread.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("no line in time: {error}"),
        }
        if line.is_empty() {
            return None;
        }
        assert_eq!(line.pop(), Some(b'\n'), "whole lines only");
        Some(line)
    }

    /// The next message; it must be one of JSON-RPC.
    pub(crate) fn next(&mut self) -> Value {
        checked(&self.line().expect("another message"))
    }

    /// The next message is this response's result.
    pub(crate) fn next_result(&mut self, id: impl Into<Value>) -> Value {
        let mut message = self.next();
        assert_eq!(message["id"], id.into(), "{message}");
        assert!(message.get("result").is_some(), "{message}");
        message["result"].take()
    }

    /// The next message is this request.
    pub(crate) fn next_request(&mut self, id: impl Into<Value>, method: &str) {
        let message = self.next();
        assert_eq!((&message["id"], &message["method"]), (&id.into(), &method.into()));
    }

    /// The next message is an error; its code, and the code of what it carries.
    pub(crate) fn next_error(&mut self, id: impl Into<Value>) -> (i64, Value) {
        let message = self.next();
        assert_eq!(message["id"], id.into(), "{message}");
        (message["error"]["code"].as_i64().unwrap(), message["error"]["data"]["code"].clone())
    }

    /// Nothing comes any more, because the other side has ended.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.line().map(|line| String::from_utf8(line).unwrap()), None);
    }

    /// Says no more.
    pub(crate) fn finish(&mut self) {
        self.writer.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Reads so many bytes, whatever they are.
    pub(crate) fn read_bytes(&mut self, count: usize) {
        self.reader.read_exact(&mut vec![0; count]).unwrap();
    }
}

/// A line as a message of JSON-RPC 2.0.
pub(crate) fn checked(line: &[u8]) -> Value {
    let message: Value = serde_json::from_slice(line).expect("a line of JSON");
    assert_eq!(message["jsonrpc"], "2.0", "{message}");
    let kinds = ["method", "result", "error"].iter().filter(|kind| message.get(**kind).is_some()).count();
    assert_eq!(kinds, 1, "{message}");
    assert!(message.get("method").is_some() || message.get("id").is_some(), "{message}");
    message
}
