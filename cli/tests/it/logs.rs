//! `logs`: the daemon's file, over its rotation, and the journal.

use std::fs::{File, OpenOptions, Permissions, create_dir_all};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use codex_oauth_rig::scale::rounds;
use codex_oauth_rig::{Rig, binary};
use serde_json::json;

use crate::rig::{Place, Ran, Running, script};

const HEAD: &str = "2026-11-22T20:06:15.1Z  INFO session{n=1}: codex_oauthd";

fn log(place: &Place) -> PathBuf {
    create_dir_all(place.path().join("state")).unwrap();
    place.path().join("state/daemon.log")
}

fn append(path: &PathBuf, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn without_a_log_it_says_what_makes_one() {
    let place = Place::new();
    let ran = place.run(&["logs"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, ""));
    assert!(
        ran.stderr.contains("no log yet") && ran.stderr.contains("`codex-oauth daemon start`"),
        "{}",
        ran.stderr
    );
    append(&log(&place), &format!("{HEAD}::server: ready\n"));
    let ran = place.run(&["logs", "--debug"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("CODEX_DEBUG=1 codex-oauth ask"), "{}", ran.stderr);
}

#[test]
fn the_last_lines_are_shown_from_former_files_too() {
    let place = Place::new();
    let log = log(&place);
    append(&log.with_extension("log.2"), "one\ntwo\n");
    append(&log.with_extension("log.1"), &format!("three\n{HEAD}::debug: [HTTP] four session=1\n"));
    append(&log, &format!("five\n{HEAD}::debug: [CODEX] six session=1\nhalf a li"));
    let shown = |args: &[&str]| place.run(&[&["logs"], args].concat()).stdout;
    assert!(shown(&["-n", "1"]).ends_with("six session=1\n"));
    assert_eq!(
        shown(&["-n", "5"]).lines().map(|line| line.len().min(5)).collect::<Vec<_>>(),
        [3, 5, 5, 4, 5]
    );
    assert_eq!(shown(&["-n", "9"]).lines().count(), 6);
    let debug =
        "2026-11-22T20:06:15.1Z [HTTP] four session=1\n2026-11-22T20:06:15.1Z [CODEX] six session=1\n";
    assert_eq!(shown(&["--debug"]), debug);
    assert_eq!(shown(&["--debug", "-n", "1"]).lines().count(), 1);
}

#[test]
fn a_log_is_followed_from_before_its_first_line_and_over_its_rotation() {
    let place = Place::new();
    let log = log(&place);
    let mut running = Running::start(&mut place.command(&["logs", "-f"]));
    append(&log, "one\ntw");
    assert_eq!(running.line(), "one");
    append(&log, "o\n");
    assert_eq!(running.line(), "two");
    // As the daemon does it, with a last line in the file that is put aside.
    append(&log, "three\n");
    let moved = std::process::Command::new("mv").arg(&log).arg(log.with_extension("log.1")).status().unwrap();
    assert!(moved.success());
    append(&log, "four\n");
    assert_eq!((running.line(), running.line()), ("three".to_owned(), "four".to_owned()));
    // In a folder that takes no new names it makes the file empty.
    File::create(&log).unwrap();
    append(&log, "5\n");
    assert_eq!(running.line(), "5");
    running.interrupt();
    assert_eq!(running.finish().status.code(), None);
}

#[test]
fn with_a_service_of_systemd_the_journal_is_asked_and_followed_without_a_gap() {
    let place = Place::new();
    let unit = place.path().join(".config/systemd/user/codex-oauthd.service");
    create_dir_all(unit.parent().unwrap()).unwrap();
    append(&unit, "");
    let without = place.run(&["logs"]);
    assert!(without.code() != 0 && without.stderr.contains("no journalctl on PATH"), "{}", without.stderr);
    let tool = place.path().join("journalctl");
    let executable = || std::fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
    append(&tool, "#!/bin/sh\n");
    executable();
    let empty = Running::start(place.command(&["logs"]).env("PATH", place.path())).finish();
    assert!(empty.code() == 0 && empty.stderr.contains("you may not read the journal"), "{}", empty.stderr);
    append(
        &tool,
        r#"case "$*" in
"--user -u codex-oauthd -o short-iso -q --show-cursor -n 20000")
    echo "T host codex-oauthd[7]:  INFO codex_oauthd::server: ready"
    echo "T host codex-oauthd[7]:  INFO codex_oauthd::debug: [HTTP] one session=1"
    echo "-- cursor: s=abc;i=1" ;;
"--user -u codex-oauthd -o short-iso -q -f --after-cursor=s=abc;i=1")
    echo "T host codex-oauthd[7]:  INFO codex_oauthd::debug: [HTTP] two session=1" ;;
*) echo "asked for $*" >&2; exit 1 ;;
esac
"#,
    );
    let mut command = place.command(&["logs", "--debug", "-f"]);
    let ran = Running::start(command.env("PATH", place.path())).finish();
    let shown =
        "T host codex-oauthd[7]: [HTTP] one session=1\nT host codex-oauthd[7]: [HTTP] two session=1\n";
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, shown), "{}", ran.stderr);
    assert!(ran.stderr.contains("journalctl --user -u codex-oauthd"), "{}", ran.stderr);
}

