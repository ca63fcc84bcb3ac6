//! Calls that overlap, repeat, grow, are called off, or lose their caller.

use codex_oauth_rig::{Rig, Shim, eventually, text_of};
use fake_openai::{Effect, Endpoint, Entry, Outcome, Script};
use serde_json::{Value, json};

#[test]
fn sixteen_calls_in_flight_each_get_their_own_answer() {
    const CALLS: usize = 16;
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.script(Script { on: Endpoint::Responses, times: 16, effect: Effect::hold("gate") });
    let mut shim = Shim::initialized(&rig.home);
    for n in 0..CALLS {
        shim.call(&json!(n), "codex_query", &json!({"prompt": format!("question number {n}.")}));
    }
    rig.fake.wait_for_request(Endpoint::Responses, CALLS).expect("all are under way at once");
    rig.fake.release("gate");
    let mut seen = [false; CALLS];
    for _ in 0..CALLS {
        let answer = shim.receive().unwrap();
        let n = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
        assert!(text_of(&answer["result"]).contains(&format!("question number {n}.")), "{answer}");
        assert!(!std::mem::replace(&mut seen[n], true), "{n} was answered twice");
    }
}

#[test]
fn a_repeated_id_gets_an_answer_each_time() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    // One after the other, as simple clients do, and two at once.
    for prompt in ["one", "two"] {
        shim.call(&json!(1), "codex_query", &json!({"prompt": prompt}));
        assert!(text_of(&shim.answer(&json!(1))["result"]).contains(prompt));
    }
    rig.fake.script(Script { on: Endpoint::Responses, times: 2, effect: Effect::hold("gate") });
    for prompt in ["three", "four"] {
        shim.call(&json!(1), "codex_query", &json!({"prompt": prompt}));
    }
    rig.fake.wait_for_request(Endpoint::Responses, 4).unwrap();
    rig.fake.release("gate");
    let both = [1, 2].map(|_| text_of(&shim.answer(&json!(1))["result"])).join(" ");
    assert!(both.contains("three") && both.contains("four"), "{both}");
}

#[test]
fn an_answer_of_six_megabytes_arrives_whole() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!(1), "codex_query", &json!({"prompt": "[[repeat 20000 300]]"}));
    let result = shim.answer(&json!(1))["result"].clone();
    let answer = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(answer.len(), 6_000_000, "{}", result["content"][1]);
}

#[test]
fn calling_a_question_off_closes_the_stream_upstream_and_gets_no_answer() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::stall_after(4));
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!("q"), "codex_query", &json!({"prompt": "never mind"}));
    rig.fake
        .wait_for(|entries| entries.iter().any(|e| e.endpoint == Endpoint::Responses && e.events >= 4))
        .unwrap();
    assert!(!rig.fake.journal().iter().any(Entry::client_gone), "it runs until it is called off");
    let params = json!({"requestId": "q", "reason": "AbortError: user-cancel"});
    shim.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    rig.fake.wait_for(|entries| entries.iter().any(Entry::client_gone)).expect("the stream is closed");
    // A late answer would come before that of a whole further question.
    shim.call(&json!("after"), "codex_query", &json!({"prompt": "and now"}));
    let answer = loop {
        let message = shim.receive().unwrap();
        assert_ne!(message["id"], "q", "a question that was called off was answered: {message}");
        if message["id"] == "after" {
            break message;
        }
    };
    assert!(text_of(&answer["result"]).contains("and now"), "{answer}");
    let sent = rig.fake.requests(Endpoint::Responses);
    let [off, after] = &sent[..] else { panic!("{sent:?}") };
    assert!(off.client_gone() && off.events == 4 && off.at_unix_ms <= after.at_unix_ms, "{off:?}");
    assert_eq!(after.outcome, Outcome::Complete);
}

#[test]
fn a_clients_timeout_or_death_leaves_the_turn_running_to_its_end() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.script(Script { on: Endpoint::Responses, times: 2, effect: Effect::hold_after(4, "gate") });
    let mut patient = Shim::initialized(&rig.home);
    patient.call(&json!("q"), "codex_query", &json!({"prompt": "timed out"}));
    let mut mortal = Shim::initialized(&rig.home);
    mortal.call(&json!("q"), "codex_query", &json!({"prompt": "client gone"}));
    let streaming = |entries: &[Entry]| {
        entries.iter().filter(|e| e.endpoint == Endpoint::Responses && e.events >= 4).count() == 2
    };
    rig.fake.wait_for(streaming).unwrap();
    let params = json!({"requestId": "q", "reason": "SdkError: Request timed out"});
    patient.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    assert_eq!(patient.request(&json!("after"), "ping", &json!({}))["result"], json!({}));
    drop(mortal);
    let sessions = |api: &mut codex_oauth_proto::Client| {
        api.call::<codex_oauth_proto::api::daemon::Status>(&codex_oauth_proto::api::Empty {}).unwrap()
    };
    let mut api = rig.api();
    eventually("the dead shim's session ends", || sessions(&mut api).sessions <= 2);
    assert_eq!(sessions(&mut api).turns_running, 2, "both turns go on");
    rig.fake.release("gate");
    eventually("both turns end", || sessions(&mut api).turns_running == 0);
    let sent = rig.fake.requests(Endpoint::Responses);
    assert!(sent.iter().all(|entry| !entry.client_gone()), "{sent:?}");
}

