//! The browser login: authorize, code, exchange.

use std::io::{Read, Write};
use std::net::TcpListener;

use fake_openai::{Endpoint, browse, submit};
use serde_json::Value;

use crate::rig::{CALLBACK, CHALLENGE, CLIENT_ID, Rig, VERIFIER, escape};

const SCOPE: &str = "openid profile email offline_access";

fn authorize_path(changes: &[(&str, Option<&str>)]) -> String {
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "the-state"),
        ("scope", SCOPE),
    ];
    for (name, value) in changes {
        pairs.retain(|(present, _)| present != name);
        pairs.extend(value.map(|value| (*name, value)));
    }
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    format!("/oauth/authorize?{}", query.join("&"))
}

async fn location(rig: &Rig, path: &str) -> (u16, String) {
    let response = rig.http.get(rig.issuer(path)).send().await.unwrap();
    let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), location.unwrap_or_default())
}

async fn code(rig: &Rig) -> String {
    let (status, location) = location(rig, &authorize_path(&[])).await;
    assert_eq!(status, 302);
    let rest = location.strip_prefix(&format!("{CALLBACK}?code=")).unwrap();
    rest.strip_suffix("&state=the-state").unwrap().to_owned()
}

async fn exchange(rig: &Rig, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changes {
        fields.retain(|(present, _)| present != name);
        fields.push((name, value));
    }
    rig.form("/oauth/token", &fields).await
}

#[tokio::test]
async fn a_code_is_exchanged_for_three_tokens() {
    let rig = Rig::start();
    let code = code(&rig).await;
    let (status, body) = exchange(&rig, &code, &[]).await;
    assert_eq!(status, 200);
    assert!(body["refresh_token"].as_str().unwrap().starts_with("rt_FAKE_"));
    for token in ["access_token", "id_token"] {
        assert!(body[token].as_str().unwrap().ends_with(".FAKE_SIGNATURE"));
    }
    assert_eq!(body["expires_in"], 10 * 24 * 3600);
}

#[tokio::test]
async fn a_replayed_code_is_refused() {
    let rig = Rig::start();
    let code = code(&rig).await;
    assert_eq!(exchange(&rig, &code, &[]).await.0, 200);
    let (status, body) = exchange(&rig, &code, &[]).await;
    assert_eq!((status, &body["error"]), (400, &Value::from("invalid_grant")));
}

#[tokio::test]
async fn a_code_is_bound_to_its_verifier_redirect_and_client() {
    let rig = Rig::start();
    for (name, value, status, error) in [
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK", 400, "invalid_grant"),
        ("code_verifier", CHALLENGE, 400, "invalid_grant"),
        ("redirect_uri", "http://localhost:1455/auth/callback", 400, "invalid_grant"),
        ("client_id", "app_other", 401, "invalid_client"),
        ("code", "ac_FAKE_other", 400, "invalid_grant"),
        ("grant_type", "password", 400, "unsupported_grant_type"),
    ] {
        let code = code(&rig).await;
        let (seen, body) = exchange(&rig, &code, &[(name, value)]).await;
        assert_eq!((seen, &body["error"]), (status, &Value::from(error)), "{name}={value}");
    }
}

#[tokio::test]
async fn a_failed_exchange_uses_the_code_up() {
    let rig = Rig::start();
    let code = code(&rig).await;
    assert_eq!(exchange(&rig, &code, &[("code_verifier", CHALLENGE)]).await.0, 400);
    assert_eq!(exchange(&rig, &code, &[]).await.0, 400);
}

#[tokio::test]
async fn an_expired_code_is_refused() {
    let rig = Rig::start();
    rig.fake.configure(|behaviour| behaviour.code_life_secs = 0);
    let code = code(&rig).await;
    let (status, body) = exchange(&rig, &code, &[]).await;
    assert_eq!((status, &body["error_description"]), (400, &Value::from("authorization code is expired")));
}

#[tokio::test]
async fn a_code_in_json_is_refused() {
    let rig = Rig::start();
    let code = code(&rig).await;
    let body = serde_json::json!({"grant_type": "authorization_code", "client_id": CLIENT_ID, "code": code,
        "redirect_uri": CALLBACK, "code_verifier": VERIFIER});
    assert_eq!(rig.json("/oauth/token", &body).await.0, 400);
}

