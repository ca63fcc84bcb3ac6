//! A scripted daemon on a real socket, and the command line run as a process of its own.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use codex_oauth_proto::api::Method;
use codex_oauth_proto::hello::{ClientOpening, Hello, Refusal, ServerOpening, Welcome};
use codex_oauth_proto::jsonrpc::{Request, Response};
use codex_oauth_proto::{BUILD, Nonce, PROTOCOL, ProtocolVersion, WireError};
use serde_json::{Value, json};
use tempfile::TempDir;

/// No test needs a tenth of it; reached, the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A private folder for one test: socket, state, login.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let ours_alone = Permissions::from_mode(0o700);
        Self(tempfile::Builder::new().permissions(ours_alone).tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A daemon for as many connections as there are scripts, one after the other.
    pub(crate) fn daemon(&self, scripts: Vec<Script>) -> Daemon {
        self.daemon_that_opens(&welcome(&[]), scripts)
    }

    /// The same with another first line than a plain welcome.
    pub(crate) fn daemon_that_opens(&self, opening: &ServerOpening, scripts: Vec<Script>) -> Daemon {
        let opening = opening.clone();
        let listener = UnixListener::bind(self.path().join("daemon.sock")).unwrap();
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            for script in scripts {
                let (stream, _) = listener.accept().unwrap();
                script(Session::open(stream, &opening));
            }
            done.send(()).unwrap();
        });
        Daemon { ended }
    }

    /// A daemon that ends behind its welcome, and the one after it.
    pub(crate) fn daemon_that_leaves(&self, next: Script) -> Daemon {
        let listener = UnixListener::bind(self.path().join("daemon.sock")).unwrap();
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(&stream).read_line(&mut String::new()).unwrap();
            // Before the welcome, so that what the client sends then cannot leave it.
            stream.shutdown(Shutdown::Read).unwrap();
            stream.write_all(format!("{}\n", json!(welcome(&[]))).as_bytes()).unwrap();
            let (stream, _) = listener.accept().unwrap();
            next(Session::open(stream, &welcome(&[])));
            done.send(()).unwrap();
        });
        Daemon { ended }
    }

    /// The command line, in surroundings that hold nothing but this place. It may not start a daemon.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-oauth"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("CODEX_OAUTH_RUNTIME_DIR", self.path())
            .env("CODEX_OAUTH_STATE_DIR", self.path().join("state"))
            .env("CODEX_OAUTH_AUTH_FILE", self.path().join("auth.json"))
            .env("CODEX_OAUTH_NO_SPAWN", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Running::start(&mut self.command(args)).finish()
    }
}

/// A welcome with these warnings.
pub(crate) fn welcome(warnings: &[&str]) -> ServerOpening {
    ServerOpening::Welcome(Welcome {
        protocol: ProtocolVersion(1),
        build: BUILD.to_owned(),
        pid: 4711,
        nonce: Nonce::from("run"),
        warnings: warnings.iter().map(ToString::to_string).collect(),
    })
}

/// A refusal with this reason.
pub(crate) fn refusal(error: WireError) -> ServerOpening {
    ServerOpening::Refusal(Refusal { protocol: PROTOCOL, error })
}

/// What the daemon does with one connection.
pub(crate) type Script = Box<dyn FnOnce(Session) + Send>;

/// Boxes a script.
pub(crate) fn script(script: impl FnOnce(Session) + Send + 'static) -> Script {
    Box::new(script)
}

