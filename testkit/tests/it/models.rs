//! Models, accounts, usage, and the two path styles.

use crate::rig::{Rig, json_of, signed};

#[tokio::test]
async fn the_model_list_is_conditional_on_its_etag() {
    let rig = Rig::start();
    let login = rig.login();
    let response = rig.get("/codex/models?client_version=0.169.0", &login).send().await.unwrap();
    let etag = response.headers()["etag"].clone();
    assert_eq!(response.headers()["x-models-etag"], etag);
    let (_, body) = json_of(response).await;
    assert_eq!(body["models"].as_array().unwrap().len(), 12);
    assert_eq!(body["models"][0]["slug"], "gpt-6.1-sol");

    let again = rig.get("/codex/models", &login).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(again.text().await.unwrap(), "");

    rig.fake.configure(|behaviour| behaviour.retired_models = vec!["gpt-5.5".to_owned()]);
    let changed = rig.get("/codex/models", &login).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"], etag);
}

#[tokio::test]
async fn accounts_check_fails_closed_by_default() {
    let rig = Rig::start();
    let login = rig.login();
    let (status, body) = json_of(rig.get("/wham/accounts/check", &login).send().await.unwrap()).await;
    assert_eq!(status, 200);
    let account = &body["accounts"][0];
    assert_eq!(account["id"], login.account_id.as_str());
    assert_eq!(account["workspace_backend_origin"], "NO_CONSTRAINT");
    assert_eq!(account["account_routing_override"], "NO_CONSTRAINT");
}

#[tokio::test]
async fn usage_reports_whole_percents() {
    let rig = Rig::start();
    let (status, body) = json_of(rig.get("/wham/usage", &rig.login()).send().await.unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(body["plan_type"], "plus");
    assert_eq!(body["rate_limit"]["primary_window"]["used_percent"], 13);
    assert_eq!(body["rate_limit"]["secondary_window"]["limit_window_seconds"], 604_800);
}

#[tokio::test]
async fn both_path_styles_are_served_and_nothing_else() {
    let rig = Rig::start();
    let login = rig.login();
    for (path, status) in [
        ("/backend-api/wham/usage", 200),
        ("/backend-api/wham/accounts/check", 200),
        ("/backend-api/codex/models", 200),
        ("/api/codex/usage", 200),
        ("/api/codex/accounts/check", 200),
        ("/api/codex/models", 200),
        ("/backend-api/ps/plugins/installed", 404),
        ("/backend-api/models", 404),
        ("/oauth/token", 404),
        ("/", 404),
    ] {
        let (seen, body) =
            json_of(signed(rig.http.get(rig.issuer(path)), &login).send().await.unwrap()).await;
        assert_eq!(seen, status, "{path}");
        if status == 404 {
            assert_eq!(body, serde_json::json!({"detail": "Not Found"}), "{path}");
        }
    }
}
