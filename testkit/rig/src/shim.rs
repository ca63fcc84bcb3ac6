//! A real shim process, spoken to in raw lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use serde_json::{Value, json};

use crate::{Home, binary, inbox, patience};

/// A shim with pipes for its standard input and output.
#[derive(Debug)]
pub struct Shim {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    early: Vec<Value>,
}

impl Shim {
    /// Spawns one in this home.
    pub fn spawn(home: &Home) -> Self {
        Self::of(home, &binary("codex-oauth-mcp"), &[])
    }

    /// Spawns this one in this home, with further variables.
    pub fn of(home: &Home, program: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = home.command(program);
        command.envs(variables.iter().copied());
        Self::start(command)
    }

    /// Starts one by a command of the caller's own.
    pub fn start(command: Command) -> Self {
        Self::start_with_stderr(command, Stdio::inherit())
    }

    /// The same with this standard error.
    pub fn start_with_stderr(mut command: Command, stderr: impl Into<Stdio>) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the shim's binary runs");
        let input = child.stdin.take();
        let mut pipe = BufReader::new(child.stdout.take().expect("it was piped"));
        let (send, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok_and(|read| read > 0) {
                if send.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        Self { child, input, output, early: Vec::new() }
    }

    /// Spawns one and goes through `initialize`.
    pub fn initialized(home: &Home) -> Self {
        let mut shim = Self::spawn(home);
        shim.initialize();
        shim
    }

    /// Goes through `initialize`.
    pub fn initialize(&mut self) {
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "rig", "version": "1"}
        });
        let answer = self.request(&json!("init"), "initialize", &params);
        assert!(answer.get("result").is_some(), "{answer}");
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes one message.
    pub fn send(&mut self, message: &Value) {
        self.send_bytes(format!("{message}\n").as_bytes());
    }

    /// Writes bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.input.as_mut().expect("input is open").write_all(bytes).expect("the shim reads");
    }

    /// Calls a tool without waiting for its answer.
    pub fn call(&mut self, id: &Value, tool: &str, arguments: &Value) {
        let params = json!({"name": tool, "arguments": arguments});
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}));
    }

    /// A request and its answer.
    pub fn request(&mut self, id: &Value, method: &str, params: &Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        self.answer(id)
    }

    /// Calls a tool and waits for its result.
    pub fn request_tool(&mut self, tool: &str, arguments: &Value) -> Value {
        let id = json!(format!("{tool} {}", next()));
        self.call(&id, tool, arguments);
        self.answer(&id)["result"].clone()
    }

    /// The answer to request `id`. Other answers that come first are kept for when they are asked for; notifications are
    /// passed over.
    pub fn answer(&mut self, id: &Value) -> Value {
        let mut early = std::mem::take(&mut self.early);
        let answer = inbox::answer(&mut early, id, || self.receive());
        self.early = early;
        answer
    }

    /// The next line, which has to be JSON-RPC; `None` when the shim has closed its output.
    pub fn receive(&mut self) -> Option<Value> {
        let line = match self.output.recv_timeout(patience()) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the shim said nothing in time"),
        };
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        Some(message)
    }

    /// Closes its input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn next() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// Waits for a child with the deadline of all waits.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status;
        }
        assert!(Instant::now() < deadline, "process {} did not end in time", child.id());
        #[expect(
            clippy::disallowed_methods,
            reason = "the standard library waits for a child without a deadline only"
        )]
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
