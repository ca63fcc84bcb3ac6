//! A socket that a service manager listens at: taken when it is ours, refused when it is not, and nobody who connects is
//! lost while a daemon dies.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;

use codex_oauth_proto::hello::Role;
use codex_oauth_rig::scale::rounds;
use codex_oauth_rig::{Home, Lines, Rig, Shim, binary, patience, text_of};
use fake_openai::{Config, Effect, Endpoint};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::process::Process;
use crate::support::{call, mcp, status_of};

/// Starts a daemon whose descriptor 3 is `passed`; `says` is what a manager would put into the environment, `$$` being the
/// daemon's own process.
fn activate(home: &Home, passed: impl Into<OwnedFd>, says: &str) -> Process {
    activate_program(home, &binary("codex-oauthd"), passed, says)
}

/// The same with the daemon that lies at `program`.
fn activate_program(home: &Home, program: &Path, passed: impl Into<OwnedFd>, says: &str) -> Process {
    let script = format!("exec 3<&0 </dev/null; export {says}; exec \"$0\" run");
    let mut command = home.command("/bin/sh".as_ref());
    command.args(["-c", &script]).arg(program);
    command.stdin(passed.into()).stdout(Stdio::null()).stderr(Stdio::piped());
    Process::start(&mut command)
}

/// Listens where clients look, as a manager would.
fn listen(home: &Home) -> UnixListener {
    let endpoint = home.endpoint();
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&endpoint.dir).unwrap();
    UnixListener::bind(endpoint.socket()).unwrap()
}

