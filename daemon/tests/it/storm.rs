//! Many sessions ask at once on a token that has ended: one refresh, no failure, whatever a second use of the refresh token
//! would cost and however long the first one takes (WIRE §11).

use codex_oauth_rig::scale::{Seeded, rounds};
use codex_oauth_rig::{Lines, Rig, text_of};
use fake_openai::{Endpoint, ReusePolicy};
use serde_json::json;

use crate::support::{call, end_token, mcp};

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
    rig.fake.expire_access_tokens();
    end_token(rig, -60);
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
