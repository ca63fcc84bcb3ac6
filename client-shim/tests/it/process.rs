//! The real program.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use codex_oauth_proto::hello::{ClientOpening, Hello, Refusal, Role, ServerOpening, Welcome};
use codex_oauth_proto::{BUILD, ErrorCode, NextStep, Nonce, PROTOCOL, WireError};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{PATIENCE, Peer, checked};

/// How long a process without handlers may take to die of a signal, on a machine that does much else.
const SOON: Duration = Duration::from_secs(2);

/// The folders of one user, and the daemon's listener if there is one.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
    pub(crate) listener: Option<UnixListener>,
}

impl Home {
    pub(crate) fn without_daemon() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), listener: None }
    }

    pub(crate) fn with_daemon() -> Self {
        let mut home = Self::with_daemon_folder();
        home.listen();
        home
    }

    /// The folder in which a daemon would listen.
    pub(crate) fn with_daemon_folder() -> Self {
        let home = Self::without_daemon();
        let run = home.dir.path().join("run");
        std::fs::create_dir(&run).unwrap();
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
        home
    }

    /// Becomes the daemon; its folder is there.
    pub(crate) fn listen(&mut self) {
        self.listener = Some(UnixListener::bind(self.dir.path().join("run/daemon.sock")).unwrap());
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-oauth-mcp"));
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("CODEX_OAUTH_RUNTIME_DIR", self.dir.path().join("run"))
            .env("CODEX_OAUTH_STATE_DIR", self.dir.path().join("state"))
            .env("CODEX_OAUTH_NO_SPAWN", "1")
            .env("TZ", "Europe/Berlin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn shim(&self) -> Process {
        Process::new(self.command().spawn().unwrap())
    }

    /// Takes the next connection and reads its hello.
    pub(crate) fn accept(&self) -> (Hello, Peer) {
        let mut peer = Peer::new(self.listener.as_ref().unwrap().accept().unwrap().0);
        let Ok(ClientOpening::Hello(hello)) = serde_json::from_slice(&peer.line().unwrap()) else {
            panic!("no hello");
        };
        (hello, peer)
    }

    pub(crate) fn accept_and_welcome(&self) -> (Hello, Peer) {
        let (hello, mut peer) = self.accept();
        peer.say(&serde_json::to_string(&welcome(Vec::new())).unwrap());
        (hello, peer)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn welcome(warnings: Vec<String>) -> ServerOpening {
    ServerOpening::Welcome(Welcome {
        protocol: PROTOCOL.max,
        build: BUILD.to_owned(),
        pid: std::process::id(),
        nonce: Nonce::from("daemon"),
        warnings,
    })
}

pub(crate) struct Process {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn new(mut child: Child) -> Self {
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn next(&mut self) -> Value {
        let mut line = Vec::new();
        self.stdout.as_mut().unwrap().read_until(b'\n', &mut line).unwrap();
        checked(&line)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end, and returns what it said besides.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let (done, ended) = channel();
        let mut stderr = self.child.stderr.take().unwrap();
        let pid = Pid::from_child(&self.child);
        // Waiting must not close its input: that would end it.
        let stdin = self.child.stdin.take();
        std::thread::spawn(move || {
            let status = self.child.wait().unwrap();
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            let _given_up = done.send((status, said));
        });
        let found = ended.recv_timeout(PATIENCE);
        drop(stdin);
        found.unwrap_or_else(|_| {
            kill_process(pid, Signal::KILL).unwrap();
            panic!("the shim goes on");
        })
    }

    pub(crate) fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    fn close_output(&mut self) {
        drop(self.stdout.take());
    }
}

#[test]
fn the_hello_says_who_calls_and_the_answer_comes_back() {
    let home = Home::with_daemon();
    let mut shim = home.shim();
    shim.say(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    let (hello, mut daemon) = home.accept_and_welcome();
    assert_eq!((hello.role, hello.protocol, hello.next), (Role::Mcp, PROTOCOL, 1));
    assert_eq!(hello.pid, shim.child.id());
    assert_eq!(hello.env.into_keys().collect::<Vec<_>>(), ["TZ"]);
    daemon.next_request(1, "tools/call");
    daemon.result(1, &json!("answer"));
    assert_eq!(shim.next()["result"], "answer");
    shim.close_input();
    let (status, said) = shim.ended();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_handshake_does_not_wait_for_the_welcome_and_a_call_does() {
    let home = Home::with_daemon();
    let mut shim = home.shim();
    shim.say(r#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#);
    let (_hello, mut daemon) = home.accept();
    daemon.next_request(0, "initialize");
    daemon.say(&serde_json::to_string(&welcome(Vec::new())).unwrap());
    daemon.result(0, &json!("once"));
    assert_eq!(shim.next()["result"], "once");
    drop(shim);

    let mut shim = home.shim();
    shim.say(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    // The refused one leaves nothing behind that could have been carried out.
    let (_hello, mut daemon) = home.accept();
    let error = WireError::daemon(ErrorCode::Internal, codex_oauth_proto::Retry::Never, "not today");
    let refusal = ServerOpening::Refusal(Refusal { protocol: PROTOCOL, error });
    daemon.say(&serde_json::to_string(&refusal).unwrap());
    assert_eq!(shim.next()["result"]["isError"], true);
    shim.close_input();
    assert_eq!(daemon.line(), None);
    assert_eq!(shim.ended().0.code(), Some(0));
}

#[test]
fn a_second_connection_has_the_nonce_of_the_first() {
    let home = Home::with_daemon();
    let mut shim = home.shim();
    shim.say(r#"{"jsonrpc":"2.0","id":"l","method":"tools/list"}"#);
    let (first, mut daemon) = home.accept_and_welcome();
    daemon.next();
    drop(daemon);
    let (second, mut daemon) = home.accept_and_welcome();
    assert_eq!((first.nonce, second.resume.len()), (second.nonce, 1));
    daemon.next_request("l", "tools/list");
    daemon.result("l", &json!({ "tools": [] }));
    shim.next();
    shim.close_input();
    assert!(shim.ended().0.success());
}

#[test]
fn a_welcome_and_the_first_lines_may_come_in_one_piece() {
    let home = Home::with_daemon();
    let mut shim = home.shim();
    shim.say(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let (_, mut daemon) = home.accept();
    let welcome = serde_json::to_string(&welcome(vec!["the daemon uses no proxy".to_owned()])).unwrap();
    daemon.say(&format!("{welcome}\n{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{}}}}"));
    assert_eq!(shim.next()["id"], 1);
    shim.close_input();
    let (status, said) = shim.ended();
    assert!(status.success());
    assert_eq!(said, "codex-oauth-mcp: the daemon uses no proxy\n");
}

#[test]
fn a_refusal_of_the_daemon_is_the_reason_that_each_call_gets() {
    let home = Home::with_daemon();
    let mut shim = home.shim();
    for id in 1..3 {
        shim.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call"}}"#));
        let (_, mut daemon) = home.accept();
        let error = WireError::caller(ErrorCode::UnsupportedVersion, "could not talk: too old")
            .next(NextStep::Upgrade);
        let refusal = ServerOpening::Refusal(Refusal { protocol: PROTOCOL, error });
        daemon.say(&serde_json::to_string(&refusal).unwrap());
        let answer = shim.next();
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("could not talk: too old\nnext: "), "{text}");
    }
    shim.close_input();
    assert!(shim.ended().0.success());
}

#[test]
fn without_a_daemon_the_session_lives_and_leaves_no_trace() {
    let home = Home::without_daemon();
    let mut shim = home.shim();
    shim.say(r#"{"jsonrpc":"2.0","id":"server-discover-probe-1","method":"server/discover"}"#);
    assert_eq!(shim.next()["error"]["code"], -32601);
    shim.say(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#);
    assert_eq!(shim.next()["result"]["protocolVersion"], "2025-11-25");
    shim.say(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    let answer = shim.next();
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("CODEX_OAUTH_NO_SPAWN"));
    assert_eq!(home.names(), [""; 0]);
    shim.close_input();
    assert!(shim.ended().0.success());
}

#[test]
fn nothing_happened_when_it_is_ended_before_its_first_request() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::with_daemon();
        let mut shim = home.shim();
        // Its answer shows that it serves.
        shim.say("junk");
        assert_eq!(shim.next()["error"]["code"], -32700);
        shim.signal(signal);
        assert_eq!(shim.ended().0.signal(), Some(signal.as_raw()));
        let listener = home.listener.as_ref().unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        assert_eq!(home.names(), ["run"]);
    }
}

#[test]
fn it_ends_in_mid_call_when_its_input_ends() {
    let home = Home::with_daemon();
    let mut shim = home.shim();
    shim.say(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    let (_, mut daemon) = home.accept_and_welcome();
    daemon.next_request(1, "tools/call");
    shim.close_input();
    // The daemon never answers.
    assert_eq!(shim.ended().0.code(), Some(0));
    daemon.expect_end();
}

#[test]
fn a_signal_ends_it_in_mid_call_at_once_also_with_its_input_open() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = Home::with_daemon();
        let mut shim = home.shim();
        shim.say(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
        let (_, mut daemon) = home.accept_and_welcome();
        daemon.next_request(1, "tools/call");
        let signalled = Instant::now();
        shim.signal(signal);
        assert_eq!(shim.ended().0.signal(), Some(signal.as_raw()), "it has no handler");
        // Clients send the next signal after 0.1 s at the earliest; the rest is what a busy machine may add.
        let took = signalled.elapsed();
        assert!(took < SOON, "{signal:?} took {took:?}");
        daemon.expect_end();
    }
}

#[test]
fn it_ends_in_mid_call_when_nobody_reads_its_output() {
    let home = Home::with_daemon();
    let mut shim = home.shim();
    shim.say(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    let (_, mut daemon) = home.accept_and_welcome();
    daemon.next_request(1, "tools/call");
    shim.close_output();
    assert_eq!(shim.ended().0.code(), Some(0));
    daemon.expect_end();
}

#[test]
fn it_ends_with_a_client_that_is_gone_while_its_input_is_not_read() {
    let home = Home::with_daemon();
    let mut shim = home.shim();
    let mut stdin = shim.child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        // More than pipe, shim and socket hold: the shim stops reading, and never sees the end of its input.
        let long = "q".repeat(7 * 1024 * 1024);
        let line =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":\"{long}\"}}\n");
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(&line.as_bytes()[..32 * 1024]).unwrap();
    });
    let (_, mut daemon) = home.accept_and_welcome();
    daemon.read_bytes(1);
    writing.join().unwrap();
    assert_eq!(shim.ended().0.code(), Some(0));
}

#[test]
fn a_long_answer_passes_a_pipe_whose_mode_stays_as_it_was() {
    let home = Home::with_daemon();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = home.command().stdout(writer.try_clone().unwrap()).spawn().unwrap();
    writeln!(child.stdin.as_mut().unwrap(), r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call"}}"#).unwrap();
    let (_, mut daemon) = home.accept_and_welcome();
    daemon.next_request(1, "tools/call");
    let long = "a".repeat(6 * 1024 * 1024);
    daemon.result(1, &json!(long));
    let mut line = Vec::new();
    BufReader::new(reader).read_until(b'\n', &mut line).unwrap();
    assert_eq!(checked(&line)["result"], long);
    assert!(!rustix::fs::fcntl_getfl(&writer).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    let mut shim = Process::new(child);
    shim.close_input();
    assert!(shim.ended().0.success());
}

#[test]
fn people_are_told_what_it_is() {
    let home = Home::without_daemon();
    for (arguments, code) in
        [(&["--version"][..], 0), (&["--help"], 0), (&["login"], 2), (&["--version", "x"], 2)]
    {
        let output = home.command().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let (said, silent) =
            if code == 0 { (output.stdout, output.stderr) } else { (output.stderr, output.stdout) };
        assert!(String::from_utf8(said).unwrap().starts_with("codex-oauth-mcp"), "{arguments:?}");
        assert!(silent.is_empty(), "{arguments:?}");
    }
}