/// Connects, says hello and asks for the daemon's process: the answer is what a connect is for.
fn ask_for_pid(home: &Home) -> Pid {
    let mut lines = Lines::open(home, Role::Api);
    lines.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    let pid = lines.answer(&json!(1))["result"]["pid"].as_i64().unwrap();
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[test]
fn the_managers_socket_is_served_and_never_unlinked() {
    let rig = Rig::new();
    let socket = listen(&rig.home);
    let daemon =
        activate(&rig.home, socket.try_clone().unwrap(), "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x");
    assert_eq!(ask_for_pid(&rig.home), daemon.pid());
    kill_process(daemon.pid(), Signal::TERM).unwrap();
    assert!(daemon.finish().status.success());
    assert!(rig.home.endpoint().socket().exists(), "the path is the manager's");
    let next = activate(&rig.home, socket, "LISTEN_PID=$$ LISTEN_FDS=1");
    assert_eq!(ask_for_pid(&rig.home), next.pid());
}

#[test]
fn what_is_not_one_listening_socket_of_ours_is_refused_by_name() {
    let rig = Rig::new();
    let socket = listen(&rig.home);
    let path = |name: &str| rig.home.path().join(name);
    let local = || OwnedFd::from(socket.try_clone().unwrap());
    let cases: [(OwnedFd, &str, &str); 8] = [
        // Variables that were inherited from somebody else are not ours; what they are about is in the way.
        (local(), "LISTEN_PID=1 LISTEN_FDS=1", "a service manager listens there"),
        (local(), "LISTEN_PID=$$ LISTEN_FDS=0", "passed: 0 sockets"),
        (local(), "LISTEN_PID=$$ LISTEN_FDS=2", "passed: 2 sockets"),
        (File::create(path("file")).unwrap().into(), "LISTEN_PID=$$ LISTEN_FDS=1", "it is not a socket"),
        (
            TcpListener::bind("127.0.0.1:0").unwrap().into(),
            "LISTEN_PID=$$ LISTEN_FDS=1",
            "not a local socket",
        ),
        (
            UnixDatagram::bind(path("dgram")).unwrap().into(),
            "LISTEN_PID=$$ LISTEN_FDS=1",
            "not a stream socket",
        ),
        (UnixListener::bind(path("other")).unwrap().into(), "LISTEN_PID=$$ LISTEN_FDS=1", "clients look at"),
        (UnixStream::pair().unwrap().0.into(), "LISTEN_PID=$$ LISTEN_FDS=1", "not listening"),
    ];
    for (passed, says, told) in cases {
        let ended = activate(&rig.home, passed, says).finish();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{says}: {said}");
        assert!(said.contains(told) && said.contains("\nnext: "), "{says}: {said}");
    }
    assert!(rig.home.endpoint().socket().exists(), "nothing was unlinked");
}

#[test]
fn no_connect_is_lost_between_daemons_that_are_killed() {
    let rig = Rig::new();
    let endpoint = rig.home.endpoint();
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&endpoint.dir).unwrap();
    // It listens, and becomes the given program with the first connect. The shell starts one daemon after the other and
    // keeps the socket open meanwhile, as systemd does.
    let mut command = rig.home.command("systemd-socket-activate".as_ref());
    let names: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        command.arg("-E").arg(name);
    }
    let again = "while :; do /bin/sh -c 'LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" run' \"$0\"; done";
    command.arg("-l").arg(endpoint.socket()).args(["/bin/sh", "-c", again]).arg(binary("codex-oauthd"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let manager = Process::start(&mut command);
    // The path is there before anybody listens.
    codex_oauth_rig::eventually("systemd listens", || UnixStream::connect(endpoint.socket()).is_ok());
    let mut former = None;
    for round in 0..rounds(100) {
        let daemon = ask_for_pid(&rig.home);
        assert_ne!(former, Some(daemon), "round {round}: another one answers");
        kill_process(daemon, Signal::KILL).unwrap();
        former = Some(daemon);
    }
    let last = ask_for_pid(&rig.home);
    drop(manager);
    kill_process(last, Signal::KILL).unwrap();
}

#[test]
fn a_daemon_whose_socket_the_manager_took_makes_way_for_the_managers_own() {
    let rig = Rig::new();
    let mut former = rig.daemon();
    std::process::Command::new("rm").arg(rig.home.endpoint().socket()).status().unwrap();
    let socket = listen(&rig.home);
    let daemon = activate(&rig.home, socket, "LISTEN_PID=$$ LISTEN_FDS=1");
    assert_eq!(ask_for_pid(&rig.home), daemon.pid());
    assert!(former.wait().success());
}

#[test]
fn a_service_makes_way_for_a_newer_build_once_its_program_was_replaced_and_not_before() {
    const OLDER: &str = "CODEX_OAUTH_TEST_BUILD=0.0.1 LISTEN_PID=$$ LISTEN_FDS=1";
    let mut rig = Rig::new();
    rig.home = rig.home.spawning().unset("CODEX_OAUTH_DAEMON");
    let program = rig.home.path().join("codex-oauthd");
    std::fs::copy(binary("codex-oauthd"), &program).unwrap();
    let socket = listen(&rig.home);
    let daemon = activate_program(&rig.home, &program, socket.try_clone().unwrap(), OLDER);
    rig.sign_in();
    rig.fake.next(Endpoint::Responses, Effect::hold("gate"));
    let mut asking = Shim::initialized(&rig.home);
    asking.call(&json!(1), "codex_query", &json!({"prompt": "kept"}));
    rig.fake.wait_for_request(Endpoint::Responses, 1).unwrap();
    let asked_to_hand_over = || {
        let mut lines = Lines::connect(&rig.home);
        lines.send(&json!({"hand_over": {"build": "999.0.0"}}));
        lines.receive().expect("a word")["refusal"]["error"].clone()
    };
    for _ in 0..3 {
        let refused = asked_to_hand_over();
        assert_eq!(refused["code"], "unsupported_version", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("would start build 0.0.1 again"), "{refused}");
    }
    let status = status_of(&rig.home);
    assert_eq!((&status["build"], &status["managed"]), (&json!("0.0.1"), &json!(true)));
    assert_eq!(status["phase"], "serving", "a shim of a newer build uses it: {status}");
    rig.fake.release("gate");
    assert!(text_of(&asking.answer(&json!(1))["result"]).contains("kept"));

    let new = rig.home.path().join("codex-oauthd.new");
    std::fs::copy(binary("codex-oauthd"), &new).unwrap();
    std::process::Command::new("mv").args([&new, &program]).status().unwrap();
    assert_eq!(asked_to_hand_over()["code"], "draining");
    assert!(daemon.finish().status.success());
    let next = activate_program(&rig.home, &program, socket, "LISTEN_PID=$$ LISTEN_FDS=1");
    assert_eq!(ask_for_pid(&rig.home), next.pid());
}

#[test]
fn who_comes_while_an_ending_daemon_renews_the_login_is_served() {
    const HOUR: u64 = 3_600;
    let mut config = Config::default();
    config.behaviour.access_token_life_secs = 3_600;
    // Due at once, so that it is renewed as soon as somebody is there, and without a question.
    let rig = Rig::with(config).limits(&[("refresh_before_expiry_ms", 2 * HOUR * 1_000)]);
    let socket = listen(&rig.home);
    let daemon = activate(&rig.home, socket, "LISTEN_PID=$$ LISTEN_FDS=1");
    rig.sign_in();
    rig.fake.next(Endpoint::Refresh, Effect::hold_answer("answer"));
    let session = mcp(&rig.home);
    rig.fake.wait_for_request(Endpoint::Refresh, 1).unwrap();
    kill_process(daemon.pid(), Signal::TERM).unwrap();
    codex_oauth_rig::eventually("it drains", || status_of(&rig.home)["phase"] == "draining");
    assert_eq!(ask_for_pid(&rig.home), daemon.pid());
    rig.fake.release("answer");
    drop(session);
    assert!(daemon.finish().status.success());
    assert_eq!(rig.fake.requests(Endpoint::Refresh).len(), 1);
}

#[test]
fn systemd_is_told_of_the_start_and_of_an_end_that_takes_its_time() {
    let rig = Rig::new();
    let place = rig.home.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(patience())).unwrap();
    let mut heard = [0; 4096];
    let socket = listen(&rig.home);
    let says = format!("LISTEN_PID=$$ LISTEN_FDS=1 NOTIFY_SOCKET={}", place.display());
    let daemon = activate(&rig.home, socket, &says);
    let mut next = || {
        let read = manager.recv(&mut heard).unwrap();
        String::from_utf8(heard[..read].to_vec()).unwrap()
    };
    assert_eq!(next(), "READY=1\nSTATUS=serving");
    rig.sign_in();
    rig.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    let mut lines = mcp(&rig.home);
    call(&mut lines, &json!(1), "codex_query", &json!({"prompt": "held"}));
    rig.fake.wait_for_request(Endpoint::Responses, 1).unwrap();
    kill_process(daemon.pid(), Signal::TERM).unwrap();
    assert_eq!(next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000\nSTATUS=finishing 1 answers");
    rig.fake.release("gate");
    assert!(text_of(&lines.answer(&json!(1))["result"]).contains("held"));
    assert!(daemon.finish().status.success());
}