#[test]
fn to_look_at_a_daemon_that_systemd_would_start_starts_none_and_finds_one_that_runs() {
    let place = Place::new();
    let unit = ".config/systemd/user/codex-oauthd.socket";
    let install = |home: &Path| {
        create_dir_all(home.join(".config/systemd/user")).unwrap();
        codex_oauth_rig::write(&home.join(unit), "");
    };
    install(place.path());
    // As systemd does, something listens; whoever connects would have it start a daemon.
    let listener = UnixListener::bind(place.path().join("daemon.sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    // The daemon before it has left its name.
    for text in ["", "pid 4194304 /run/daemon.sock\n", "pid 1 /run/daemon.sock\n"] {
        codex_oauth_rig::write(&place.path().join("instance.lock"), text);
        for (args, shown) in [
            (["logs", "-n1"].as_slice(), ""),
            (&["daemon", "status"], "daemon     not running\n"),
            (&["daemon", "stop"], "no daemon was running\n"),
            (&["--version"], "\ndaemon      not running\n"),
        ] {
            let ran = place.run(args);
            assert!(ran.stdout.contains(shown), "{args:?}: {}{}", ran.stdout, ran.stderr);
            let connected = listener.accept().map(drop);
            assert_eq!(connected.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "{args:?} connected");
        }
    }

    let rig = Rig::new();
    let daemon = rig.daemon();
    install(rig.home.path());
    let ran =
        Ran::from(rig.home.command(&binary("codex-oauth")).args(["daemon", "status"]).output().unwrap());
    assert!(ran.stdout.contains(&format!("\nprocess    {} ", daemon.pid())), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_question_with_codex_debug_says_on_standard_error_what_the_daemon_does() {
    for (debugs, stderr) in [("1", "[IPC] Connected to daemon "), ("0", "")] {
        let place = Place::new();
        let daemon = place.daemon(vec![script(|mut session| {
            session.turn();
            session.control("@debug [HTTP] Making POST request");
            session.complete(&json!({ "answer": "so" }));
        })]);
        let ran = Running::start(place.command(&["ask", "x"]).env("CODEX_DEBUG", debugs)).finish();
        assert_eq!((ran.code(), ran.stdout.as_str()), (0, "so\n"));
        assert!(ran.stderr.starts_with(stderr), "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("\n[HTTP] Making POST request\n"), debugs == "1", "{}", ran.stderr);
        daemon.done();
    }
}

#[test]
fn where_debug_lines_and_answer_go_to_one_file_each_begins_on_a_line_of_its_own() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        session.turn();
        for delta in ["a\nsent", "ence in pieces", "\nend"] {
            session.delta(delta);
            session.control("@debug [HTTP] more");
        }
        session.complete(&json!({ "answer": "a\nsentence in pieces\nend" }));
    })]);
    let both = place.path().join("both.txt");
    let file = File::create(&both).unwrap();
    let mut command = place.command(&["ask", "x"]);
    command.env("CODEX_DEBUG", "1").stdout(file.try_clone().unwrap()).stderr(file);
    assert!(command.status().unwrap().success());
    let written = std::fs::read_to_string(&both).unwrap();
    let lines: Vec<&str> = written.lines().skip(1).collect();
    let whole = ["a", "[HTTP] more", "[HTTP] more", "sentence in pieces", "[HTTP] more", "end"];
    assert_eq!(lines, whole, "{written}");
    daemon.done();
}

#[test]
fn right_after_an_answer_its_lines_are_in_the_log() {
    let rig = Rig::new();
    rig.signed_in().kill();
    // The daemon is one that the command starts: its log is the file.
    let Rig { fake: _fake, home } = rig;
    let home = home.spawning();
    let command = |args: &[&str]| {
        let mut command = home.command(&binary("codex-oauth"));
        command.args(args).env("CODEX_DEBUG", "1");
        command
    };
    for n in 0..rounds(100) {
        let asked = Ran::from(command(&["ask", "x"]).output().unwrap());
        assert_eq!(asked.code(), 0, "{}", asked.stderr);
        let last = asked.stderr.lines().rfind(|line| line.starts_with('[')).unwrap();
        let logged = Ran::from(command(&["logs", "--debug"]).output().unwrap());
        assert!(logged.stdout.contains(last), "{n}: {last} is not in\n{}", logged.stdout);
    }
}
