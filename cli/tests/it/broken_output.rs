//! A reader that goes away, as `head` does.

use std::io::Read as _;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::mpsc;

use codex_oauth_rig::{Rig, binary, eventually};
use serde_json::json;

use crate::doctor::run;
use crate::rig::{PATIENCE, Place, Running, script};

#[test]
fn a_reader_that_goes_away_ends_the_answer_quietly_and_calls_the_turn_off() {
    let place = Place::new();
    let (gone, go_on) = mpsc::channel();
    let daemon = place.daemon(vec![script(move |mut session| {
        session.turn();
        session.delta("first line\n");
        go_on.recv_timeout(PATIENCE).unwrap();
        session.delta("second line\n");
        session.request("turn/interrupt");
        session.complete(&json!({ "status": "interrupted" }));
    })]);
    let (mut reader, stdout) = UnixStream::pair().unwrap();
    let running = Running::start(place.command(&["query", "x"]).stdout(OwnedFd::from(stdout)));
    let mut first = [0_u8; "first line\n".len()];
    reader.read_exact(&mut first).unwrap();
    // Closing it would leave the copies that other tests' processes hold for a moment.
    reader.shutdown(Shutdown::Both).unwrap();
    gone.send(()).unwrap();
    let ran = running.finish();
    assert_eq!((ran.code(), ran.stderr.as_str()), (141, ""));
    daemon.done();
}

#[test]
fn help_for_a_reader_that_is_gone_is_quiet_too() {
    let (reader, stdout) = UnixStream::pair().unwrap();
    reader.shutdown(Shutdown::Both).unwrap();
    let ran = Running::start(Place::new().command(&["--help"]).stdout(OwnedFd::from(stdout))).finish();
    assert_eq!((ran.code(), ran.stderr.as_str()), (141, ""));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_said_and_is_no_success() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = Running::start(Place::new().command(&["-V"]).stdout(Stdio::from(full))).finish();
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr.starts_with("error: could not write the output: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("next: make room there"), "{}", ran.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_could_not_be_written_is_found_among_the_kept_ones() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let command = || rig.home.command(&binary("codex-oauth"));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = Running::start(
        command().args(["ask", "hello"]).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()),
    )
    .finish();
    assert_eq!(ran.code(), 1);
    assert!(
        ran.stderr.contains("next: see what came of the answer: `codex-oauth answers last`"),
        "{}",
        ran.stderr
    );
    eventually("it is kept", || run(command().args(["answers", "last"])).code() == 0);
}
