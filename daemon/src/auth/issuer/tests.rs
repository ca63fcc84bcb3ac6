use std::time::Duration;

use super::*;
use crate::auth::testing::config;
use crate::auth::testing::issuer::{FakeIssuer, Reply};

fn issuer(url: &str, request: Duration) -> Issuer {
    let limits = Limits { issuer_request: request, revoke: request, ..Limits::default() };
    Issuer::new(&config(url, "/nowhere".into()), &limits)
}

async fn refresh(url: &str, request: Duration) -> Result<Tokens, RefreshError> {
    let issuer = issuer(url, request);
    issuer.refresh("app_X", &Secret::new("rt_FAKE"), Reason::ProactiveExpiry).await
}

const PATIENT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_refresh_has_the_body_and_the_headers_of_the_wire() {
    let fake = FakeIssuer::start(|_| Reply::Now(200, r#"{"access_token":"a"}"#.to_owned())).await;
    let tokens = refresh(&fake.url, PATIENT).await.unwrap();
    assert_eq!(tokens.access.unwrap().expose(), "a");
    assert!(tokens.refresh.is_none() && tokens.id.is_none());
    let seen = &fake.seen()[0];
    assert_eq!(seen.path, "/oauth/token");
    assert_eq!(
        seen.body,
        r#"{"client_id":"app_X","grant_type":"refresh_token","refresh_reason":"proactive_expiry","refresh_token":"rt_FAKE"}"#
    );
    for line in ["content-type: application/json", "originator: codex_oauth", "user-agent: codex-oauth/test"]
    {
        assert!(seen.head.lines().any(|head| head == line), "{line} missing in {}", seen.head);
    }
}

#[tokio::test]
async fn an_exchange_is_form_encoded_without_our_name_and_needs_all_three_tokens() {
    let all = r#"{"access_token":"a","id_token":"i","refresh_token":"r"}"#;
    let (code, verifier) = (Secret::new("the code"), Secret::new("the-verifier"));
    for (body, missing) in [
        (all, None),
        (r#"{"access_token":"a","id_token":"i"}"#, Some("refresh_token")),
        (r#"{"access_token":"a","refresh_token":"r"}"#, Some("id_token")),
        (r#"{"id_token":"i","refresh_token":"r"}"#, Some("access_token")),
        ("<html>", Some("access_token")),
    ] {
        let fake = FakeIssuer::start(move |_| Reply::Now(200, body.to_owned())).await;
        let issuer = issuer(&fake.url, PATIENT);
        let result = issuer.exchange(&code, "http://127.0.0.1:1455/auth/callback", &verifier).await;
        match (result, missing) {
            (Ok(_), None) => {}
            (Err(IssuerError::Incomplete { missing: found }), Some(missing)) => assert_eq!(found, missing),
            (result, _) => panic!("{body}: {result:?}"),
        }
        let seen = &fake.seen()[0];
        assert_eq!(
            seen.body,
            "grant_type=authorization_code&client_id=app_TEST&code=the+code\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A1455%2Fauth%2Fcallback&code_verifier=the-verifier"
        );
        assert!(seen.head.contains("content-type: application/x-www-form-urlencoded"));
        assert!(!seen.head.contains("user-agent") && !seen.head.contains("originator"), "{}", seen.head);
    }
}

#[tokio::test]
async fn a_revocation_has_the_body_of_the_wire() {
    let fake = FakeIssuer::start(|_| Reply::Now(200, String::new())).await;
    issuer(&fake.url, PATIENT).revoke("app_X", &Secret::new("rt_FAKE")).await.unwrap();
    let seen = &fake.seen()[0];
    assert_eq!(seen.path, "/oauth/revoke");
    assert_eq!(seen.body, r#"{"token":"rt_FAKE","token_type_hint":"refresh_token","client_id":"app_X"}"#);
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let result = refresh(&format!("http://127.0.0.1:{port}"), PATIENT).await;
    assert!(matches!(result, Err(RefreshError::Transient(IssuerError::Connect(_), None))), "{result:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_come_or_breaks_off_is_unknown() {
    let fake = FakeIssuer::start(|_| Reply::Never).await;
    let result = refresh(&fake.url, Duration::from_millis(100)).await;
    assert!(matches!(result, Err(RefreshError::Unknown(IssuerError::Broken(_)))), "{result:?}");
    for bytes in ["", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"access_tok"] {
        let fake = FakeIssuer::start(move |_| Reply::Cut(bytes)).await;
        let result = refresh(&fake.url, PATIENT).await;
        assert!(matches!(result, Err(RefreshError::Unknown(IssuerError::Broken(_)))), "{bytes}: {result:?}");
        assert_eq!(fake.seen().len(), 1, "sent again after {bytes}");
    }
}

#[tokio::test]
async fn a_refusal_that_breaks_off_is_judged_by_its_status() {
    let cut = |bytes| FakeIssuer::start(move |_| Reply::Cut(bytes));
    let fake = cut("HTTP/1.1 401 X\r\ncontent-length: 50\r\n\r\n{").await;
    assert!(matches!(refresh(&fake.url, PATIENT).await, Err(RefreshError::Refused(_))));
    let fake = cut("HTTP/1.1 503 X\r\ncontent-length: 50\r\nretry-after: 7\r\n\r\n{").await;
    match refresh(&fake.url, PATIENT).await {
        Err(RefreshError::Transient(IssuerError::Status { status: 503, .. }, Some(after))) => {
            assert_eq!(after, Duration::from_secs(7));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fake = FakeIssuer::start(|_| {
        Reply::Cut("HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let result = refresh(&fake.url, PATIENT).await;
    assert!(
        matches!(result, Err(RefreshError::Transient(IssuerError::Status { status: 307, .. }, _))),
        "{result:?}"
    );
}

#[tokio::test]
async fn no_error_shows_a_token() {
    let fake = FakeIssuer::start(|seen| Reply::Now(400, seen.body.clone())).await;
    let error = format!("{:?}", refresh(&fake.url, PATIENT).await.unwrap_err());
    assert!(error.contains("[removed]") && !error.contains("rt_FAKE"), "{error}");
}
