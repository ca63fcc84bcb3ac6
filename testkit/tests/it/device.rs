//! Device-code login, as a client without a browser sees it.

use fake_openai::{Endpoint, Identity, submit};
use serde_json::{Value, json};

use crate::rig::{CLIENT_ID, Rig};

async fn start(rig: &Rig) -> Value {
    let (status, body) =
        rig.json("/api/accounts/deviceauth/usercode", &json!({"client_id": CLIENT_ID})).await;
    assert_eq!(status, 200);
    body
}

async fn poll(rig: &Rig, device: &Value) -> (u16, Value) {
    let body = json!({"device_auth_id": device["device_auth_id"], "user_code": device["user_code"]});
    rig.json("/api/accounts/deviceauth/token", &body).await
}

#[tokio::test]
async fn an_approved_device_gets_a_code_that_only_the_device_callback_exchanges() {
    let rig = Rig::start();
    let device = start(&rig).await;
    assert_eq!(device["interval"], "1", "a string, as the official client demands");
    let (status, body) = poll(&rig, &device).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("deviceauth_authorization_unknown")));

    let who = Identity { email: "grace@example.com".to_owned(), ..Identity::default() };
    assert!(rig.fake.approve_device(device["user_code"].as_str().unwrap(), who));
    let (status, grant) = poll(&rig, &device).await;
    assert_eq!(status, 200);
    assert_eq!(poll(&rig, &device).await.0, 400, "a device code was used twice");

    let redirect = rig.issuer("/deviceauth/callback");
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("code", grant["authorization_code"].as_str().unwrap()),
        ("redirect_uri", redirect.as_str()),
        ("code_verifier", grant["code_verifier"].as_str().unwrap()),
    ];
    let (status, tokens) = rig.form("/oauth/token", &fields).await;
    assert_eq!(status, 200);
    assert!(tokens["refresh_token"].is_string());
}

#[tokio::test]
async fn a_device_code_is_not_exchanged_at_a_browser_callback() {
    let rig = Rig::start();
    let device = start(&rig).await;
    assert!(rig.fake.approve_device(device["user_code"].as_str().unwrap(), Identity::default()));
    let (_, grant) = poll(&rig, &device).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("code", grant["authorization_code"].as_str().unwrap()),
        ("redirect_uri", crate::rig::CALLBACK),
        ("code_verifier", grant["code_verifier"].as_str().unwrap()),
    ];
    assert_eq!(rig.form("/oauth/token", &fields).await.0, 400);
}

#[tokio::test]
async fn denied_expired_and_unknown_device_codes_are_told_apart() {
    let rig = Rig::start();
    let denied = start(&rig).await;
    assert!(rig.fake.deny_device(denied["user_code"].as_str().unwrap()));
    assert_eq!(poll(&rig, &denied).await.1["error"]["code"], "access_denied");

    rig.fake.configure(|behaviour| behaviour.device_life_secs = 0);
    let expired = start(&rig).await;
    assert_eq!(poll(&rig, &expired).await.1["error"]["code"], "deviceauth_expired");
    assert!(!rig.fake.approve_device(expired["user_code"].as_str().unwrap(), Identity::default()));

    let unknown = json!({"device_auth_id": "deviceauth_FAKE_no", "user_code": denied["user_code"]});
    assert_eq!(poll(&rig, &unknown).await.0, 403);
}

#[tokio::test]
async fn device_login_can_be_off() {
    let rig = Rig::start();
    rig.fake.configure(|behaviour| behaviour.device_enabled = false);
    let (status, _) = rig.json("/api/accounts/deviceauth/usercode", &json!({"client_id": CLIENT_ID})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn the_device_page_approves() {
    let rig = Rig::start();
    let device = start(&rig).await;
    let (url, code) = (rig.issuer("/codex/device"), device["user_code"].as_str().unwrap().to_owned());
    let press = move || submit(&url, &[("user_code", &code), ("decision", "approve")]).unwrap();
    let page = tokio::task::spawn_blocking(press).await.unwrap();
    assert_eq!(page.status, 200);
    assert_eq!(poll(&rig, &device).await.0, 200);
    assert_eq!(rig.fake.requests(Endpoint::DevicePage).len(), 1);
}
