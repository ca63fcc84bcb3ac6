//! `daemon run`, `start`, `stop`, `status`.

use std::process::Stdio;
use std::sync::mpsc;

use codex_oauth_proto::lock::{FileLock, LockError};
use codex_oauth_proto::{BUILD, ErrorCode, Retry, WireError};
use codex_oauth_rig::{Rig, Shim, binary, eventually, is_stopped};
use fake_openai::Effect;
use rustix::process::{Pid, Signal};
use serde_json::json;

use crate::rig::{PATIENCE, Place, Running, refusal, replies, script};
use crate::status::daemon_status;

#[test]
fn run_becomes_the_daemon() {
    let ran = Running::start(Place::new().command(&["daemon", "run"]).env("CODEX_OAUTH_DAEMON", "/bin/echo"))
        .finish();
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (0, "run\n", ""));
}

#[test]
fn run_without_a_binary_says_where_it_looked() {
    let mut command = Place::new().command(&["daemon", "run"]);
    let ran = Running::start(command.env("CODEX_OAUTH_DAEMON", "/nonexistent/codex-oauthd")).finish();
    assert_eq!(ran.code(), 6);
    assert!(
        ran.stderr.contains("/nonexistent/codex-oauthd") && ran.stderr.contains("\nnext: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_daemon_that_dies_at_its_start_is_reported() {
    let place = Place::new();
    let mut command = place.command(&["daemon", "start"]);
    command.env("CODEX_OAUTH_DAEMON", "/bin/false").env_remove("CODEX_OAUTH_NO_SPAWN");
    let ran = Running::start(&mut command).finish();
    assert_eq!(ran.code(), 6);
    assert!(ran.stderr.contains("it ended before it was ready"), "{}", ran.stderr);
}

#[test]
fn start_says_when_one_is_running_already() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| assert_eq!(session.next(), None))]);
    let ran = place.run(&["daemon", "start"]);
    assert_eq!(
        (ran.code(), ran.stdout),
        (0, format!("already running: codex-oauthd {BUILD}, process 4711\n"))
    );
    daemon.done();
}

#[test]
fn stop_waits_until_the_daemon_is_gone() {
    let place = Place::new();
    let mut lock = FileLock::try_acquire(&place.path().join("instance.lock")).unwrap();
    lock.describe("pid 4711").unwrap();
    let (released, seen) = mpsc::channel();
    let daemon = place.daemon(vec![script(move |mut session| {
        let request = session.request("daemon/drain");
        assert_eq!(request.params["reason"], "codex-oauth daemon stop");
        session.reply(&request, json!({}));
        drop(session);
        drop(lock);
        released.send(()).unwrap();
    })]);
    let ran = place.run(&["daemon", "stop"]);
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (0, "daemon stopped\n", ""));
    seen.try_recv().expect("the lock was still held");
    daemon.done();
}

#[test]
fn stop_is_done_when_another_daemon_has_taken_over() {
    let place = Place::new();
    let path = place.path().join("instance.lock");
    let mut lock = FileLock::try_acquire(&path).unwrap();
    lock.describe("pid 4711").unwrap();
    let (ended, end) = mpsc::channel::<()>();
    let daemon = place.daemon(vec![script(move |mut session| {
        let request = session.request("daemon/drain");
        session.reply(&request, json!({}));
        drop(session);
        lock.describe("pid 4712").unwrap();
        // The next daemon holds the lock for as long as this test lasts.
        end.recv_timeout(PATIENCE).unwrap();
    })]);
    let ran = place.run(&["daemon", "stop"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "daemon stopped\n"));
    ended.send(()).unwrap();
    daemon.done();
}

#[test]
fn stop_waits_for_a_daemon_that_is_stopping_already() {
    let place = Place::new();
    let lock = FileLock::try_acquire(&place.path().join("instance.lock")).unwrap();
    let draining = WireError::daemon(ErrorCode::Draining, Retry::Safe, "the daemon is going away");
    let daemon =
        place.daemon_that_opens(&refusal(draining), vec![script(move |session| drop((session, lock)))]);
    let ran = place.run(&["daemon", "stop"]);
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (0, "daemon stopped\n", ""));
    daemon.done();
}