#[tokio::test]
async fn a_strange_client_or_redirect_is_never_redirected_to() {
    let rig = Rig::start();
    for (name, value) in [
        ("client_id", Some("app_other")),
        ("redirect_uri", Some("http://evil.example/auth/callback")),
        ("redirect_uri", None),
        ("state", None),
    ] {
        let (status, location) = location(&rig, &authorize_path(&[(name, value)])).await;
        assert_eq!((status, location.as_str()), (400, ""), "{name}={value:?}");
    }
}

#[tokio::test]
async fn other_faults_go_back_to_the_client_with_its_state() {
    let rig = Rig::start();
    for (name, value, error) in [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("scope", None, "invalid_scope"),
    ] {
        let (status, location) = location(&rig, &authorize_path(&[(name, value)])).await;
        assert_eq!(status, 302, "{name}={value:?}");
        assert!(location.starts_with(&format!("{CALLBACK}?error={error}&")), "{location}");
        assert!(location.ends_with("&state=the-state"), "{location}");
    }
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token() {
    let rig = Rig::start();
    let (_, location) = location(&rig, &authorize_path(&[("scope", Some("openid email"))])).await;
    let code = location.split(['=', '&']).nth(1).unwrap();
    let (status, body) = exchange(&rig, code, &[]).await;
    assert_eq!(status, 200);
    assert_eq!(body.get("refresh_token"), None);
}

#[tokio::test]
async fn an_id_token_is_exchanged_for_an_api_key() {
    let rig = Rig::start();
    let login = rig.login();
    let exchange = |subject: String| {
        let rig = &rig;
        async move {
            let fields = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("client_id", CLIENT_ID),
                ("requested_token", "openai-api-key"),
                ("subject_token", subject.as_str()),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ];
            rig.form("/oauth/token", &fields).await
        }
    };
    let (status, body) = exchange(login.id_token).await;
    assert_eq!((status, &body["access_token"]), (200, &Value::from("sk-FAKE-exchanged")));
    assert_eq!(exchange(login.access_token).await.0, 400);
    assert_eq!(rig.fake.requests(Endpoint::ApiKeyExchange).len(), 2);
}

#[test]
fn a_browser_reaches_the_callback_with_or_without_a_page() {
    for require_approval in [false, true] {
        let rig = Rig::start();
        rig.fake.configure(|behaviour| behaviour.require_approval = require_approval);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let callback = format!("http://{}/auth/callback", listener.local_addr().unwrap());
        let client = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let len = stream.read(&mut head).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
            String::from_utf8_lossy(&head[..len]).into_owned()
        });
        let page =
            rig.fake.authorize(&rig.issuer(&authorize_path(&[("redirect_uri", Some(&callback))]))).unwrap();
        assert_eq!((page.status, page.body.as_str()), (200, "hi"));
        let head = client.join().unwrap();
        assert!(head.starts_with("GET /auth/callback?code=ac_FAKE_"), "{head}");
        assert!(head.contains("&state=the-state "), "{head}");
    }
}

#[test]
fn deny_on_the_page_is_access_denied() {
    let rig = Rig::start();
    rig.fake.configure(|behaviour| behaviour.require_approval = true);
    let page = browse(&rig.issuer(&authorize_path(&[]))).unwrap();
    assert!(page.body.contains("Approve") && page.body.contains("Deny"));
    let id = page.body.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    // Nobody listens at the callback, so the visit fails; where it went is in the journal's note.
    let _ = submit(&rig.issuer("/oauth/authorize"), &[("id", id), ("decision", "deny")]);
    let last = rig.fake.requests(Endpoint::Authorize).pop().unwrap();
    assert_eq!((last.status, last.note.as_deref()), (Some(302), Some("access_denied")));
}

#[test]
fn the_browser_does_not_leave_loopback() {
    for url in
        ["http://example.com/", "https://localhost/", "http://8.8.8.8/", "http://localhost.example.com:80/"]
    {
        assert!(browse(url).unwrap_err().to_string().starts_with("could not open"), "{url}");
    }
}
