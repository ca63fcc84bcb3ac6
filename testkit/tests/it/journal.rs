//! The journal tells tokens apart and gives none away.

use fake_openai::{Effect, Endpoint, JOURNAL_CAPACITY, Outcome};
use serde_json::json;

use crate::rig::{CLIENT_ID, Rig, turn_body, with_json};

#[tokio::test]
async fn no_raw_token_or_code_is_in_the_journal() {
    let rig = Rig::start();
    let login = rig.login();
    let foreign = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.canary";
    let secrets = [login.access_token.as_str(), login.refresh(), login.id_token.as_str(), foreign];
    for secret in secrets {
        rig.refresh(secret).await;
        rig.json("/oauth/revoke", &json!({"token": secret, "client_id": CLIENT_ID})).await;
        let form = [("grant_type", "authorization_code"), ("code", secret), ("code_verifier", secret)];
        rig.form("/oauth/token", &form).await;
        let request = rig.http.post(rig.issuer(&format!("/backend-api/codex/responses?t={secret}")));
        let request = request.header("authorization", format!("Bearer {secret}")).header("cookie", secret);
        let request = with_json(request.header("x-strange", format!("<{secret}>")), &turn_body(secret));
        request.send().await.unwrap();
        rig.http.get(rig.issuer(&format!("/{secret}"))).body(secret.to_owned()).send().await.unwrap();
    }
    let journal = serde_json::to_string(&rig.fake.journal()).unwrap();
    for secret in secrets {
        assert!(!journal.contains(secret), "{secret} is in the journal");
    }
    assert!(!journal.contains("canary"));
    assert!(!journal.contains("rt_FAKE"));
}

#[tokio::test]
async fn the_secrets_that_a_test_looks_for_are_all_that_were_issued_or_received() {
    let rig = Rig::start();
    let login = rig.login();
    let (_, next) = rig.refresh(login.refresh()).await;
    rig.refresh("rt_foreign").await;
    let form =
        [("grant_type", "authorization_code"), ("code", "the-code"), ("code_verifier", "the-verifier")];
    rig.form("/oauth/token", &form).await;
    rig.turn(&login, &turn_body("no secret")).send().await.unwrap();
    let issued = ["access_token", "refresh_token", "id_token"].map(|name| next[name].as_str().unwrap());
    let first = [login.access_token.as_str(), login.refresh(), login.id_token.as_str()];
    let mut expected = [&issued[..], &first, &["rt_foreign", "the-code", "the-verifier"]].concat();
    let mut seen = rig.fake.secrets_seen();
    expected.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn labels_tell_families_and_generations_apart() {
    let rig = Rig::start();
    let (first, second) = (rig.login(), rig.login());
    assert_eq!(rig.fake.label(&first.access_token), "access:1.1");
    assert_eq!(rig.fake.label(second.refresh()), "refresh:2.1");
    let (_, next) = rig.refresh(second.refresh()).await;
    assert_eq!(rig.fake.label(next["refresh_token"].as_str().unwrap()), "refresh:2.2");
    rig.get("/wham/usage", &first).send().await.unwrap();
    let usage = rig.fake.requests(Endpoint::Usage).pop().unwrap();
    assert_eq!(usage.bearer.as_deref(), Some("access:1.1"));
    assert_eq!(usage.header("authorization"), Some("Bearer access:1.1"));
    let refresh = rig.fake.requests(Endpoint::Refresh).pop().unwrap();
    assert_eq!(refresh.body["refresh_token"], "refresh:2.1");
    assert_eq!(refresh.note.as_deref(), Some("rotated"));
}

#[tokio::test]
async fn an_entry_says_how_the_request_came_and_ended() {
    let rig = Rig::start();
    rig.turn(&rig.login(), &turn_body("hi")).send().await.unwrap().text().await.unwrap();
    rig.fake.wait_for_async(|journal| journal[0].outcome == Outcome::Complete).await.unwrap();
    let entry = rig.fake.journal().remove(0);
    assert_eq!((entry.sequence, entry.connection, entry.tls), (1, 1, false));
    assert_eq!((entry.method.as_str(), entry.path.as_str()), ("POST", "/backend-api/codex/responses"));
    assert_eq!(entry.http_version, "HTTP/1.1");
    assert_eq!(entry.status, Some(200));
    assert_eq!(entry.body["input"][0]["content"][0]["text"], "hi");
    assert_eq!(entry.wire_len, turn_body("hi").to_string().len());
}

#[tokio::test]
async fn a_prompt_stays_readable() {
    let rig = Rig::start();
    let prompt = "what-is-this-thing, at-a-glance? sk-ip and start_here";
    rig.turn(&rig.login(), &turn_body(prompt)).send().await.unwrap();
    assert_eq!(rig.fake.journal()[0].body["input"][0]["content"][0]["text"], prompt);
}

#[tokio::test]
async fn the_journal_is_bounded() {
    let rig = Rig::start();
    for _ in 0..JOURNAL_CAPACITY + 5 {
        rig.http.get(rig.issuer("/nothing")).send().await.unwrap().text().await.unwrap();
    }
    let journal = rig.fake.journal();
    assert_eq!(journal.len(), JOURNAL_CAPACITY);
    assert_eq!(journal[0].sequence, 6);
}

#[tokio::test]
async fn scripts_for_any_endpoint_spare_the_admin() {
    let rig = Rig::start();
    rig.fake.next(Endpoint::Any, Effect::internal_error());
    assert_eq!(rig.http.get(rig.issuer("/__admin/config")).send().await.unwrap().status(), 200);
    assert_eq!(rig.http.get(rig.issuer("/x")).send().await.unwrap().status(), 500);
    assert_eq!(rig.fake.journal().len(), 1);
}
