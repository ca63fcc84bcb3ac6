//! What may lie where the socket belongs: it is used, replaced or named, and never removed by mistake.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use codex_oauth_proto::report::StartupReport;
use codex_oauth_rig::scale::figure;
use codex_oauth_rig::{Rig, Shim, daemon_at, eventually};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Signal, kill_process};

use crate::resident::{Resident, Told, chmod};
use crate::support::status_of;

/// What tells one file from another, and from itself with other contents.
fn identity(path: &Path) -> (u64, u64, u32, u64) {
    let found = std::fs::symlink_metadata(path).unwrap();
    (found.dev(), found.ino(), found.mode(), found.len())
}

fn run(program: &str, args: &[&Path]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

/// Connects until nobody more is let in.
fn fill_backlog(socket: &Path) -> Vec<OwnedFd> {
    let address = SocketAddrUnix::new(socket).unwrap();
    let knock = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        connect(&socket, &address).ok().map(|()| socket)
    };
    std::iter::from_fn(knock).collect()
}

#[test]
fn no_socket_a_dead_one_a_live_one_and_one_with_a_full_backlog_lead_to_one_daemon() {
    let house = Resident::new();
    let socket = house.home.endpoint().socket();
    house.told().is_answered("missing");

    house.kill_daemon();
    assert!(socket.exists(), "who is killed leaves his socket");
    house.told().is_answered("dead");

    let (pid, live) = (house.pid(), identity(&socket));
    house.told().is_answered("live");
    assert_eq!((house.pid(), identity(&socket)), (pid, live));

    kill_process(pid.unwrap(), Signal::STOP).unwrap();
    let waiting = fill_backlog(&socket);
    house.told().names("full backlog", &["takes no further connections"]);
    kill_process(pid.unwrap(), Signal::CONT).unwrap();
    drop(waiting);
    house.told().is_answered("its backlog has room again");
    assert_eq!((house.pid(), identity(&socket)), (pid, live), "a busy daemon is no stale one");
}

#[test]
fn what_is_not_our_socket_is_named_and_left_alone() {
    let house = Resident::new();
    let socket = house.home.endpoint().socket();
    let beside = socket.with_extension("beside");
    let rows: [(&str, &dyn Fn()); 8] = [
        ("a plain file", &|| {
            std::fs::File::create(&socket).unwrap();
        }),
        ("a directory", &|| std::fs::create_dir(&socket).unwrap()),
        ("a link to nothing", &|| symlink(&beside, &socket).unwrap()),
        ("a link to itself", &|| symlink(&socket, &socket).unwrap()),
        ("a link to a dead socket", &|| {
            drop(UnixListener::bind(&beside).unwrap());
            symlink(&beside, &socket).unwrap();
        }),
        ("a foreign socket", &|| drop(UnixListener::bind(&socket).unwrap())),
        ("a foreign socket that is open to all", &|| {
            drop(UnixListener::bind(&socket).unwrap());
            chmod(&socket, 0o777);
        }),
        ("a foreign file", &|| {
            std::fs::File::create(&socket).unwrap();
        }),
    ];
    let path = socket.display().to_string();
    for (row, lay) in rows {
        lay();
        if !row.contains("foreign") {
            Resident::give(&socket, house.user.uid());
        }
        let before = identity(&socket);
        house.told().names(row, &[&path]);
        let StartupReport::Failed(error) = house.refused_daemon() else { panic!("{row}: no failure") };
        assert!(error.message.contains(&path) && error.message.contains("in the way"), "{row}: {error}");
        assert_eq!(identity(&socket), before, "{row}");
        run("rm", &[Path::new("-rf"), &socket, &beside]);
    }
    house.told().is_answered("the way is free");
}

#[test]
fn a_link_to_the_socket_of_our_own_daemon_leads_there() {
    let house = Resident::new();
    let far = house.home.path().join("far");
    house.told_with(&[("CODEX_OAUTH_RUNTIME_DIR", far.to_str().unwrap())]).is_answered("its own place");
    let (pid, socket) = (daemon_at(&far), house.home.endpoint().socket());
    symlink(far.join("daemon.sock"), &socket).unwrap();
    let before = identity(&socket);
    house.told().is_answered("by a link");
    assert!(
        matches!(house.refused_daemon(), StartupReport::Failed(error) if error.message.contains("owns this login"))
    );
    assert_eq!((daemon_at(&far), house.pid(), identity(&socket)), (pid, None, before));
    kill_process(pid.unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_server_of_another_user_at_our_path_is_sent_nothing_and_named() {
    let house = Resident::new();
    let socket = house.home.endpoint().socket();
    let server = UnixListener::bind(&socket).unwrap();
    chmod(&socket, 0o777);
    let us = format!("runs as user 0, not as user {}", house.user.uid());
    house.told().names("a foreign server", &[&us, &socket.display().to_string()]);
    server.set_nonblocking(true).unwrap();
    let calls: Vec<UnixStream> = std::iter::from_fn(|| server.accept().ok()).map(|(call, _)| call).collect();
    let sent: u64 =
        calls.iter().map(|mut call| std::io::copy(&mut call, &mut std::io::sink()).unwrap()).sum();
    let measured = format!("{sent} bytes in {} calls", calls.len());
    figure("a server of another user at our path is sent", &measured, "0 bytes", sent == 0);
    assert!(!calls.is_empty() && sent == 0);
    // When everything is open, the folder is what is named, and the server is not even called.
    chmod(&house.home.endpoint().dir, 0o777);
    house.told().names("a foreign server in an open folder", &["its mode is 0777"]);
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_live_socket_that_is_taken_away_costs_an_open_session_nothing() {
    let mut rig = Rig::new().limits(&[("self_check_ms", 20)]);
    let mut first = rig.daemon();
    rig.home = rig.home.spawning();
    let socket = rig.home.endpoint().socket();
    let mut shim = Shim::initialized(&rig.home);
    run("rm", &[&socket]);
    assert!(first.wait().success());
    Told::by(&mut shim).is_answered("after the daemon has noticed");
    let second = status_of(&rig.home)["pid"].clone();
    assert_ne!(second, first.pid());
    // Something else in its place is no less a loss, and is not the daemon's to remove.
    run("rm", &[&socket]);
    let usurper = UnixListener::bind(&socket).unwrap();
    let before = identity(&socket);
    let gone = format!("/proc/{second}");
    eventually("the second one ends", || {
        let stat = std::fs::read_to_string(format!("{gone}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    assert_eq!(identity(&socket), before, "what took its place is still there");
    UnixStream::connect(&socket).unwrap();
    drop(usurper);
    Told::by(&mut shim).is_answered("the usurper has gone, and left a dead socket of ours");
}
