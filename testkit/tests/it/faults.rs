//! What scripts do to a stream and to its connection.

use std::time::{Duration, Instant};

use fake_openai::{Effect, Endpoint, Outcome, Script};
use serde_json::{Value, json};

use crate::rig::{Rig, events, json_of, turn_body, types};

/// The body of a turn under this effect, and whether it ended as a body should.
async fn stream_under(rig: &Rig, effect: Effect) -> (String, bool) {
    rig.fake.next(Endpoint::Responses, effect);
    let mut response = rig.turn(&rig.login(), &turn_body("hi")).send().await.unwrap();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (String::from_utf8(body).unwrap(), true),
            Err(_) => return (String::from_utf8(body).unwrap(), false),
        }
    }
}

#[tokio::test]
async fn a_cut_stream_breaks_after_as_many_events() {
    let rig = Rig::start();
    let (body, whole) = stream_under(&rig, Effect::cut_after(3)).await;
    assert_eq!((events(&body).len(), whole), (3, false));
    let entry = rig.fake.requests(Endpoint::Responses).pop().unwrap();
    assert_eq!((entry.events, entry.outcome), (3, Outcome::CutByScript));
}

#[tokio::test]
async fn a_stream_can_end_without_a_terminal_event() {
    let rig = Rig::start();
    let (body, whole) = stream_under(&rig, Effect::end_after(5)).await;
    assert_eq!((events(&body).len(), whole), (5, true));
}

#[tokio::test]
async fn a_held_stream_goes_on_when_its_gate_opens() {
    let rig = Rig::start();
    rig.fake.next(Endpoint::Responses, Effect::hold_after(4, "go"));
    let mut response = rig.turn(&rig.login(), &turn_body("hi")).send().await.unwrap();
    let mut body = Vec::new();
    while events(&String::from_utf8_lossy(&body)).len() < 4 {
        body.extend_from_slice(&response.chunk().await.unwrap().unwrap());
    }
    rig.fake.wait_for_async(|journal| journal[0].events == 4).await.unwrap();
    assert_eq!(rig.fake.journal()[0].outcome, Outcome::InProgress);
    rig.fake.release("go");
    while let Some(chunk) = response.chunk().await.unwrap() {
        body.extend_from_slice(&chunk);
    }
    assert_eq!(types(&events(&String::from_utf8(body).unwrap())).last(), Some(&"response.completed"));
}

