//! The log costs nobody an answer, whatever becomes of it; and what a running daemon does when it is signalled.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use codex_oauth_proto::api::{Empty, daemon};
use codex_oauth_rig::scale::{Seeded, rounds};
use codex_oauth_rig::{Rig, Shim, binary, eventually, text_of};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::process::Process;

/// A daemon whose standard error is `stderr`.
fn daemon(rig: &Rig, stderr: impl Into<Stdio>) -> Process {
    let process = Process::start(&mut command(rig, stderr));
    // The path is there before anybody listens.
    eventually("it listens", || UnixStream::connect(rig.home.endpoint().socket()).is_ok());
    process
}

fn command(rig: &Rig, stderr: impl Into<Stdio>) -> Command {
    let mut command = rig.home.command(&binary("codex-oauthd"));
    command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    command
}

/// What lies where a starter puts the log.
fn log_file(rig: &Rig) -> PathBuf {
    std::fs::create_dir_all(rig.home.path().join("state")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(rig.home.path().join("state"), mode).unwrap();
    rig.home.path().join("state/daemon.log")
}

fn open(path: &PathBuf) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

fn text(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn lost(rig: &Rig) -> u64 {
    rig.api().call::<daemon::Status>(&Empty {}).unwrap().log_lines_lost
}

#[test]
fn a_log_that_nobody_reads_or_that_has_no_room_costs_lines_and_no_answers() {
    let (reader, writer) = std::io::pipe().unwrap();
    for stderr in
        [Stdio::from(writer), Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap())]
    {
        let rig = Rig::new();
        let daemon = daemon(&rig, stderr);
        rig.sign_in();
        // Every session logs a few lines; a pipe and the queue before it hold some thousand.
        eventually("lines are lost, and counted", || lost(&rig) > 0);
        let mut shim = Shim::initialized(&rig.home);
        shim.call(&json!(1), "codex_query", &json!({"prompt": "logless"}));
        assert!(text_of(&shim.answer(&json!(1))["result"]).contains("logless"));
        kill_process(daemon.pid(), Signal::TERM).unwrap();
        assert!(daemon.finish().status.success());
    }
    drop(reader);
}

#[test]
fn a_log_of_ones_own_is_opened_again_on_hup_and_tells_the_status_on_usr1() {
    let rig = Rig::new();
    let log = log_file(&rig);
    let daemon = daemon(&rig, open(&log));
    eventually("the start is logged", || text(&log).contains(": ready "));
    let own = std::process::id();
    assert!(text(&log).contains(&format!("({own})")), "who started it is told: {}", text(&log));
    let moved = log.with_extension("moved");
    Command::new("mv").args([&log, &moved]).status().unwrap();
    kill_process(daemon.pid(), Signal::HUP).unwrap();
    eventually("the log goes on at its path", || text(&log).contains("the log was opened again"));
    assert_eq!(log.metadata().unwrap().mode() & 0o777, 0o600);
    kill_process(daemon.pid(), Signal::USR1).unwrap();
    eventually("the status is logged", || text(&log).contains("\"phase\":\"serving\""));
    let before = text(&moved);
    rig.sign_in();
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!(1), "codex_query", &json!({"prompt": "FAKE words of a person"}));
    assert!(text_of(&shim.answer(&json!(1))["result"]).contains("words"));
    eventually("the turn is logged under its session", || {
        text(&log).lines().any(|line| {
            line.contains("session{n=") && line.contains("turn{id=") && line.contains("turn ended")
        })
    });
    assert!(!text(&log).contains("words of a person"));
    kill_process(daemon.pid(), Signal::TERM).unwrap();
    assert!(daemon.finish().status.success());
    assert!(text(&log).contains(": ended"), "the last line is written: {}", text(&log));
    assert_eq!(text(&moved), before);
}

#[test]
fn the_journal_gets_no_second_time() {
    let rig = Rig::new();
    for (is_journal, timed) in [(false, true), (true, false)] {
        let log = rig.home.path().join(format!("journal-{is_journal}"));
        let file = open(&log);
        let found = file.metadata().unwrap();
        let mut command = command(&rig, file);
        if is_journal {
            command.env("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino()));
        }
        let daemon = Process::start(&mut command);
        eventually("the start is logged", || text(&log).contains(": ready "));
        kill_process(daemon.pid(), Signal::TERM).unwrap();
        assert!(daemon.finish().status.success());
        let line = text(&log).lines().find(|line| line.contains(": ready ")).unwrap().to_owned();
        assert_eq!(line.starts_with("20"), timed, "{line}");
    }
}

#[test]
fn a_storm_of_signals_under_load_is_one_drain_and_a_clean_end() {
    let rig = Rig::new();
    let log = rig.home.path().join("storm.log");
    let daemon = daemon(&rig, open(&log));
    rig.sign_in();
    let mut seeded = Seeded::new("a_storm_of_signals");
    let storm = rounds(1_000);
    let pid = daemon.pid();
    std::thread::scope(|scope| {
        for asker in 0..4 {
            let mut shim = Shim::initialized(&rig.home);
            scope.spawn(move || {
                // Until the daemon is gone: every question is answered, with words or with the reason why not.
                for n in 0.. {
                    let prompt = format!("asker {asker} question {n}");
                    shim.call(&json!(n), "codex_query", &json!({"prompt": prompt}));
                    let result = shim.answer(&json!(n))["result"].clone();
                    if result["isError"] == true {
                        return;
                    }
                    assert!(text_of(&result).contains(&prompt), "{result}");
                }
            });
        }
        // The storm is over the daemon's head: the end comes in the second half of it.
        for n in 0..storm {
            let ends = n >= storm / 2 && seeded.below(4) == 0;
            let signal = match (ends, seeded.below(2)) {
                (true, 0) => Signal::TERM,
                (true, _) => Signal::INT,
                (false, 0) => Signal::HUP,
                (false, _) => Signal::USR1,
            };
            // Nobody is left to be signalled once it has ended; it is not reaped before the end of this test.
            kill_process(pid, signal).unwrap();
            std::thread::yield_now();
        }
        kill_process(pid, Signal::TERM).unwrap();
    });
    assert!(daemon.finish().status.success());
    assert_eq!(text(&log).matches(": draining ").count(), 1, "one drain");
}

#[test]
fn what_a_starter_cannot_open_is_no_reason_not_to_serve() {
    let rig = Rig::new();
    std::fs::create_dir_all(log_file(&rig)).unwrap();
    let mut client = {
        let home = rig.home.env().with("CODEX_OAUTH_NO_SPAWN", "0");
        codex_oauth_proto::Client::open_or_start(&home).unwrap()
    };
    let status = client.call::<daemon::Status>(&Empty {}).unwrap();
    let pid = Pid::from_raw(i32::try_from(status.pid).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    while client.notification().is_ok() {}
}