#[test]
fn stop_waits_for_a_daemon_that_nobody_reaches_any_more_and_that_still_finishes_an_answer() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(fake_openai::Endpoint::Responses, Effect::hold_after(2, "answer"));
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!(1), "codex_query", &json!({"prompt": "hello"}));
    rig.fake.wait_for_request(fake_openai::Endpoint::Responses, 1).unwrap();
    let start = || {
        let mut stop = rig.home.command(&binary("codex-oauth"));
        stop.args(["daemon", "stop"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(&mut stop)
    };
    let first = start();
    eventually("it has handed over", || !rig.home.endpoint().socket().exists());
    // Before another process's whole life, so that it has looked by the time that the answer ends.
    let second = start();
    let shown =
        crate::doctor::run(rig.home.command(&binary("codex-oauth")).args(["daemon", "status"])).stdout;
    assert!(shown.contains("one that was told to end still finishes answers (pid "), "{shown}");
    rig.fake.release("answer");
    for stop in [first, second] {
        let ran = stop.finish();
        assert_eq!((ran.code(), ran.stdout.as_str()), (0, "daemon stopped\n"), "{}", ran.stderr);
    }
    let third = start().finish();
    assert_eq!((third.code(), third.stdout.as_str()), (0, "no daemon was running\n"));
}

#[test]
fn stop_waits_for_every_daemon_that_still_finishes_an_answer() {
    let rig = Rig::new();
    let command = |args: &[&str]| {
        let mut command = rig.home.command(&binary("codex-oauth"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let asked = |asked: usize| {
        let daemon = if asked == 1 { rig.signed_in() } else { rig.daemon() };
        let gate = format!("answer {asked}");
        rig.fake.next(fake_openai::Endpoint::Responses, Effect::hold_after(2, &gate));
        let mut shim = Shim::initialized(&rig.home);
        shim.call(&json!(1), "codex_query", &json!({"prompt": "hello"}));
        rig.fake.wait_for_request(fake_openai::Endpoint::Responses, asked).unwrap();
        (daemon, shim, gate)
    };
    let stop = || {
        let stop = Running::start(&mut command(&["daemon", "stop"]));
        eventually("it has handed over", || !rig.home.endpoint().socket().exists());
        stop
    };
    let (mut one, _shim, gate) = asked(1);
    let first = stop();
    let (two, _other_shim, other_gate) = asked(2);
    let report = crate::doctor::run(command(&["doctor"]).arg("--json")).json();
    let said = crate::doctor::check(&report, "daemon")["detail"].to_string();
    assert!(said.contains(&format!("the one before finishes answers (pid {} ", one.pid())), "{said}");
    let second = stop();
    rig.fake.release(&gate);
    one.wait();
    let shown = crate::doctor::run(&mut command(&["daemon", "status"])).stdout;
    let still = format!("still finishes answers (pid {}\n", two.pid());
    assert!(shown.contains(&still), "{still}\n{shown}");
    let third = Running::start(&mut command(&["daemon", "stop"]));
    rig.fake.release(&other_gate);
    for stop in [first, second, third] {
        let ran = stop.finish();
        assert!(ran.code() == 0 && ran.stdout.contains("daemon"), "{}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(Running::start(&mut command(&["daemon", "stop"])).finish().stdout, "no daemon was running\n");
}

#[test]
fn stop_waits_for_a_daemon_whose_last_answers_are_not_written_yet() {
    let mut rig = Rig::new().set(&[("CODEX_OAUTH_TEST_STOP_AT", "daemon writes its last")]);
    let mut daemon = rig.daemon();
    rig = rig.set(&[("CODEX_OAUTH_TEST_STOP_AT", "")]);
    let command = |args: &[&str]| {
        let mut command = rig.home.command(&binary("codex-oauth"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(&mut command)
    };
    let pid = Pid::from_raw(daemon.pid().cast_signed()).unwrap();
    let mut stop = command(&["daemon", "stop"]);
    eventually("all is handed over and the sessions have ended", || is_stopped(pid));
    let ending = FileLock::try_acquire(&rig.home.endpoint().ending_lock());
    assert!(matches!(ending, Err(LockError::Held { .. })), "{ending:?}");
    FileLock::try_acquire(&rig.home.endpoint().instance_lock()).expect("a successor can start");
    let shown = command(&["daemon", "status"]).finish().stdout;
    assert!(shown.contains(&format!("(pid {}", daemon.pid())), "{shown}");
    assert!(stop.still_runs());
    daemon.signal(Signal::CONT);
    let ran = stop.finish();
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "daemon stopped\n"), "{}", ran.stderr);
    assert!(daemon.wait().success());
}

#[test]
fn stop_without_a_daemon_is_done_already() {
    let ran = Place::new().run(&["daemon", "stop"]);
    assert_eq!((ran.code(), ran.stdout.as_str(), ran.stderr.as_str()), (0, "no daemon was running\n", ""));
}

#[test]
fn status_never_starts_a_daemon_and_says_how_to() {
    let place = Place::new();
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        Running::start(command.env("CODEX_OAUTH_DAEMON", "/bin/false").env_remove("CODEX_OAUTH_NO_SPAWN"))
            .finish()
    };
    let ran = run(&["daemon", "status"]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (6, ""));
    assert!(ran.stdout.starts_with("daemon     not running\nnext       "), "{}", ran.stdout);
    let ran = run(&["daemon", "status", "--json"]);
    assert_eq!((ran.code(), ran.json()), (6, json!({ "running": false })));
}

#[test]
fn status_shows_what_the_daemon_says_of_itself() {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("daemon/status", daemon_status())]));
    let ran = place.run(&["daemon", "status"]);
    assert_eq!(
        ran.stdout,
        format!(
            "daemon     {BUILD} up 3 h · 5 sessions · 1 running\n\
             process    4711 · 9.0 MiB · 21 open files\n\
             questions  12 since the start\n\
             socket     /run/user/1000/daemon.sock\n\
             login      /home/ada/.claude/auth.json\n\
             issuer     https://auth.openai.com\n\
             backend    https://chatgpt.com/backend-api\n"
        )
    );
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    daemon.done();

    let place = Place::new();
    let daemon = place.daemon(replies(vec![("daemon/status", daemon_status())]));
    let mut expected = daemon_status();
    expected["running"] = json!(true);
    assert_eq!(place.run(&["daemon", "status", "--json"]).json(), expected);
    daemon.done();
}
