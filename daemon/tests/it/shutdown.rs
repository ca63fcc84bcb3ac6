//! The end: what runs is finished or told, what is new is turned away, nothing is left.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use codex_oauth_proto::api::daemon::{Drain, DrainParams};
use codex_oauth_proto::api::trace::{List, ListParams};
use codex_oauth_proto::hello::Role;
use codex_oauth_rig::scale::{figure, rounds};
use codex_oauth_rig::{Daemon, Lines, Rig, eventually, patience, text_of};
use fake_openai::{Effect, Endpoint, Script};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{call, mcp};

/// Streams open at once when the end comes.
const STREAMS: usize = 50;

#[test]
fn a_drain_lets_running_answers_finish_and_takes_nothing_new() {
    let rig = Rig::new().limits(&[("calls_per_session", 64)]);
    let mut daemon = rig.signed_in();
    rig.fake.script(Script { on: Endpoint::Responses, times: 50, effect: Effect::hold_after(4, "gate") });
    let mut lines = mcp(&rig.home);
    for n in 0..STREAMS {
        call(&mut lines, &json!(n), "codex_query", &json!({"prompt": format!("stream {n}.")}));
    }
    rig.fake.wait_for_request(Endpoint::Responses, STREAMS).unwrap();
    let mut idle = Lines::open(&rig.home, Role::Api);
    daemon.signal(Signal::TERM);
    // The phase is told by a refused turn on a session that is already open.
    eventually("a late turn is refused", || {
        let start = json!({"input": [{"type": "text", "text": "late"}]});
        idle.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "turn/start", "params": start}));
        let answer = idle.answer(&json!(1));
        let Some(error) = answer.get("error") else { return false };
        assert_eq!(error["data"]["code"], "draining", "{answer}");
        true
    });
    rig.fake.release("gate");
    for n in 0..STREAMS {
        let answer = lines.answer(&json!(n));
        assert!(text_of(&answer["result"]).contains(&format!("stream {n}.")), "{answer}");
        assert_ne!(answer["result"]["isError"], true);
    }
    assert!(daemon.wait().success());
    assert!(!rig.home.endpoint().socket().exists());
}

#[test]
fn stalled_answers_end_with_a_word_at_the_drains_deadline_and_not_before() {
    const DRAIN: Duration = Duration::from_millis(500);
    let drain = u64::try_from(DRAIN.as_millis()).unwrap();
    let rig = Rig::new().limits(&[("drain_ms", drain), ("calls_per_session", 64)]);
    let mut daemon = rig.signed_in();
    rig.fake.script(Script { on: Endpoint::Responses, times: 50, effect: Effect::stall_after(6) });
    let mut lines = mcp(&rig.home);
    for n in 0..STREAMS {
        call(&mut lines, &json!(n), "codex_query", &json!({"prompt": "stalled"}));
    }
    let streaming = |entry: &&fake_openai::Entry| entry.endpoint == Endpoint::Responses && entry.events >= 6;
    rig.fake.wait_for(|entries| entries.iter().filter(streaming).count() == STREAMS).unwrap();
    let began = Instant::now();
    daemon.signal(Signal::TERM);
    let mut ended = BTreeSet::new();
    let mut first = None;
    while let Some(answer) = lines.receive() {
        // The signal came after `began`, so this is at most what the daemon waited.
        first.get_or_insert_with(|| began.elapsed());
        let result = &answer["result"];
        assert!(result["isError"] == true && text_of(result).contains("shut down"), "{answer}");
        assert!(ended.insert(answer["id"].as_u64()), "answered twice: {answer}");
    }
    let (first, last) = (first.unwrap(), began.elapsed());
    let measured = format!("{} of {STREAMS}, {first:.1?} to {last:.1?} after the signal", ended.len());
    figure(&format!("drain of {DRAIN:?}: answers"), &measured, "all, at the deadline", first >= DRAIN);
    assert!(first >= DRAIN, "the first ended after {first:?}");
    assert!(ended.into_iter().eq((0..STREAMS as u64).map(Some)), "each has its answer");
    assert!(daemon.wait().success());
}

#[test]
fn a_second_signal_does_not_wait_for_the_deadline() {
    let rig = Rig::new();
    let mut daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::stall_after(4));
    let mut lines = mcp(&rig.home);
    call(&mut lines, &json!(1), "codex_query", &json!({"prompt": "stalled"}));
    rig.fake.wait_for_request(Endpoint::Responses, 1).unwrap();
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::INT);
    assert_eq!(lines.answer(&json!(1))["result"]["isError"], true);
    assert!(daemon.wait().success());
}

