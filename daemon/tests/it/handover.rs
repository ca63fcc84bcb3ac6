//! One daemon after another: nothing that was asked is lost, and nobody waits for the old one's answers.

use std::time::{Duration, Instant};

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::daemon::{Drain, DrainParams, Status};
use codex_oauth_proto::hello::Role;
use codex_oauth_rig::scale::{Seeded, figure, rounds};
use codex_oauth_rig::{Lines, Rig, Shim, eventually, text_of};
use fake_openai::{Effect, Endpoint};
use rustix::process::Signal;
use serde_json::json;

use crate::login::{auth_json, expired, put};
use crate::support::{call, mcp, status_of};

/// From the word that the old daemon has to go to an answer of the next one.
const PROMISED: Duration = Duration::from_secs(1);

/// Until the first pieces of an answer are on their way.
fn streaming(rig: &Rig) {
    let begun = |entries: &[fake_openai::Entry]| {
        entries.iter().any(|entry| entry.endpoint == Endpoint::Responses && entry.events >= 4)
    };
    rig.fake.wait_for(begun).unwrap();
}

#[test]
fn the_next_daemon_answers_at_once_while_the_old_one_finishes_its_stream() {
    let mut rig = Rig::new();
    let mut old = rig.signed_in();
    rig.home = rig.home.spawning();
    rig.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!("long"), "codex_query", &json!({"prompt": "long"}));
    streaming(&rig);
    let mut asking = rig.api();
    old.signal(Signal::TERM);
    let began = Instant::now();
    eventually("the socket is free", || !rig.home.endpoint().socket().exists());
    let mut fresh = Shim::initialized(&rig.home);
    assert!(text_of(&fresh.request_tool("codex_query", &json!({"prompt": "new"}))).contains("new"));
    let answered = began.elapsed();
    assert_ne!(status_of(&rig.home)["pid"], old.pid(), "another daemon serves");
    // The session with the stream goes on with the new daemon, and keeps what it has at the old one.
    assert!(text_of(&shim.request_tool("codex_query", &json!({"prompt": "second"}))).contains("second"));
    // A command line that was there before is still answered.
    let status = asking.call::<Status>(&Empty {}).unwrap();
    assert_eq!((status.pid, status.phase.as_str(), status.turns_running), (old.pid(), "draining", 1));
    rig.fake.release("gate");
    let long = shim.answer(&json!("long"));
    assert!(text_of(&long["result"]).contains("long") && long["result"]["isError"] != true, "{long}");
    assert!(old.wait().success());
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 3);
    figure(
        "hand-over: the next daemon's first answer",
        &format!("{answered:?}"),
        "1 s",
        answered <= PROMISED,
    );
}

#[test]
fn calls_that_cross_a_hand_over_are_answered_once() {
    const CALLS: u32 = 8;
    let mut seeded = Seeded::new("calls_that_cross_a_hand_over_are_answered_once");
    let mut rig = Rig::new();
    let first = rig.signed_in();
    rig.home = rig.home.spawning();
    let mut shims: Vec<Shim> = (0..4).map(|_| Shim::initialized(&rig.home)).collect();
    let mut asked = 0;
    let rounds = rounds(200);
    for round in 0..rounds {
        let at = seeded.below(u64::from(CALLS));
        for n in 0..CALLS {
            if u64::from(n) == at {
                drain(&rig);
            }
            for shim in &mut shims {
                shim.call(
                    &json!(format!("{round}/{n}")),
                    "codex_query",
                    &json!({"prompt": format!("{round}.{n}")}),
                );
                asked += 1;
            }
        }
        for n in 0..CALLS {
            for shim in &mut shims {
                let answer = shim.answer(&json!(format!("{round}/{n}")));
                let text = text_of(&answer["result"]);
                assert!(
                    text.contains(&format!("{round}.{n}")) && answer["result"]["isError"] != true,
                    "{answer}"
                );
            }
        }
    }
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), asked, "each was sent upstream once");
    drop(first);
    // One opens the database while another closes it.
    let log = std::fs::read_to_string(rig.home.path().join("state/daemon.log")).unwrap();
    assert!(log.contains("handed over") && !log.contains("answers are not kept"), "{log}");
}

/// Asks the daemon that serves to hand over.
fn drain(rig: &Rig) {
    rig.api().call::<Drain>(&DrainParams { reason: "test".to_owned() }).unwrap();
}

