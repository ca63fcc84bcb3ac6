//! Many sessions ask at once on a token that has ended: one refresh, no failure, whatever a second use of the refresh token
//! would cost and however long the first one takes (WIRE §11).

use std::io::Write as _;

use codex_oauth_rig::scale::{Seeded, rounds};
use codex_oauth_rig::{Lines, Rig, text_of};
use fake_openai::{Endpoint, MintRequest, ReusePolicy};
use serde_json::{Value, json};

use crate::support::{call, mcp};

/// How long the issuer takes to grant and to refuse a refresh, in milliseconds: the rows of WIRE §11, where a slow grant and a
/// fast refusal are what ended the official client's processes.
const TIMINGS: [(u64, u64); 4] = [(200, 200), (500, 100), (1_000, 100), (1_500, 50)];

/// Sessions of the whole test, and questions of each.
const SESSIONS: u32 = 50;
const QUESTIONS: usize = 10;

#[test]
fn five_hundred_questions_on_an_ended_token_cost_one_refresh_under_every_reuse_policy() {
    let mut seeded = Seeded::new("storm");
    let sessions = rounds(SESSIONS).max(10) as usize;
    let calls = (sessions * QUESTIONS) as u64;
    let rig = Rig::new().limits(&[("turns", calls)]);
    let _daemon = rig.signed_in();
    for policy in [ReusePolicy::ErrorOnly, ReusePolicy::KillRefreshFamily, ReusePolicy::KillFamilyAndAccess] {
        for _ in 0..rounds(20) {
            let (granted, refused) = TIMINGS[usize::try_from(seeded.below(TIMINGS.len() as u64)).unwrap()];
            rig.fake.configure(|fake| {
                fake.reuse_policy = policy;
                fake.refresh_success_latency_ms = granted;
                fake.refresh_failure_latency_ms = refused;
            });
            storm(&rig, sessions, &format!("{policy:?}, granted in {granted} ms, refused in {refused} ms"));
        }
    }
}

fn storm(rig: &Rig, sessions: usize, case: &str) {
    let mut sessions: Vec<Lines> = (0..sessions).map(|_| mcp(&rig.home)).collect();
    end_token(rig);
    rig.fake.clear_journal();
    for (n, lines) in sessions.iter_mut().enumerate() {
        for question in 0..QUESTIONS {
            let prompt = json!({"prompt": format!("session {n} question {question}")});
            call(lines, &json!(question), "codex_query", &prompt);
        }
    }
    for (n, lines) in sessions.iter_mut().enumerate() {
        for question in 0..QUESTIONS {
            let result = lines.answer(&json!(question))["result"].clone();
            assert_ne!(result["isError"], true, "{case}: {result}");
            let text = text_of(&result);
            assert!(text.contains(&format!("session {n} question {question}")), "{case}: {text}");
        }
    }
    let refreshes = rig.fake.requests(Endpoint::Refresh);
    assert_eq!(refreshes.len(), 1, "{case}");
    assert_eq!(refreshes[0].status, Some(200), "{case}");
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), sessions.len() * QUESTIONS, "{case}");
}

/// The token in the file has ended, both as the file says and for the backend. The refresh token stays as it is.
fn end_token(rig: &Rig) {
    rig.fake.expire_access_tokens();
    let path = rig.home.auth_file();
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let login = &mut record["openai_codex"];
    let ended = MintRequest { access_token_life_secs: Some(-60), ..MintRequest::default() };
    login["access_token"] = json!(rig.fake.mint(&ended).access_token);
    login["expires_at"] = json!(1);
    // A pair that was renewed a moment ago is not renewed again for its end: the clock might be wrong.
    login["grant"]["last_refresh"] = Value::Null;
    std::fs::File::create(path).unwrap().write_all(record.to_string().as_bytes()).unwrap();
}
