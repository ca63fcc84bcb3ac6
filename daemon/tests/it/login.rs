//! Signing in and out, and a login that cannot be used.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use codex_oauth_proto::api::account;
use codex_oauth_rig::{Rig, Shim, login_end, text_of};
use fake_openai::{Effect, Endpoint, MintRequest};
use serde_json::{Value, json};

use crate::support::{answer, failure, mcp};

pub(crate) fn auth_json(rig: &Rig) -> Value {
    serde_json::from_slice(&std::fs::read(rig.home.auth_file()).unwrap()).unwrap()
}

pub(crate) fn put(rig: &Rig, text: &str) {
    std::fs::File::create(rig.home.auth_file()).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn without_a_login_every_question_says_so_and_how_to_sign_in() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let text = failure(&mut mcp(&rig.home), "p");
    let (said, id) = text.rsplit_once("\ndetails: /codex-oauth:codex-doctor ").expect(&text);
    assert_eq!(
        said,
        "Not authenticated: nobody is signed in to Codex\nnext: run /codex-oauth:codex-config to sign in"
    );
    assert_eq!(id.len(), 4, "{text}");
}

#[test]
fn the_login_tool_gives_a_link_at_once_and_the_status_tells_its_end() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut shim = Shim::initialized(&rig.home);
    let mut say = |tool: &str| {
        shim.call(&json!(1), tool, &json!({}));
        text_of(&shim.answer(&json!(1))["result"])
    };
    let link = |text: &str| text.split_whitespace().find(|word| word.starts_with("http")).unwrap().to_owned();
    let (first, second) = (link(&say("codex_login")), link(&say("codex_login")));
    assert_eq!(first, second, "all windows share one login");
    assert!(say("codex_status").contains("a login waits for you"));
    assert_eq!(rig.fake.authorize(&first).unwrap().status, 200);
    assert!(say("codex_status").starts_with("signed in  ada@example.com (Plus)"));
    assert!(say("codex_clear").starts_with("Credentials cleared and revoked"));
    assert!(say("codex_status").starts_with("signed out"));
    assert_eq!(rig.fake.requests(Endpoint::Revoke).len(), 1);
}

#[test]
fn a_login_keeps_what_other_programs_have_in_the_file_and_its_own_secret_nested() {
    let rig = Rig::new();
    put(&rig, r#"{"zeta": 1, "openai_codex": {"junk": true}, "alpha": {"b": 2, "a": 1}}"#);
    let _daemon = rig.signed_in();
    let text = std::fs::read_to_string(rig.home.auth_file()).unwrap();
    let order: Vec<usize> =
        ["zeta", "openai_codex", "alpha", "\"b\"", "\"a\""].map(|key| text.find(key).unwrap()).into();
    assert!(order.is_sorted(), "{text}");
    let record = &auth_json(&rig)["openai_codex"];
    assert!(record["grant"]["refresh_token"].is_string() && record.get("refresh_token").is_none());
    assert_eq!(std::fs::metadata(rig.home.auth_file()).unwrap().permissions().mode() & 0o777, 0o600);
    rig.api().call::<account::Logout>(&account::OfAccount::default()).unwrap();
    assert_eq!(auth_json(&rig), json!({"zeta": 1, "alpha": {"b": 2, "a": 1}}));
}

#[test]
fn a_denied_login_changes_nothing() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let before = auth_json(&rig);
    rig.fake.configure(|behaviour| behaviour.require_approval = true);
    let mut api = rig.api();
    let link_alone =
        account::LoginStartParams { device: Some(false), ..account::LoginStartParams::default() };
    let started = api.call::<account::LoginStart>(&link_alone).unwrap();
    rig.fake.next(Endpoint::CodeExchange, Effect::invalid_grant());
    rig.fake.configure(|behaviour| behaviour.require_approval = false);
    rig.fake.authorize(&started.auth_url).unwrap();
    let ended = login_end(&mut api);
    assert_eq!(
        (&ended["success"], &ended["error"]["code"]),
        (&json!(false), &json!("login_failed")),
        "{ended}"
    );
    assert_eq!(auth_json(&rig), before);
    assert!(answer(&mut mcp(&rig.home), "still signed in").contains("still signed in"));
}

#[test]
fn a_torn_or_corrupt_file_is_neither_a_logout_nor_overwritten() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let whole = std::fs::read_to_string(rig.home.auth_file()).unwrap();
    for broken in ["", "{", &whole[..whole.len() / 2], "[]", "null"] {
        put(&rig, broken);
        let text = failure(&mut mcp(&rig.home), "p");
        let path = rig.home.auth_file().display().to_string();
        assert!(text.contains(&path) && text.contains("next: run /codex-oauth:codex-config"), "{text}");
        assert!(!text.contains("Not authenticated"), "{text}");
        let refused = rig.api().call::<account::Logout>(&account::OfAccount::default()).unwrap_err();
        assert!(refused.message.contains(&path), "{}", refused.message);
        assert_eq!(std::fs::read_to_string(rig.home.auth_file()).unwrap(), broken, "it is left as it was");
    }
    put(&rig, &whole);
    assert!(answer(&mut mcp(&rig.home), "whole again").contains("whole again"));
}

