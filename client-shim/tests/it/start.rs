//! The real program while a daemon is starting, or should be.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use codex_oauth_proto::lock::FileLock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use crate::process::{Home, Process};
use crate::rig::PATIENCE;

/// Much more than the 80 ms after which the shim goes, and much less than the 5 s that a daemon may take to start.
const WITHOUT_WAITING: Duration = Duration::from_millis(2500);

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;

/// A program in the daemon's place that says over one pipe what it does, and goes on when it is told over another.
struct FakeDaemon {
    program: PathBuf,
    said: BufReader<File>,
    gate: File,
}

impl FakeDaemon {
    /// `body` is shell text; `$said` and `$gate` are the pipes.
    fn new(home: &Home, body: &str) -> Self {
        let place = |name: &str| home.dir.path().join(name);
        let (said, gate, program) = (place("said"), place("gate"), place("fake-daemon"));
        let (said_pipe, gate_pipe) = (fifo(&said), fifo(&gate));
        let text = format!("#!/bin/sh\nsaid='{}'\ngate='{}'\n{body}\n", said.display(), gate.display());
        // Written by another process: a child that a parallel test forks at this moment would hold our descriptor, and a
        // program that somebody may write to cannot be started.
        let write = "printf %s \"$2\" >\"$1\" && chmod 700 \"$1\"";
        let written =
            Command::new("/bin/sh").args(["-c", write, "sh"]).arg(&program).arg(text).status().unwrap();
        assert!(written.success());
        Self { program, said: BufReader::new(said_pipe), gate: gate_pipe }
    }

    /// The command of a shim that may start it.
    fn command(&self, home: &Home) -> Command {
        let mut command = home.command();
        command.env("CODEX_OAUTH_NO_SPAWN", "0").env("CODEX_OAUTH_DAEMON", &self.program);
        command
    }

    fn next_word(&mut self) -> String {
        if self.said.buffer().is_empty() {
            let timeout = Timespec::try_from(PATIENCE).unwrap();
            let mut fds = [PollFd::from_borrowed_fd(self.said.get_ref().as_fd(), PollFlags::IN)];
            assert_eq!(poll(&mut fds, Some(&timeout)).unwrap(), 1, "the fake daemon says nothing");
        }
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn open_gate(&mut self) {
        self.gate.write_all(b"\n").unwrap();
    }
}

/// A named pipe, open on both sides, so that opening it waits for nobody.
fn fifo(path: &Path) -> File {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// The shim ends well, and does not wait for a daemon first.
fn ends_soon(shim: Process) {
    let began = Instant::now();
    assert_eq!(shim.ended().0.code(), Some(0));
    assert!(began.elapsed() < WITHOUT_WAITING, "{:?}", began.elapsed());
}

const HANGS: &str = r#"echo started >"$said"; read -r line <"$gate"; echo released >"$said""#;

#[test]
fn it_ends_with_its_client_while_a_daemon_is_starting() {
    let home = Home::without_daemon();
    let mut daemon = FakeDaemon::new(&home, HANGS);
    let mut shim = Process::new(daemon.command(&home).spawn().unwrap());
    shim.say(CALL);
    assert_eq!(daemon.next_word(), "started");
    // Unread, and no reason to stay.
    shim.say(CALL);
    shim.close_input();
    ends_soon(shim);
    daemon.open_gate();
    assert_eq!(daemon.next_word(), "released", "the start went on all the time, and only once");
}

#[test]
fn it_ends_with_a_client_on_a_socket_that_closes_it_or_half_of_it() {
    for half in [true, false] {
        let home = Home::without_daemon();
        let mut daemon = FakeDaemon::new(&home, HANGS);
        let (mut client, stdin) = UnixStream::pair().unwrap();
        let shim = Process::new(daemon.command(&home).stdin(OwnedFd::from(stdin)).spawn().unwrap());
        writeln!(client, "{CALL}").unwrap();
        assert_eq!(daemon.next_word(), "started");
        client.shutdown(Shutdown::Write).unwrap();
        let kept = half.then_some(client);
        ends_soon(shim);
        drop(kept);
        daemon.open_gate();
        assert_eq!(daemon.next_word(), "released");
    }
}

#[test]
fn it_ends_with_its_client_while_another_starter_is_at_work() {
    let home = Home::with_daemon_folder();
    let _starting = FileLock::try_acquire(&home.dir.path().join("run/spawn.lock")).unwrap();
    let daemon = FakeDaemon::new(&home, HANGS);
    let mut shim = Process::new(daemon.command(&home).spawn().unwrap());
    shim.say(CALL);
    shim.close_input();
    ends_soon(shim);
}

#[test]
fn it_ends_with_its_client_while_a_daemon_says_no_word() {
    let home = Home::with_daemon();
    let mut shim = Process::new(home.command().spawn().unwrap());
    shim.say(CALL);
    let (_, mut daemon) = home.accept();
    shim.close_input();
    ends_soon(shim);
    daemon.expect_end();
}

#[test]
fn a_daemon_is_started_again_until_the_one_before_has_made_way() {
    let mut home = Home::with_daemon_folder();
    let report = r#"echo '{"already_running":{"holder":"pid 42"}}'; echo started >"$said""#;
    let mut daemon = FakeDaemon::new(&home, report);
    let mut shim = Process::new(daemon.command(&home).spawn().unwrap());
    shim.say(CALL);
    for _ in 0..2 {
        assert_eq!(daemon.next_word(), "started");
    }
    home.listen();
    let (_, mut peer) = home.accept_and_welcome();
    peer.next_request(1, "tools/call");
    peer.result(1, &json!("answer"));
    assert_eq!(shim.next()["result"], "answer");
    shim.close_input();
    ends_soon(shim);
}

#[test]
fn a_daemon_that_does_not_make_way_is_named_and_not_called_absent() {
    let home = Home::without_daemon();
    let daemon = FakeDaemon::new(&home, r#"echo '{"already_running":{"holder":"pid 42 /x/daemon.sock"}}'"#);
    let mut shim = Process::new(daemon.command(&home).spawn().unwrap());
    shim.say(CALL);
    let answer = shim.next();
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        text,
        "could not start the daemon: the one before has not let go of the login yet (pid 42 /x/daemon.sock)\n\
         next: try again in 5 s"
    );
    shim.close_input();
    ends_soon(shim);
}