#[test]
fn a_refresh_in_flight_is_finished_before_the_next_daemon_gets_the_login() {
    let mut rig = Rig::new();
    let mut old = rig.signed_in();
    rig.home = rig.home.spawning();
    let mut shim = Shim::initialized(&rig.home);
    rig.fake.expire_access_tokens();
    rig.fake.next(Endpoint::Refresh, Effect::hold_answer("answer"));
    shim.call(&json!(1), "codex_query", &json!({"prompt": "renewed"}));
    rig.fake.wait_for_request(Endpoint::Refresh, 1).unwrap();
    old.signal(Signal::TERM);
    eventually("it drains", || {
        let mut lines = Lines::connect(&rig.home);
        lines.send(&Lines::hello(&rig.home, Role::Api));
        lines.receive().expect("a word")["refusal"]["error"]["code"] == "draining"
    });
    let mut told = Shim::spawn(&rig.home);
    told.call(&json!(1), "codex_status", &json!({}));
    let text = text_of(&told.answer(&json!(1))["result"]);
    assert!(
        text.contains("has not let go of the login yet")
            && text.contains(&format!("pid {}", old.pid()))
            && text.ends_with("\nnext: try again in 5 s"),
        "{text}"
    );
    let mut served = Shim::spawn(&rig.home);
    served.send(&json!({"jsonrpc": "2.0", "id": "list", "method": "tools/list"}));
    rig.fake.release("answer");
    assert!(text_of(&shim.answer(&json!(1))["result"]).contains("renewed"));
    served.answer(&json!("list"));
    let mut next = Shim::initialized(&rig.home);
    assert!(text_of(&next.request_tool("codex_query", &json!({"prompt": "next"}))).contains("next"));
    assert!(old.wait().success());
    assert_eq!(rig.fake.requests(Endpoint::Refresh).len(), 1, "the pair of the one refresh served both");
}

#[test]
fn an_answer_that_needs_another_token_after_the_hand_over_says_to_try_again() {
    let mut rig = Rig::new();
    let mut old = rig.signed_in();
    rig.home = rig.home.spawning();
    let mut shim = Shim::initialized(&rig.home);
    rig.fake.next(Endpoint::Responses, Effect::hold("late"));
    shim.call(&json!(1), "codex_query", &json!({"prompt": "late"}));
    rig.fake.wait_for_request(Endpoint::Responses, 1).unwrap();
    rig.fake.expire_access_tokens();
    old.signal(Signal::TERM);
    eventually("the socket is free", || !rig.home.endpoint().socket().exists());
    rig.fake.release("late");
    let result = shim.answer(&json!(1))["result"].clone();
    let text = text_of(&result);
    assert!(result["isError"] == true && text.contains("\nnext: try again\n"), "{text}");
    assert!(old.wait().success());
    assert_eq!(rig.fake.requests(Endpoint::Refresh).len(), 0, "no lock, no refresh");
    assert!(text_of(&shim.request_tool("codex_query", &json!({"prompt": "again"}))).contains("again"));
}

#[test]
fn a_call_that_the_old_daemon_cannot_carry_out_is_left_to_the_next_and_costs_the_others_nothing() {
    let mut rig = Rig::new();
    let mut old = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    let mut lines = mcp(&rig.home);
    call(&mut lines, &json!(1), "codex_query", &json!({"prompt": "long"}));
    streaming(&rig);
    let mut record = auth_json(&rig);
    record["openai_codex"]["access_token"] = json!(expired(&rig));
    record["openai_codex"]["expires_at"] = json!(1);
    put(&rig, &record.to_string());
    old.signal(Signal::TERM);
    eventually("the socket is free", || !rig.home.endpoint().socket().exists());
    // It crosses the word of the hand-over, and needs a token that only the next daemon may get.
    call(&mut lines, &json!(2), "codex_query", &json!({"prompt": "crossing"}));
    rig.fake.release("gate");
    let rest: Vec<_> = std::iter::from_fn(|| lines.receive()).collect();
    let ids: Vec<_> = rest.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!(1)], "no answer to what the next daemon has to answer");
    assert!(text_of(&rest[0]["result"]).contains("long"));
    assert!(old.wait().success());
    rig.home = rig.home.spawning();
    let mut shim = Shim::initialized(&rig.home);
    assert!(text_of(&shim.request_tool("codex_query", &json!({"prompt": "next"}))).contains("next"));
}

#[test]
fn a_quiet_session_whose_daemon_went_away_reconnects_when_it_next_speaks() {
    let mut rig = Rig::new();
    let mut old = rig.signed_in();
    rig.home = rig.home.spawning();
    let mut shim = Shim::initialized(&rig.home);
    old.signal(Signal::TERM);
    assert!(old.wait().success());
    assert!(!rig.home.endpoint().socket().exists(), "a quiet session starts nothing");
    assert!(text_of(&shim.request_tool("codex_query", &json!({"prompt": "back"}))).contains("back"));
}
