//! Unix: a session of its own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use super::{environment, open_log};
use crate::env::Env;
use crate::report::REPORT_FLAG;

/// The process that was started.
pub(crate) type Child = std::process::Child;

/// Where its report comes from.
pub(crate) type ReportPipe = ChildStdout;

/// Starts `daemon run --report`; its standard output is the report pipe, its standard error goes to `log`.
pub(crate) fn spawn(daemon: &Path, log: Option<&Path>, env: &Env) -> io::Result<(Child, ReportPipe)> {
    let mut command = Command::new(daemon);
    command
        .args(["run", REPORT_FLAG])
        .env_clear()
        .envs(environment(env))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.and_then(open_log).map_or_else(Stdio::null, Stdio::from));
    detach(&mut command);
    let mut child = command.spawn()?;
    let report = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok((child, report))
}

/// A session of its own: the end of the starter's terminal or process group is not the daemon's.
///
/// The starter's own descriptors are close-on-exec; what the starter itself inherited is closed by the daemon at start.
#[expect(unsafe_code, reason = "setsid must run in the child, between fork and exec")]
fn detach(command: &mut Command) {
    // SAFETY: `setsid` is async-signal-safe and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
}

/// Takes leave of a child if it has ended. An error is no news of the daemon.
pub(crate) fn take_leave(child: &mut Child) {
    drop(child.try_wait());
}

/// Takes leave of every child that has ended: it stays a zombie until its parent asks.
pub(crate) fn reap_all() {
    while let Ok(Some(_ended)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
}