#[tokio::test]
async fn a_stalled_stream_stays_silent_and_a_leaving_client_is_seen() {
    let rig = Rig::start();
    rig.fake.next(Endpoint::Responses, Effect::stall_after(2));
    let mut response = rig.turn(&rig.login(), &turn_body("hi")).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    rig.fake.wait_for_async(|journal| journal[0].events == 2).await.unwrap();
    let left = Instant::now();
    drop(response);
    rig.fake.wait_for_async(|journal| journal[0].client_gone()).await.unwrap();
    assert!(left.elapsed() < Duration::from_secs(1), "seen after {:?}", left.elapsed());
    assert_eq!(rig.fake.journal()[0].events, 2);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_seen() {
    let rig = Rig::start();
    rig.fake.next(Endpoint::Responses, Effect::hang());
    let (login, body) = (rig.login(), turn_body("hi"));
    let mut request = Box::pin(rig.turn(&login, &body).send());
    tokio::select! {
        _ = &mut request => unreachable!("a hanging request was answered"),
        arrived = rig.fake.wait_for_request_async(Endpoint::Responses, 1) => drop(arrived.unwrap()),
    }
    drop(request);
    rig.fake.wait_for_async(|journal| journal[0].client_gone()).await.unwrap();
    assert_eq!(rig.fake.journal()[0].status, None);
}

#[tokio::test]
async fn slow_bytes_arrive_whole() {
    let rig = Rig::start();
    let (body, whole) = stream_under(&rig, Effect::end_after(2).paced(100, Duration::from_millis(1))).await;
    assert_eq!((events(&body).len(), whole), (2, true));
}

#[tokio::test]
async fn failures_in_the_stream_carry_code_and_message() {
    let rig = Rig::start();
    for (effect, kind, code) in [
        (Effect::context_length_exceeded(), "response.failed", "context_length_exceeded"),
        (Effect::insufficient_quota(), "response.failed", "insufficient_quota"),
        (Effect::usage_not_included_in_stream(), "response.failed", "usage_not_included"),
        (Effect::invalid_prompt("no"), "response.failed", "invalid_prompt"),
        (Effect::bio_policy("no"), "response.failed", "bio_policy"),
        (Effect::cyber_policy("no"), "response.failed", "cyber_policy"),
        (Effect::misalignment_policy_violation("no"), "response.failed", "misalignment_policy_violation"),
        (Effect::overloaded_in_stream(), "response.failed", "server_is_overloaded"),
        (Effect::slow_down(), "response.failed", "slow_down"),
        (Effect::rate_limit_exceeded(0.3), "response.failed", "rate_limit_exceeded"),
        (Effect::usage_limit_in_stream("plus", 5), "response.failed", "usage_limit_reached"),
        (Effect::server_error("oops"), "response.failed", "server_error"),
        (Effect::error_event("oops", "x"), "error", "oops"),
    ] {
        let (body, whole) = stream_under(&rig, effect).await;
        let events = events(&body);
        let last = events.last().unwrap();
        let error = if kind == "error" { &last["error"] } else { &last["response"]["error"] };
        assert_eq!((last["type"].as_str(), error["code"].as_str(), whole), (Some(kind), Some(code), true));
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn incomplete_and_empty_answers_end_as_told() {
    let rig = Rig::start();
    let (body, _) = stream_under(&rig, Effect::incomplete("max_output_tokens")).await;
    let seen = events(&body);
    let last = seen.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
    assert!(types(&seen).contains(&"response.output_text.delta"));

    let (body, _) = stream_under(&rig, Effect::empty_answer()).await;
    assert_eq!(types(&events(&body)), ["response.created", "response.in_progress", "response.completed"]);
}

#[tokio::test]
async fn other_bodies_come_as_they_are() {
    let rig = Rig::start();
    let (body, _) = stream_under(&rig, Effect::chat_completion("hello")).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "hello");
    let (body, _) = stream_under(&rig, Effect::chat_completion_stream(&["he", "llo"])).await;
    assert!(body.ends_with("data: [DONE]\n\n"));
    let (body, _) = stream_under(&rig, Effect::junk()).await;
    assert!(body.starts_with("%!junk"));
}

#[tokio::test]
async fn http_errors_have_the_status_body_and_headers_of_their_row() {
    let rig = Rig::start();
    let login = rig.login();
    for (effect, status, note) in [
        (Effect::bad_request("no"), 400, "no"),
        (Effect::cyber_policy_refusal("no"), 400, "cyber_policy"),
        (Effect::token_expired(), 401, "token_expired"),
        (Effect::token_invalidated(), 401, "token_invalidated"),
        (Effect::token_revoked(), 401, "token_revoked"),
        (Effect::forbidden("no"), 403, "no"),
        (Effect::not_found(), 404, "Not Found"),
        (Effect::payload_too_large(), 413, "Request Entity Too Large"),
        (Effect::usage_limit("plus", 9), 429, "usage_limit_reached"),
        (Effect::usage_limit_without_details(), 429, "usage_limit_reached"),
        (Effect::usage_not_included(), 429, "usage_not_included"),
        (Effect::too_many_requests(None), 429, "rate_limit_exceeded"),
        (Effect::internal_error(), 500, "server_error"),
        (Effect::overloaded(), 503, "server_is_overloaded"),
        (Effect::slow_down_status(), 503, "slow_down"),
    ] {
        rig.fake.next(Endpoint::Responses, effect);
        let (seen, _) = json_of(rig.turn(&login, &turn_body("hi")).send().await.unwrap()).await;
        let entry = rig.fake.requests(Endpoint::Responses).pop().unwrap();
        assert_eq!((seen, entry.note.as_deref()), (status, Some(note)));
    }
    rig.fake
        .next(Endpoint::Responses, Effect::usage_limit_of_type("team", "workspace_owner_credits_depleted"));
    let response = rig.turn(&login, &turn_body("hi")).send().await.unwrap();
    assert_eq!(response.headers()["x-codex-rate-limit-reached-type"], "workspace_owner_credits_depleted");
    rig.fake.next(Endpoint::Responses, Effect::cloudflare_blocked());
    let response = rig.turn(&login, &turn_body("hi")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers().contains_key("cf-ray")), (403, true));
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(response.text().await.unwrap().contains("blocked"));
    rig.fake.next(Endpoint::Responses, Effect::deactivated_workspace());
    let answer = json_of(rig.turn(&login, &turn_body("hi")).send().await.unwrap()).await;
    assert_eq!(answer, (402, json!({"detail": {"code": "deactivated_workspace"}})));
}

#[tokio::test]
async fn a_closed_connection_gives_no_answer() {
    let rig = Rig::start();
    rig.fake.script(Script { on: Endpoint::Responses, times: 2, effect: Effect::close() });
    for _ in 0..2 {
        assert!(rig.turn(&rig.login(), &turn_body("hi")).send().await.is_err());
    }
    assert_eq!(rig.turn(&rig.login(), &turn_body("hi")).send().await.unwrap().status(), 200);
    let outcomes: Vec<Outcome> = rig.fake.journal().iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes[..2], [Outcome::CutByScript; 2]);
}

#[tokio::test]
async fn a_held_request_is_answered_when_its_gate_opens() {
    let rig = Rig::start();
    for effect in [Effect::hold("gate"), Effect::hold_answer("gate")] {
        rig.fake.next(Endpoint::AccountsCheck, effect);
    }
    let login = rig.login();
    let answers = async {
        let both = (rig.get("/wham/accounts/check", &login), rig.get("/wham/accounts/check", &login));
        tokio::join!(both.0.send(), both.1.send())
    };
    let release = async {
        let waiting = rig.fake.wait_for_request_async(Endpoint::AccountsCheck, 2).await.unwrap();
        assert!(waiting.iter().all(|entry| entry.status.is_none()));
        rig.fake.release("gate");
    };
    let ((first, second), ()) = tokio::join!(answers, release);
    assert_eq!((first.unwrap().status().as_u16(), second.unwrap().status().as_u16()), (200, 200));
}

#[test]
fn waiting_in_vain_ends_with_what_was_seen() {
    let rig = Rig::start();
    let error = rig.fake.wait_for_within(Duration::from_millis(1), |_| false).unwrap_err();
    assert!(error.to_string().starts_with("could not see the expected requests"));
}
