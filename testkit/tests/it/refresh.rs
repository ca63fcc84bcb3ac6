//! Rotation, reuse, revocation, and what a script does to a refresh.

use fake_openai::{Effect, Endpoint, MintRequest, RefreshError, ReusePolicy};
use serde_json::{Value, json};

use crate::rig::{CLIENT_ID, Rig, json_of, refresh_body};

async fn backend_status(rig: &Rig, access_token: &str) -> (u16, Value) {
    let account = rig.login().account_id;
    let request = rig.http.get(format!("{}/wham/accounts/check", rig.fake.backend_url()));
    let request = request.header("authorization", format!("Bearer {access_token}"));
    json_of(request.header("chatgpt-account-id", account).send().await.unwrap()).await
}

fn token(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refresh_token_is_spent_once_and_replaced() {
    let rig = Rig::start();
    let login = rig.login();
    let (status, first) = rig.refresh(login.refresh()).await;
    assert_eq!(status, 200);
    assert_ne!(token(&first, "refresh_token"), login.refresh());
    assert_ne!(token(&first, "access_token"), login.access_token);
    let (status, body) = rig.refresh(login.refresh()).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("refresh_token_reused")));
    assert_eq!(rig.refresh(&token(&first, "refresh_token")).await.0, 200);
}

#[tokio::test]
async fn each_reuse_policy_kills_what_it_names() {
    for (policy, refresh_lives, access_lives) in [
        (ReusePolicy::ErrorOnly, true, true),
        (ReusePolicy::KillRefreshFamily, false, true),
        (ReusePolicy::KillFamilyAndAccess, false, false),
    ] {
        let rig = Rig::start();
        rig.fake.set_reuse_policy(policy);
        let (login, bystander) = (rig.login(), rig.login());
        let (_, next) = rig.refresh(login.refresh()).await;
        assert_eq!(rig.refresh(login.refresh()).await.0, 401);

        let (status, body) = backend_status(&rig, &token(&next, "access_token")).await;
        assert_eq!(status == 200, access_lives, "{policy:?}");
        if !access_lives {
            assert_eq!((status, &body["error"]["code"]), (401, &json!("token_invalidated")));
        }
        let (status, body) = rig.refresh(&token(&next, "refresh_token")).await;
        assert_eq!(status == 200, refresh_lives, "{policy:?}");
        if !refresh_lives {
            assert_eq!((status, &body["error"]["code"]), (401, &json!("refresh_token_invalidated")));
        }
        assert_eq!(rig.refresh(bystander.refresh()).await.0, 200, "{policy:?} reached another login");
    }
}

#[tokio::test]
async fn a_refresh_is_refused_for_a_strange_token_client_or_form() {
    let rig = Rig::start();
    let login = rig.login();
    assert_eq!(rig.refresh("rt_FAKE_nobody").await, (400, json!({"error": "invalid_grant"})));
    let mut body = refresh_body(login.refresh());
    body["client_id"] = json!("app_other");
    assert_eq!(rig.json("/oauth/token", &body).await.0, 401);
    let form =
        [("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", login.refresh())];
    assert_eq!(rig.form("/oauth/token", &form).await.0, 400);
    assert_eq!(rig.refresh(login.refresh()).await.0, 200, "a refused request spent the token");
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_family() {
    let rig = Rig::start();
    let (login, bystander) = (rig.login(), rig.login());
    let body = json!({"token": login.refresh(), "token_type_hint": "refresh_token", "client_id": CLIENT_ID});
    assert_eq!(rig.json("/oauth/revoke", &body).await, (200, json!({})));
    let (status, answer) = backend_status(&rig, &login.access_token).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("token_revoked")));
    let (status, answer) = rig.refresh(login.refresh()).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("refresh_token_invalidated")));
    assert_eq!(backend_status(&rig, &bystander.access_token).await.0, 200);
    // RFC 7009 §2.2: an unknown token is no error.
    assert_eq!(rig.json("/oauth/revoke", &body).await.0, 200);
}

#[tokio::test]
async fn an_access_token_expires_by_its_claim_and_by_decree() {
    let rig = Rig::start();
    let stale = rig.fake.mint(&MintRequest { access_token_life_secs: Some(-1), ..MintRequest::default() });
    let login = rig.login();
    let (status, body) = backend_status(&rig, &stale.access_token).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("token_expired")));
    assert_eq!(backend_status(&rig, &login.access_token).await.0, 200);
    rig.fake.expire_access_tokens();
    let (_, body) = backend_status(&rig, &login.access_token).await;
    assert_eq!(body["error"]["code"], "token_expired");
    let (_, next) = rig.refresh(login.refresh()).await;
    assert_eq!(backend_status(&rig, &token(&next, "access_token")).await.0, 200);
}

#[tokio::test]
async fn scripted_refusals_come_in_order_and_spend_nothing() {
    let rig = Rig::start();
    let login = rig.login();
    let rows = [
        (Effect::refresh_refused(401, RefreshError::Expired), 401, "refresh_token_expired"),
        (Effect::refresh_refused(400, RefreshError::Reused), 400, "refresh_token_reused"),
        (Effect::refresh_refused(401, RefreshError::Invalidated), 401, "refresh_token_invalidated"),
        (Effect::refresh_unauthorized("strange"), 401, "strange"),
        (Effect::invalid_grant(), 400, "invalid_grant"),
        (Effect::too_many_requests(Some(3)), 429, "rate_limit_exceeded"),
        (Effect::internal_error(), 500, "server_error"),
    ];
    for (effect, _, _) in &rows {
        rig.fake.next(Endpoint::Refresh, effect.clone());
    }
    for (_, status, note) in &rows {
        assert_eq!(rig.refresh(login.refresh()).await.0, *status);
        let last = rig.fake.requests(Endpoint::Refresh).pop().unwrap();
        assert_eq!(last.note.as_deref(), Some(*note));
    }
    assert_eq!(rig.refresh(login.refresh()).await.0, 200);
}

#[tokio::test]
async fn fields_can_be_left_out_of_a_successful_refresh() {
    let rig = Rig::start();
    rig.fake.next(Endpoint::Refresh, Effect::without(&["access_token", "id_token"]));
    let (status, body) = rig.refresh(rig.login().refresh()).await;
    assert_eq!(status, 200);
    assert_eq!((body.get("access_token"), body.get("id_token")), (None, None));
    assert!(body["refresh_token"].is_string());
}

#[tokio::test]
async fn a_lost_answer_has_spent_the_token() {
    let rig = Rig::start();
    let login = rig.login();
    rig.fake.next(Endpoint::Refresh, Effect::lose_answer());
    let lost =
        crate::rig::with_json(rig.http.post(rig.issuer("/oauth/token")), &refresh_body(login.refresh()));
    assert!(lost.send().await.is_err());
    assert_eq!(rig.refresh(login.refresh()).await.1["error"]["code"], "refresh_token_reused");
}
