//! The admin endpoint does what the library does.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Rig, json_of, turn_body, with_json};

async fn admin(rig: &Rig, method: Method, path: &str, body: Value) -> (u16, Value) {
    let request = rig.http.request(method, rig.issuer(&format!("/__admin/{path}")));
    let request = if body.is_null() { request } else { with_json(request, &body) };
    json_of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn another_process_can_mint_script_and_read() {
    let rig = Rig::start();
    let (status, login) =
        admin(&rig, Method::POST, "tokens", json!({"email": "eve@example.com", "account_id": "acc-1"})).await;
    assert_eq!((status, &login["account_id"]), (200, &json!("acc-1")));
    let login = serde_json::from_value(login).unwrap();

    let scripts = json!([
        {"on": "responses", "effect": {"action": {"kind": "respond", "status": 503, "body": "busy"}}},
        {"on": "responses", "times": 1, "effect": {"hold": "g", "action":
            {"kind": "stream", "fault": {"kind": "end", "after_events": 1}}}},
    ]);
    assert_eq!(admin(&rig, Method::POST, "script", scripts).await.0, 200);
    assert_eq!(rig.turn(&login, &turn_body("hi")).send().await.unwrap().status(), 503);
    assert_eq!(admin(&rig, Method::POST, "release/g", Value::Null).await.0, 200);
    let body = rig.turn(&login, &turn_body("hi")).send().await.unwrap().text().await.unwrap();
    assert_eq!(crate::rig::events(&body).len(), 1);

    rig.get("/wham/usage", &login).send().await.unwrap();
    let (_, all) = admin(&rig, Method::GET, "journal", Value::Null).await;
    let (_, some) = admin(&rig, Method::GET, "journal?path_prefix=/backend-api/codex", Value::Null).await;
    assert_eq!((all["entries"].as_array().unwrap().len(), some["entries"].as_array().unwrap().len()), (3, 2));
    assert_eq!(some["entries"][1]["outcome"], "complete");
    assert_eq!(admin(&rig, Method::DELETE, "journal", Value::Null).await.0, 200);
    assert!(rig.fake.journal().is_empty());
}

#[tokio::test]
async fn another_process_can_expire_tokens() {
    let rig = Rig::start();
    let login = rig.login();
    assert_eq!(admin(&rig, Method::POST, "expire", Value::Null).await.0, 200);
    let (_, body) = json_of(rig.get("/wham/usage", &login).send().await.unwrap()).await;
    assert_eq!(body["error"]["code"], "token_expired");
    assert_eq!(admin(&rig, Method::POST, "expire", json!({"what": "refresh"})).await.0, 200);
    assert_eq!(rig.refresh(login.refresh()).await.0, 401);
    assert_eq!(admin(&rig, Method::POST, "expire", json!({"what": "everything"})).await.0, 400);
}

#[tokio::test]
async fn a_change_of_configuration_keeps_the_rest() {
    let rig = Rig::start();
    let change = json!({"reuse_policy": "kill_refresh_family", "identity": {"plan": "pro"}});
    let (status, config) = admin(&rig, Method::POST, "config", change).await;
    assert_eq!((status, &config["identity"]["email"]), (200, &json!("ada@example.com")));
    assert_eq!(admin(&rig, Method::GET, "config", Value::Null).await.1, config);
    assert_eq!(config["reuse_policy"], "kill_refresh_family");
    let (status, _) = admin(&rig, Method::POST, "config", json!({"no_such_knob": 1})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_device_is_approved_from_outside() {
    let rig = Rig::start();
    let client = json!({"client_id": crate::rig::CLIENT_ID});
    let (_, device) = rig.json("/api/accounts/deviceauth/usercode", &client).await;
    let approve = json!({"user_code": device["user_code"]});
    assert_eq!(admin(&rig, Method::POST, "device/approve", approve.clone()).await.0, 200);
    assert_eq!(admin(&rig, Method::POST, "device/approve", approve).await.0, 400);
    let poll = json!({"device_auth_id": device["device_auth_id"], "user_code": device["user_code"]});
    assert_eq!(rig.json("/api/accounts/deviceauth/token", &poll).await.0, 200);
}

#[tokio::test]
async fn a_script_with_a_misspelt_field_is_refused() {
    let rig = Rig::start();
    for script in [
        json!({"on": "responses", "effect": {"latency": 5}}),
        json!({"on": "nowhere", "effect": {}}),
        json!({"on": "responses", "effect": {"action": {"kind": "explode"}}}),
    ] {
        assert_eq!(admin(&rig, Method::POST, "script", script).await.0, 400);
    }
}
