//! What another process of the same user can take out of a running daemon: nothing. Tried by a user who is not root.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use codex_oauth_rig::{Rig, User};

use crate::process::Process;

/// What the same user gets who looks into process `pid`.
struct Looks {
    debugger: String,
    environ: Output,
    mem: Output,
    fds: Output,
}

fn look(rig: &Rig, user: &User, pid: i32) -> Looks {
    let run = |program: &str, args: &[&str]| -> Output {
        let mut command: Command = user.command(&rig.home, Path::new(program));
        command.args(args).stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{program}: {error}"))
    };
    let pid = pid.to_string();
    let gdb = run("gdb", &["-nx", "-batch", "-p", &pid, "-ex", "print 6*7"]);
    Looks {
        debugger: String::from_utf8_lossy(&[gdb.stdout, gdb.stderr].concat()).into_owned(),
        environ: run("cat", &[&format!("/proc/{pid}/environ")]),
        // Opening it is what is allowed or not; its first page is mapped nowhere.
        mem: run("sh", &["-c", &format!("exec 3</proc/{pid}/mem")]),
        fds: run("ls", &[&format!("/proc/{pid}/fd")]),
    }
}

#[test]
fn no_debugger_attaches_to_the_daemon_and_nobody_reads_its_memory_or_environment() {
    let rig = Rig::new();
    let user = User::make();
    let daemon = user.program(&rig.home, "codex-oauthd");
    user.moves_into(&rig.home);
    let mut command = user.command(&rig.home, &daemon);
    let mut daemon =
        Process::start(command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut said = Vec::new();
    let ready = BufReader::new(daemon.stderr()).lines().map_while(Result::ok).any(|line| {
        said.push(line);
        said.last().is_some_and(|line| line.contains(": ready "))
    });
    assert!(ready, "{}", said.join("\n"));
    let seen = look(&rig, &user, daemon.pid().as_raw_nonzero().get());
    assert!(seen.debugger.contains("Operation not permitted"), "{}", seen.debugger);
    for refused in [seen.environ, seen.mem, seen.fds] {
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{why}");
        assert!(why.contains("Permission denied"), "{why}");
    }

    // The same looks at a process that does not defend itself: otherwise the refusals above would be the system's.
    let open = Process::start(user.command(&rig.home, Path::new("sleep")).arg("600"));
    let seen = look(&rig, &user, open.pid().as_raw_nonzero().get());
    assert!(!seen.debugger.contains("Operation not permitted"), "{}", seen.debugger);
    assert!(seen.environ.status.success() && seen.mem.status.success() && seen.fds.status.success());
}
