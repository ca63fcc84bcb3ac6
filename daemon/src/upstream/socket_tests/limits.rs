//! Usage limits: remembered, explained without a request, lifted when the backend says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::server::{check_reply, good, json, with_headers};
use super::*;

const LIMIT: &str =
    r#"{"error":{"type":"usage_limit_reached","message":"m","plan_type":"plus","resets_at":4102444800}}"#;

async fn limited_server(lifted: Arc<AtomicBool>) -> Server {
    Server::of(move |request, n| match request.path.as_str() {
        "/backend-api/wham/accounts/check" => json(200, &check_reply("NO_CONSTRAINT")),
        "/backend-api/wham/usage" => {
            let allowed = lifted.load(Ordering::SeqCst);
            json(200, &format!(r#"{{"rate_limit":{{"allowed":{allowed},"limit_reached":{}}}}}"#, !allowed))
        }
        _ if n == 0 => {
            let headers =
                [("x-codex-primary-used-percent", "100"), ("x-codex-primary-window-minutes", "300")];
            with_headers(429, &headers, LIMIT)
        }
        _ => good("ok"),
    })
    .await
}

#[tokio::test]
async fn a_known_limit_fails_fast_with_its_reset_and_the_usage_endpoint_is_asked_once() {
    let server = limited_server(Arc::default()).await;
    let upstream = upstream(&server);
    let first = respond(&upstream).await.0.expect_err("refused");
    assert_eq!((first.attempts, first.facts.status), (1, Some(429)));
    for _ in 0..3 {
        let known = respond(&upstream).await.0.expect_err("refused");
        assert_eq!((&known.kind, known.attempts), (&first.kind, 0));
        assert!(matches!(known.retry, Retry::After(_)));
    }
    assert_eq!(server.requests("codex/responses").len(), 1);
    assert_eq!(server.requests("wham/usage").len(), 1);
    assert!(upstream.rate_limits(ACCOUNT)[0].primary.is_some_and(|window| window.used_percent > 99.0));
    assert!(upstream.rate_limits("another").is_empty());
}

#[tokio::test]
async fn a_lifted_limit_lets_the_turn_go_on() {
    let lifted = Arc::new(AtomicBool::new(false));
    let server = limited_server(Arc::clone(&lifted)).await;
    let upstream = upstream(&server);
    respond(&upstream).await.0.expect_err("refused");
    lifted.store(true, Ordering::SeqCst);
    assert_eq!(respond(&upstream).await.0.expect("an answer").text, "ok");
    assert_eq!(respond(&upstream).await.0.expect("an answer").text, "ok");
    assert_eq!(server.requests("wham/usage").len(), 1);
}

#[tokio::test]
async fn another_account_is_not_held_by_this_ones_limit() {
    let server = limited_server(Arc::default()).await;
    let upstream = upstream(&server);
    respond(&upstream).await.0.expect_err("refused");
    let other = Grant { account_id: "other".into(), ..renewed_grant() };
    respond_as(&upstream, &other).await.0.expect("an answer");
}