#[test]
fn a_request_that_has_left_its_client_is_answered_also_at_the_very_end() {
    const SESSIONS: usize = 16;
    const AHEAD: usize = 8;
    let request = format!("{}\n", json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    let rig = Rig::new();
    for round in 0..rounds(60) {
        let mut daemon = rig.daemon();
        let sessions: Vec<Lines> = (0..SESSIONS).map(|_| Lines::open(&rig.home, Role::Api)).collect();
        let (asks, begun) = channel();
        thread::scope(|scope| {
            for mut lines in sessions {
                let (asks, request) = (asks.clone(), &request);
                scope.spawn(move || {
                    loop {
                        let sent = lines.send_until_full(request.as_bytes(), patience(), AHEAD);
                        let answered = (0..sent).take_while(|_| lines.receive().is_some()).count();
                        assert_eq!(answered, sent, "round {round}");
                        let _known = asks.send(());
                        if sent < AHEAD {
                            return;
                        }
                    }
                });
            }
            begun.iter().take(SESSIONS).for_each(drop);
            daemon.signal(Signal::TERM);
        });
        assert!(daemon.wait().success());
    }
}

#[test]
fn a_client_that_does_not_read_its_answer_does_not_hold_the_end_up() {
    let rig = Rig::new();
    let mut daemon = rig.signed_in();
    let mut lines = Lines::open(&rig.home, Role::Api);
    let start = json!({"input": [{"type": "text", "text": "[[repeat 20000 300]]"}]});
    lines.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "turn/start", "params": start}));
    rig.fake
        .wait_for(|entries| entries.iter().any(|e| e.endpoint == Endpoint::Responses && e.events > 100))
        .unwrap();
    // Two of a kind may arrive as one.
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::INT);
    // Well before the 30 s after which a stalled session is closed: those are the rig's whole patience.
    assert!(daemon.wait().success());
}

#[test]
fn each_orderly_end_leaves_the_database_in_one_file_and_the_start_after_a_kill_finds_its_log() {
    let files = |rig: &Rig| {
        let listed = std::fs::read_dir(rig.home.path().join("state")).unwrap();
        let names = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("state.sqlite")).collect();
        names.sort_unstable();
        names
    };
    let unneeded = Rig::new().limits(&[("idle_ms", 20)]);
    assert!(unneeded.daemon().wait().success());
    assert_eq!(files(&unneeded), ["state.sqlite"]);

    let rig = Rig::new();
    rig.signed_in().kill();
    let ask = || {
        let mut lines = mcp(&rig.home);
        call(&mut lines, &json!(1), "codex_query", &json!({"prompt": "kept"}));
        assert!(text_of(&lines.answer(&json!(1))["result"]).contains("kept"));
    };
    let traces = || rig.api().call::<List>(&ListParams::default()).unwrap().traces.len();
    let drain = |_: &Daemon| {
        rig.api().call::<Drain>(&DrainParams::default()).unwrap();
    };
    let ends: [&dyn Fn(&Daemon); 3] =
        [&|daemon| daemon.signal(Signal::TERM), &|daemon| daemon.signal(Signal::INT), &drain];
    for (round, end) in (0..).zip(ends) {
        let mut daemon = rig.daemon();
        ask();
        end(&daemon);
        assert!(daemon.wait().success());
        assert_eq!(files(&rig), ["state.sqlite"]);
        let daemon = rig.daemon();
        ask();
        // Who asks waits for the commit.
        assert_eq!(traces(), 2 * round + 2);
        daemon.kill();
        assert_eq!(files(&rig), ["state.sqlite", "state.sqlite-shm", "state.sqlite-wal"]);
    }
    let _daemon = rig.daemon();
    assert_eq!(traces(), 6);
}

#[test]
fn a_browser_that_a_login_opened_does_not_keep_the_daemon() {
    let rig = Rig::new();
    let mut daemon = rig.daemon();
    let opener = rig.home.path().join("browser");
    rig.home.script(&opener, "#!/bin/sh\necho $$ > \"$0.pid\"\nexec sleep 60\n");
    let mut lines = Lines::connect(&rig.home);
    let mut hello = Lines::hello(&rig.home, Role::Api);
    hello["hello"]["env"] = json!({"DISPLAY": ":0", "BROWSER": opener});
    lines.send(&hello);
    lines.receive().expect("a welcome");
    let params = json!({"openBrowser": true});
    lines.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "account/login/start", "params": params}));
    assert_eq!(lines.answer(&json!(1))["result"]["browserOpened"], true);
    let pid_file = opener.with_extension("pid");
    eventually("the opener runs", || {
        std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))
    });
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let browser = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(browser, Signal::KILL).expect("the browser outlives the daemon");
}
