//! A real daemon process.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;

use codex_oauth_proto::report::{REPORT_FLAG, StartupReport};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Home, binary, patience};

/// Lines of a daemon's log that a failing test shows.
const SHOWN: usize = 60;

/// A daemon of this home. Dropping it kills it; its log is printed when the test is failing.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts one and waits for its report.
    pub(crate) fn start(home: &Home) -> Self {
        let (daemon, report) = Self::launch(home);
        match report {
            Some(StartupReport::Ready { pid, .. }) => assert_eq!(pid, daemon.pid()),
            other => panic!("the daemon did not start: {other:?}\n{}", daemon.log()),
        }
        daemon
    }

    /// Starts one and gives what it reported, if anything.
    pub fn launch(home: &Home) -> (Self, Option<StartupReport>) {
        let log = home.path().join(format!("daemon-{}.log", next()));
        let file =
            OpenOptions::new().create(true).append(true).open(&log).expect("a log in a temporary folder");
        let mut child = home
            .command(&binary("codex-oauthd"))
            .args(["run", REPORT_FLAG])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the daemon's binary runs");
        let pipe = child.stdout.take().expect("it was piped");
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(pipe).read_line(&mut line);
            // The test may have ended meanwhile.
            let _ended = send.send(read.ok().and_then(|_| serde_json::from_str(&line).ok()));
        });
        let report = receive.recv_timeout(patience()).expect("a report, or the end of the pipe");
        (Self { child, log }, report)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written to its log: [`crate::Rig::log`] waits for the last lines too.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a process id")).expect("not zero");
        kill_process(pid, signal).expect("it runs");
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        crate::shim::wait(&mut self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN)..];
            #[expect(clippy::print_stderr, reason = "the log of a failing test")]
            {
                eprintln!(
                    "--- daemon {}, the last of {} lines ---\n{}",
                    self.pid(),
                    lines.len(),
                    shown.join("\n")
                );
            }
        }
    }
}

fn next() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// Whether a process is held at a point that `CODEX_OAUTH_TEST_STOP_AT` named.
pub fn is_stopped(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}
