//! Questions whose client lost its connection, stopped waiting, or died: joined, kept, never asked twice.

use codex_oauth_proto::api::{Empty, daemon, turn};
use codex_oauth_proto::hello::Role;
use codex_oauth_rig::{Lines, Rig, Shim, binary, eventually, text_of};
use fake_openai::{Effect, Endpoint, Entry};
use serde_json::{Value, json};

/// A session of one client, with requests that an earlier one of it left unanswered.
fn session(rig: &Rig, nonce: &str, next: u64, resume: &Value) -> Lines {
    let mut lines = Lines::connect(&rig.home);
    let mut hello = Lines::hello(&rig.home, Role::Mcp);
    let fields = hello["hello"].as_object_mut().unwrap();
    fields.extend([
        ("nonce".to_owned(), json!(nonce)),
        ("next".to_owned(), json!(next)),
        ("resume".to_owned(), resume.clone()),
    ]);
    lines.send(&hello);
    let welcome = lines.receive().unwrap();
    assert!(welcome["welcome"].is_object(), "{welcome}");
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
    lines.send(&json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params}));
    lines.answer(&json!("init"));
    lines.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    lines
}

fn ask(lines: &mut Lines, prompt: &str) {
    crate::support::call(lines, &json!("q"), "codex_query", &json!({"prompt": prompt}));
}

fn streaming(entries: &[Entry], count: usize) -> bool {
    entries.iter().filter(|e| e.endpoint == Endpoint::Responses && e.events >= 4).count() == count
}

#[test]
fn a_running_turn_is_joined_an_ended_one_gives_its_answer_and_an_unlisted_request_is_another() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    let mut first = session(&rig, "client", 1, &json!([]));
    ask(&mut first, "paid for once");
    rig.fake.wait_for(|entries| streaming(entries, 1)).unwrap();
    drop(first);
    let mut api = rig.api();
    eventually("its end is seen", || api.call::<daemon::Status>(&Empty {}).unwrap().sessions == 1);
    // `initialize` was its first request, the question its second.
    let listed = json!([{"n": 2, "id": "q", "sent": true}]);
    let mut joined = session(&rig, "client", 3, &listed);
    ask(&mut joined, "paid for once");
    // The same number without being listed is a new request of another session that counts from 1.
    let mut other = session(&rig, "client", 1, &json!([]));
    ask(&mut other, "another");
    assert!(text_of(&other.answer(&json!("q"))["result"]).contains("another"));
    rig.fake.release("gate");
    assert!(text_of(&joined.answer(&json!("q"))["result"]).contains("paid for once"));
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 2);

    let mut first = session(&rig, "later", 1, &json!([]));
    ask(&mut first, "kept");
    assert!(text_of(&first.answer(&json!("q"))["result"]).contains("kept"));
    for _ in 0..2 {
        let mut again = session(&rig, "later", 3, &json!([{"n": 2, "id": "q", "sent": true}]));
        ask(&mut again, "kept");
        assert!(text_of(&again.answer(&json!("q"))["result"]).contains("kept"));
    }
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 3);
    // Of what may have been sent nobody knows the end; so it is with a client that does not say.
    for resume in [json!([{"n": 9, "id": "q", "sent": true}]), json!([{"n": 9, "id": "q"}])] {
        let mut lost = session(&rig, "later", 10, &resume);
        ask(&mut lost, "lost");
        assert!(text_of(&lost.answer(&json!("q"))["result"]).contains("may have been charged"));
    }
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 3);
    let mut unsent = session(&rig, "later", 12, &json!([{"n": 11, "id": "q", "sent": false}]));
    ask(&mut unsent, "never sent");
    assert!(text_of(&unsent.answer(&json!("q"))["result"]).contains("never sent"));
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 4);
}

#[test]
fn before_anything_goes_upstream_the_client_is_told_and_so_is_whoever_joins() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Models, Effect::hold("models"));
    let mut first = session(&rig, "client", 1, &json!([]));
    ask(&mut first, "told");
    rig.fake.wait_for_request(Endpoint::Models, 1).unwrap();
    rig.fake.next(Endpoint::Responses, Effect::hold("answer"));
    rig.fake.release("models");
    assert_eq!(first.receive_text().as_deref(), Some("@sent 2\n"));
    rig.fake.wait_for_request(Endpoint::Responses, 1).unwrap();
    drop(first);
    let mut joined = session(&rig, "client", 3, &json!([{"n": 2, "id": "q", "sent": true}]));
    ask(&mut joined, "told");
    assert_eq!(joined.receive_text().as_deref(), Some("@sent 2\n"));
    rig.fake.release("answer");
    assert!(text_of(&joined.answer(&json!("q"))["result"]).contains("told"));
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 1);
}

#[test]
fn a_client_that_is_gone_before_its_question_is_sent_gets_its_answer_kept() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Models, Effect::hold("models"));
    let mut gone = session(&rig, "client", 1, &json!([]));
    ask(&mut gone, "nobody waits");
    rig.fake.wait_for_request(Endpoint::Models, 1).unwrap();
    drop(gone);
    rig.fake.release("models");
    let mut api = rig.api();
    eventually("its answer is kept", || {
        let kept = api.call::<turn::List>(&Empty {}).unwrap().turns;
        kept.iter().any(|kept| kept.outcome.answer.as_ref().is_some_and(|text| text.contains("nobody waits")))
    });
}