/// One connection that answers `replies` in order, each to its method, and checks nothing else comes.
pub(crate) fn replies(replies: Vec<(&'static str, Value)>) -> Vec<Script> {
    vec![script(move |mut session| {
        for (method, result) in replies {
            let request = session.request(method);
            session.reply(&request, result);
        }
        assert_eq!(session.next(), None);
    })]
}

/// The scripted daemon's thread.
pub(crate) struct Daemon {
    ended: Receiver<()>,
}

impl Daemon {
    /// Checks that every script ran to its end.
    pub(crate) fn done(self) {
        self.ended.recv_timeout(PATIENCE).expect("the daemon's script did not come to its end");
    }
}

/// The daemon's side of a connection.
pub(crate) struct Session {
    pub(crate) hello: Hello,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Session {
    fn open(stream: UnixStream, opening: &ServerOpening) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Ok(ClientOpening::Hello(hello)) = serde_json::from_str(&line) else { panic!("no hello: {line}") };
        let mut session = Self { hello, reader, writer: stream };
        session.write(&json!(opening));
        session
    }

    /// The next request; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Request> {
        let mut line = String::new();
        // A client that ends with unread lines before it resets the connection.
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next request, which must be this one.
    pub(crate) fn request(&mut self, method: &str) -> Request {
        let request = self.next().unwrap_or_else(|| panic!("{method} was expected, and the end came"));
        assert_eq!(request.method, method);
        request
    }

    pub(crate) fn reply(&mut self, request: &Request, result: Value) {
        self.write(&json!(Response::ok(request.id.clone().unwrap(), result)));
    }

    pub(crate) fn fail(&mut self, request: &Request, error: &WireError) {
        self.write(&json!(Response::err(request.id.clone().unwrap(), error)));
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!(Request::notification(method, params)));
    }

    /// Answers `turn/start` with the turn `t` and gives its parameters.
    pub(crate) fn turn(&mut self) -> Value {
        let request = self.request(codex_oauth_proto::api::turn::Start::NAME);
        self.reply(&request, json!({ "turnId": "t" }));
        request.params
    }

    pub(crate) fn delta(&mut self, text: &str) {
        self.notify("item/agentMessage/delta", json!({ "turnId": "t", "delta": text }));
    }

    /// A control line.
    pub(crate) fn control(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The turn's end with these fields changed.
    pub(crate) fn complete(&mut self, fields: &Value) {
        self.notify("turn/completed", completed(fields));
    }

    fn write(&mut self, message: &Value) {
        // The client may be gone: what it got before is what the test checks.
        let _sent = self.writer.write_all(format!("{message}\n").as_bytes());
    }
}

/// A successful `turn/completed` with these fields changed.
pub(crate) fn completed(fields: &Value) -> Value {
    let mut whole = json!({
        "turnId": "t", "status": "completed", "answer": null, "error": null, "model": "gpt-6.1-sol", "effort": "low",
        "usage": null, "durationMs": 1200, "summary": "gpt-6.1-sol · low · 1 s",
    });
    for (name, value) in fields.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole
}

/// What a process left behind.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", self.stderr))
    }

    /// Its one JSON object.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one line: {}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A process that still runs.
pub(crate) struct Running(Child);

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Reads exactly this from its standard output, waiting for it.
    pub(crate) fn expect_out(&mut self, text: &str) {
        let mut bytes = vec![0_u8; text.len()];
        self.0.stdout.as_mut().unwrap().read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }

    /// Its next line on standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        // Byte by byte: nothing that belongs to the next reader is taken.
        let mut byte = [0];
        while self.0.stdout.as_mut().unwrap().read(&mut byte).unwrap() > 0 {
            match byte[0] {
                b'\n' => return String::from_utf8(line).unwrap(),
                byte => line.push(byte),
            }
        }
        panic!("its output ended in {:?}", String::from_utf8_lossy(&line));
    }

    /// Writes one line of its standard input.
    pub(crate) fn say(&mut self, message: &Value) {
        self.0.stdin.as_mut().unwrap().write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    /// Writes its standard input and closes it.
    pub(crate) fn feed(&mut self, text: &[u8]) {
        // It may stop reading in the middle: that is what some tests are about.
        let _fed = self.0.stdin.take().unwrap().write_all(text);
    }

    /// Whether it has not ended.
    pub(crate) fn still_runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// As a terminal that is closed does.
    pub(crate) fn hang_up(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Ran {
        let pid = rustix::process::Pid::from_child(&self.0);
        let (done, ended) = mpsc::channel();
        thread::spawn(move || done.send(self.0.wait_with_output()));
        if let Ok(output) = ended.recv_timeout(PATIENCE) {
            output.unwrap().into()
        } else {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            panic!("the command did not end");
        }
    }
}