#[test]
fn progress_is_told_while_it_lasts_and_always_rises() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::overloaded().after(std::time::Duration::ZERO));
    rig.fake.next(Endpoint::Responses, Effect::hold("gate"));
    let mut shim = Shim::initialized(&rig.home);
    let params = json!({
        "name": "codex_query", "arguments": {"prompt": "slowly"}, "_meta": {"progressToken": 7}
    });
    shim.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}));
    let mut last = -1.0;
    let mut texts = Vec::new();
    for _ in 0..2 {
        let told: Value = shim.receive().unwrap();
        assert_eq!(
            (&told["method"], &told["params"]["progressToken"]),
            (&json!("notifications/progress"), &json!(7))
        );
        let progress = told["params"]["progress"].as_f64().unwrap();
        assert!(progress > last, "{told}");
        last = progress;
        texts.push(told["params"]["message"].as_str().unwrap().to_owned());
    }
    assert!(
        texts.iter().any(|text| text.starts_with("retry 1/") || text.starts_with("thinking")),
        "{texts:?}"
    );
    rig.fake.release("gate");
    assert!(text_of(&shim.answer(&json!(1))["result"]).contains("slowly"));
}

#[test]
fn one_call_too_many_is_told_so_and_the_others_go_on() {
    let rig = Rig::new().limits(&[("calls_per_session", 2)]);
    let _daemon = rig.signed_in();
    rig.fake.script(Script { on: Endpoint::Responses, times: 2, effect: Effect::hold("gate") });
    let mut shim = Shim::initialized(&rig.home);
    for n in 0..3 {
        shim.call(&json!(n), "codex_query", &json!({"prompt": "p"}));
    }
    let refused = shim.receive().unwrap();
    assert!(
        refused["result"]["isError"] == true && text_of(&refused["result"]).contains("2 calls"),
        "{refused}"
    );
    rig.fake.wait_for_request(Endpoint::Responses, 2).unwrap();
    rig.fake.release("gate");
    for _ in 0..2 {
        assert_ne!(shim.receive().unwrap()["result"]["isError"], true);
    }
}

#[test]
fn a_refusal_is_not_lost_while_the_client_reads_slowly_and_other_answers_end() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut lines = crate::support::mcp(&rig.home);
    crate::support::call(&mut lines, &json!(1), "codex_query", &json!({"prompt": "[[repeat 20000 300]]"}));
    let answered = |entries: &[Entry]| {
        entries.iter().any(|e| e.endpoint == Endpoint::Responses && e.outcome == Outcome::Complete)
    };
    rig.fake.wait_for(answered).unwrap();
    // Each of these has to wait for the six megabytes that nobody reads yet.
    lines.send(&json!({"id": 2, "method": "tools/list"}));
    lines.send(&json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": [1]}));
    for id in 4..20 {
        lines.send(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}));
    }
    for id in 1..20 {
        let answer = lines.answer(&json!(id));
        assert_eq!(answer.get("error").is_some(), id == 2 || id == 3, "{id}");
    }
}

#[test]
fn a_client_that_never_reads_is_soon_not_read_either() {
    const MOST: usize = 200_000;
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut lines = crate::support::mcp(&rig.home);
    let ask = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n";
    let taken = lines.send_until_full(ask, std::time::Duration::from_millis(500), MOST);
    // What the kernel holds in both directions, and a few dozen requests in hand.
    assert!(taken < 20_000, "{taken} requests were taken without one answer being read");
}

#[test]
fn a_question_whose_client_has_only_finished_speaking_is_still_answered() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::hold("gate"));
    let mut lines = crate::support::mcp(&rig.home);
    crate::support::call(&mut lines, &json!(1), "codex_query", &json!({"prompt": "half closed"}));
    rig.fake.wait_for_request(Endpoint::Responses, 1).unwrap();
    lines.finish();
    rig.fake.release("gate");
    assert!(text_of(&lines.answer(&json!(1))["result"]).contains("half closed"));
    assert_eq!(lines.receive(), None);
}