#[test]
fn the_same_question_after_a_timeout_gets_the_answer_that_was_paid_for_and_once() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    for running in [true, false] {
        let before = rig.fake.requests(Endpoint::Responses).len();
        let prompt = format!("slow, running {running}.");
        // A gate stays open once it is.
        let gate = format!("gate {running}");
        rig.fake.next(Endpoint::Responses, Effect::hold_after(4, &gate));
        shim.call(&json!("q"), "codex_query", &json!({"prompt": prompt}));
        rig.fake.wait_for(|entries| streaming(entries, before + 1)).unwrap();
        let params = json!({"requestId": "q", "reason": "SdkError: Request timed out"});
        shim.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
        assert_eq!(shim.request(&json!("ping"), "ping", &json!({}))["result"], json!({}));
        if !running {
            rig.fake.release(&gate);
            let mut api = rig.api();
            eventually("its answer is kept", || {
                let kept = api.call::<turn::List>(&Empty {}).unwrap().turns;
                kept.iter()
                    .any(|kept| kept.outcome.answer.as_ref().is_some_and(|text| text.contains(&prompt)))
            });
        }
        shim.call(&json!("again"), "codex_query", &json!({"prompt": prompt}));
        if running {
            assert_eq!(shim.request(&json!("ping"), "ping", &json!({}))["result"], json!({}));
            rig.fake.release(&gate);
        }
        let text = text_of(&shim.answer(&json!("again"))["result"]);
        assert!(text.contains(&prompt) && text.contains("was asked before"), "{text}");
        assert_eq!(rig.fake.requests(Endpoint::Responses).len(), before + 1);
        // It was given out: whoever asks once more wants another.
        shim.call(&json!("more"), "codex_query", &json!({"prompt": prompt}));
        let text = text_of(&shim.answer(&json!("more"))["result"]);
        assert!(text.contains(&prompt) && !text.contains("was asked before"), "{text}");
        assert_eq!(rig.fake.requests(Endpoint::Responses).len(), before + 2);
    }
}

#[test]
fn an_answer_that_crossed_its_clients_timeout_is_given_again_and_paid_for_once() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    let question = json!({"prompt": "at the last moment"});
    shim.call(&json!("q"), "codex_query", &question);
    assert!(text_of(&shim.answer(&json!("q"))["result"]).contains("at the last moment"));
    // Sent before that was read.
    let params = json!({"requestId": "q", "reason": "SdkError: Request timed out"});
    shim.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    for (id, was_asked, requests) in [("again", true, 1), ("more", false, 2)] {
        shim.call(&json!(id), "codex_query", &question);
        let text = text_of(&shim.answer(&json!(id))["result"]);
        assert!(text.contains("at the last moment"), "{text}");
        assert_eq!(text.contains("was asked before"), was_asked, "{text}");
        assert_eq!(rig.fake.requests(Endpoint::Responses).len(), requests, "{id}");
    }
}

#[test]
fn the_answer_of_a_dead_shim_is_kept_and_shown_also_by_the_next_daemon() {
    let rig = Rig::new();
    let daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!("q"), "codex_query", &json!({"prompt": "for nobody"}));
    rig.fake.wait_for(|entries| streaming(entries, 1)).unwrap();
    drop(shim);
    rig.fake.release("gate");
    let answers = |which: &[&str]| {
        let output = rig.home.command(&binary("codex-oauth")).arg("answers").args(which).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    eventually("its answer is kept", || !answers(&[]).is_empty());
    let id = answers(&[]).split_whitespace().next().unwrap().to_owned();
    assert!(answers(&["last"]).contains("for nobody") && answers(&[&id]).contains("for nobody"));
    daemon.kill();
    let _daemon = rig.daemon();
    assert!(answers(&["last"]).contains("for nobody"));
    let output = rig.home.command(&binary("codex-oauth")).args(["answers", "none"]).output().unwrap();
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("kept for ten minutes")
    );
}

#[test]
fn a_turn_whose_answer_cannot_be_kept_is_asked_and_after_a_loss_it_is_not_asked_again() {
    let rig = Rig::new();
    let state = rig.home.path().join("state/state.sqlite");
    std::fs::create_dir_all(&state).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(state.parent().unwrap(), private).unwrap();
    let daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!("fine"), "codex_query", &json!({"prompt": "no history"}));
    assert!(text_of(&shim.answer(&json!("fine"))["result"]).contains("no history"));
    shim.call(&json!("status"), "codex_status", &json!({}));
    let status = text_of(&shim.answer(&json!("status"))["result"]);
    assert!(status.contains("answers are not kept") && status.contains("state.sqlite"), "{status}");
    rig.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    shim.call(&json!("lost"), "codex_query", &json!({"prompt": "lost"}));
    rig.fake.wait_for(|entries| streaming(entries, 2)).unwrap();
    daemon.kill();
    // With room again, the next daemon could know nothing of it.
    std::fs::remove_dir(&state).unwrap();
    let _daemon = rig.daemon();
    assert!(text_of(&shim.answer(&json!("lost"))["result"]).contains("may have been charged"));
    shim.call(&json!("after"), "codex_query", &json!({"prompt": "after"}));
    assert!(text_of(&shim.answer(&json!("after"))["result"]).contains("after"));
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 3);
}
