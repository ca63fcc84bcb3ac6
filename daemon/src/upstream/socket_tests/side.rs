//! What surrounds a turn: routing, models, cookies, usage.

use super::server::{
    COMPLETED, CREATED, Step, check_reply, chunk, done, good, json, stream_end, stream_head, with_headers,
};
use super::*;

const MODELS: &str =
    r#"{"models":[{"slug":"gpt-5.5","visibility":"list","priority":1,"use_responses_lite":true}]}"#;

#[tokio::test]
async fn the_account_is_checked_once_per_grant_and_its_override_is_sent() {
    let server = Server::of(|request, _| match request.path.as_str() {
        "/backend-api/wham/accounts/check" => json(200, &check_reply("us")),
        _ => good("ok"),
    })
    .await;
    let upstream = upstream(&server);
    for _ in 0..2 {
        respond(&upstream).await.0.expect("an answer");
    }
    assert_eq!(server.requests("accounts/check").len(), 1);
    respond_as(&upstream, &renewed_grant()).await.0.expect("an answer");
    assert_eq!(server.requests("accounts/check").len(), 2);
    for sent in server.requests("codex/responses") {
        assert_eq!(sent.header("x-openai-account-routing-override"), Some("us"));
    }
}

#[tokio::test]
async fn a_failed_check_is_a_note_and_not_repeated_by_each_turn() {
    let server = Server::of(|request, _| match request.path.as_str() {
        "/backend-api/wham/accounts/check" => json(500, "{}"),
        _ => good("ok"),
    })
    .await;
    let upstream = upstream(&server);
    let completed = respond(&upstream).await.0.expect("an answer");
    assert_eq!(completed.notes.len(), 1, "{:?}", completed.notes);
    assert!(respond(&upstream).await.0.expect("an answer").notes.is_empty());
    assert_eq!(server.requests("accounts/check").len(), 1);
    let error = upstream.check_account(&grant()).await.expect_err("still failing");
    assert!(matches!(error.kind, ErrorKind::ServerError { .. }));
}

#[tokio::test]
async fn a_failed_check_after_a_refresh_keeps_the_known_override() {
    let server = Server::of(|request, n| match request.path.as_str() {
        "/backend-api/wham/accounts/check" if n == 0 => json(200, &check_reply("us_cr")),
        "/backend-api/wham/accounts/check" => json(200, r#"{"accounts":[]}"#),
        _ => good("ok"),
    })
    .await;
    let upstream = upstream(&server);
    respond(&upstream).await.0.expect("an answer");
    for _ in 0..2 {
        respond_as(&upstream, &renewed_grant()).await.0.expect("an answer");
    }
    for sent in server.requests("codex/responses") {
        assert_eq!(sent.header("x-openai-account-routing-override"), Some("us_cr"));
    }
    let error = upstream.check_account(&renewed_grant()).await.expect_err("not in the list");
    assert_eq!(error.kind, ErrorKind::Routing(RoutingProblem::AccountMissing));
}

#[tokio::test]
async fn the_model_list_is_asked_for_once_renewed_by_etag_and_kept_when_renewal_fails() {
    let server = Server::of(|request, n| match request.path.as_str() {
        "/backend-api/wham/accounts/check" => json(200, &check_reply("NO_CONSTRAINT")),
        "/backend-api/codex/models?client_version=0.169.0" => match n {
            0 => with_headers(200, &[("etag", "W/\"1\"")], MODELS),
            1 => vec![Step::Write(b"HTTP/1.1 304 Not Modified\r\netag: W/\"1\"\r\n\r\n".to_vec())],
            _ => json(500, "{}"),
        },
        _ => vec![
            stream_head(&[("x-models-etag", "W/\"2\"")]),
            chunk(&format!("{CREATED}{}{COMPLETED}", done("ok"))),
            stream_end(),
        ],
    })
    .await;
    let upstream = upstream(&server);
    let grant = grant();
    let (first, second) = tokio::join!(upstream.models(&grant), upstream.models(&grant));
    assert_eq!(first.expect("a list").default_model().map(|model| model.slug.as_str()), Some("gpt-5.5"));
    second.expect("the same list");
    assert_eq!(server.requests("codex/models").len(), 1);
    for asked in [2, 3] {
        respond(&upstream).await.0.expect("an answer");
        assert_eq!(upstream.models(&grant).await.expect("a list").models.len(), 1);
        upstream.models(&grant).await.expect("from memory");
        assert_eq!(server.requests("codex/models").len(), asked);
    }
    assert_eq!(server.requests("codex/models")[1].header("if-none-match"), Some("W/\"1\""));
    let turn = &server.requests("codex/responses")[0];
    assert_eq!(turn.header("x-openai-internal-codex-responses-lite"), Some("true"));
    assert!(!turn.body.contains(r#""tools""#));
}

#[tokio::test]
async fn without_a_list_a_failure_is_an_error_and_401_always_is() {
    let server = Server::of(|_, n| match n {
        0 => json(404, "{}"),
        1 => json(200, "<html>"),
        2 => with_headers(200, &[("etag", "1")], MODELS),
        _ => json(401, "{}"),
    })
    .await;
    let upstream = upstream_at(server.url(), Limits { models_fresh: Duration::ZERO, ..short_limits() });
    let grant = grant();
    assert!(matches!(upstream.models(&grant).await.expect_err("404").kind, ErrorKind::NotFound { .. }));
    assert_eq!(upstream.models(&grant).await.expect_err("HTML").kind, ErrorKind::Unparsable);
    upstream.models(&grant).await.expect("a list");
    assert!(matches!(upstream.models(&grant).await.expect_err("401").kind, ErrorKind::Unauthorized { .. }));
}

#[tokio::test]
async fn a_reply_above_its_bound_is_not_read_to_its_end() {
    let mut server = Server::of(|_, _| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
        vec![Step::Write(head), Step::Write(vec![b' '; MAX_USAGE_BYTES + 1]), Step::Hold]
    })
    .await;
    let error = upstream(&server).usage(&grant()).await.expect_err("too large");
    assert_eq!(error.kind, ErrorKind::TooLarge { limit_bytes: MAX_USAGE_BYTES });
    server.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn cloudflares_cookies_come_back_and_no_others() {
    let server = Server::of(|request, _| match request.path.as_str() {
        "/backend-api/wham/accounts/check" => with_headers(
            200,
            &[("set-cookie", "__cf_bm=abc; path=/; HttpOnly; Secure"), ("set-cookie", "oai-did=x; path=/")],
            &check_reply("NO_CONSTRAINT"),
        ),
        _ => good("ok"),
    })
    .await;
    respond(&upstream(&server)).await.0.expect("an answer");
    assert_eq!(server.requests("codex/responses")[0].header("cookie"), Some("__cf_bm=abc"));
}

#[tokio::test]
async fn a_backend_on_loopback_is_never_left_for_another_origin() {
    let reply = check_reply("NO_CONSTRAINT").replacen("NO_CONSTRAINT", "https://chatgpt.com", 1);
    let server = Server::of(move |request, _| match request.path.as_str() {
        "/backend-api/wham/accounts/check" => json(200, &reply),
        _ => good("ok"),
    })
    .await;
    let upstream = upstream(&server);
    assert!(respond(&upstream).await.0.expect("an answer").notes.is_empty());
    assert_eq!(server.requests("codex/responses").len(), 1);
}