#[test]
fn fifty_questions_on_an_expired_token_cost_one_refresh() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.expire_access_tokens();
    let mut record = auth_json(&rig);
    let old = &mut record["openai_codex"];
    old["access_token"] = json!(expired(&rig));
    old["expires_at"] = json!(1);
    put(&rig, &record.to_string());
    rig.fake.next(Endpoint::Refresh, Effect::hold("refresh"));
    let mut sessions: Vec<_> = (0..10).map(|_| mcp(&rig.home)).collect();
    for (n, lines) in sessions.iter_mut().enumerate() {
        for call in 0..5 {
            let prompt = json!({"prompt": format!("session {n} call {call}")});
            crate::support::call(lines, &json!(call), "codex_query", &prompt);
        }
    }
    rig.fake.wait_for_request(Endpoint::Refresh, 1).unwrap();
    rig.fake.release("refresh");
    for (n, lines) in sessions.iter_mut().enumerate() {
        for call in 0..5 {
            let result = lines.answer(&json!(call))["result"].clone();
            assert!(text_of(&result).contains(&format!("session {n} call {call}")), "{result}");
        }
    }
    let refreshes = rig.fake.requests(Endpoint::Refresh);
    assert_eq!(refreshes.len(), 1);
    assert_eq!(refreshes[0].body["refresh_reason"], "proactive_expiry");
}

/// An access token of the same account that has ended.
pub(crate) fn expired(rig: &Rig) -> String {
    rig.fake.mint(&MintRequest { access_token_life_secs: Some(-60), ..MintRequest::default() }).access_token
}

#[test]
fn a_record_of_the_original_plugin_is_for_the_public_backend_and_sent_nowhere_else() {
    let rig = Rig::new();
    let login = rig.fake.mint(&MintRequest::default());
    let record = json!({"openai_codex": {
        "access_token": login.access_token, "refresh_token": login.refresh_token, "expires_at": 4_000_000_000_u64
    }});
    put(&rig, &record.to_string());
    let _daemon = rig.daemon();
    let text = failure(&mut mcp(&rig.home), "p");
    assert!(text.contains("https://auth.openai.com") && text.contains(&rig.fake.issuer_url()), "{text}");
    assert_eq!(rig.fake.journal().len(), 0, "neither token left the machine");
    assert_eq!(auth_json(&rig), record);
}

#[test]
fn the_status_waits_for_the_end_of_a_login_when_asked_to() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!(1), "codex_login", &json!({}));
    let text = text_of(&shim.answer(&json!(1))["result"]);
    let link = text.split_whitespace().find(|word| word.starts_with("http")).unwrap().to_owned();
    let params = json!({
        "name": "codex_status", "arguments": {"wait_for_login": true}, "_meta": {"progressToken": "wait"}
    });
    shim.send(&json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}));
    let told = shim.receive().unwrap();
    assert!(told["params"]["message"].as_str().unwrap().starts_with("waiting for the browser"), "{told}");
    rig.fake.authorize(&link).unwrap();
    assert!(text_of(&shim.answer(&json!(2))["result"]).starts_with("signed in  ada@example.com"));
}

#[test]
fn the_status_does_not_wait_longer_than_its_bound() {
    let rig = Rig::new().limits(&[("login_wait_ms", 50)]);
    let _daemon = rig.daemon();
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!(1), "codex_login", &json!({}));
    shim.answer(&json!(1));
    shim.call(&json!(2), "codex_status", &json!({"wait_for_login": true}));
    assert!(text_of(&shim.answer(&json!(2))["result"]).contains("left: http"));
}

#[test]
fn a_client_that_shows_links_is_asked_to_and_told_when_the_login_is_done() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut shim = Shim::spawn(&rig.home);
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {"elicitation": {"form": {}, "url": {}}},
        "clientInfo": {"name": "it", "version": "1"}
    });
    shim.request(&json!(0), "initialize", &params);
    shim.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    shim.call(&json!(1), "codex_login", &json!({}));
    let (mut asked, mut answered) = (None, None);
    while asked.is_none() || answered.is_none() {
        let message = shim.receive().unwrap();
        if message["method"] == "elicitation/create" {
            asked = Some(message);
        } else {
            answered = Some(message);
        }
    }
    let (asked, answered) = (asked.unwrap(), answered.unwrap());
    assert_eq!(asked["params"]["mode"], "url");
    let link = asked["params"]["url"].as_str().unwrap();
    assert!(text_of(&answered["result"]).contains(link), "the link is in the result as well");
    shim.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "accept"}}));
    rig.fake.authorize(link).unwrap();
    let told = shim.receive().unwrap();
    assert_eq!(told["method"], "notifications/elicitation/complete", "{told}");
    assert_eq!(told["params"]["elicitationId"], asked["params"]["elicitationId"]);
}

#[test]
fn in_the_newer_era_the_link_is_required_input_and_the_retry_tells_the_end() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut shim = Shim::spawn(&rig.home);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}
    });
    let mut params = json!({"name": "codex_login", "arguments": {}, "_meta": meta});
    let result = shim.request(&json!(1), "tools/call", &params)["result"].clone();
    assert_eq!(result["resultType"], "input_required", "{result}");
    let asked = &result["inputRequests"]["login"]["params"];
    assert_eq!(asked["mode"], "url", "{result}");
    rig.fake.authorize(asked["url"].as_str().unwrap()).unwrap();
    params["requestState"] = result["requestState"].clone();
    params["inputResponses"] = json!({"login": {"action": "accept"}});
    let result = shim.request(&json!(2), "tools/call", &params)["result"].clone();
    assert_eq!(
        text_of(&result),
        "Signed in as ada@example.com (Plus), workspace 11111111-2222-4333-8444-555555555555."
    );
}

#[test]
fn signing_out_says_revoked_only_when_the_issuer_was_told() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut record = auth_json(&rig);
    record["openai_codex"]["grant"].as_object_mut().unwrap().remove("refresh_token");
    put(&rig, &record.to_string());
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!(1), "codex_clear", &json!({}));
    let text = text_of(&shim.answer(&json!(1))["result"]);
    assert!(text.starts_with("Credentials cleared on this machine") && !text.contains("revoked"), "{text}");
    assert_eq!(rig.fake.requests(Endpoint::Revoke).len(), 0);
}
