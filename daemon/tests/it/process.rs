//! A child process that a test waits for with a deadline and never leaves behind.

use std::io::Read as _;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output};
use std::sync::mpsc;

use codex_oauth_rig::patience;
use rustix::process::{Pid, Signal, kill_process};

/// A running child. Dropping it kills it.
pub(crate) struct Process(Option<Child>);

impl Process {
    /// Starts a command.
    pub(crate) fn start(command: &mut Command) -> Self {
        let program = command.get_program().display().to_string();
        Self(Some(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"))))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.0.as_ref().unwrap())
    }

    /// Its standard output, for the test to read.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.0.as_mut().unwrap().stdout.take().unwrap()
    }

    /// Its standard error, for the test to read.
    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.0.as_mut().unwrap().stderr.take().unwrap()
    }

    /// Waits for its end, and gives what was written to pipes that nobody else reads.
    pub(crate) fn finish(mut self) -> Output {
        let pid = self.pid();
        let mut child = self.0.take().unwrap();
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let stderr = child.stderr.take().map(|mut pipe| {
                std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    pipe.read_to_end(&mut bytes).map(|_| bytes)
                })
            });
            let mut stdout = Vec::new();
            let read = child.stdout.take().map(|mut pipe| pipe.read_to_end(&mut stdout)).transpose();
            let stderr = stderr.map(|reader| reader.join().unwrap()).transpose();
            let output = read.and(stderr).and_then(|stderr| {
                Ok(Output { status: child.wait()?, stdout, stderr: stderr.unwrap_or_default() })
            });
            // The test may have given up.
            let _ended = send.send(output);
        });
        let Ok(output) = receive.recv_timeout(patience()) else {
            // It may end just now.
            let _ended = kill_process(pid, Signal::KILL);
            panic!("process {pid:?} did not end");
        };
        output.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended already.
            let _ended = child.kill();
            let _ended = child.wait();
        }
    }
}
