//! What the issuer does to a refresh (WIRE §5.3) and what the tool result then says.

use codex_oauth_rig::Rig;
use fake_openai::{Effect, Endpoint, RefreshError, Script};

use crate::support::{ask, failure, mcp};
use codex_oauth_rig::text_of;

/// A rig whose access token the backend refuses, so that the next question has to refresh.
fn rejected() -> (Rig, codex_oauth_rig::Daemon) {
    let rig = Rig::new();
    let daemon = rig.signed_in();
    rig.fake.invalidate_access_tokens();
    (rig, daemon)
}

#[test]
fn each_answer_of_the_issuer_is_told_apart_and_none_is_asked_twice_in_vain() {
    let rows: [(&str, Effect, &str, &str); 11] = [
        ("expired", Effect::refresh_refused(401, RefreshError::Expired), "Token expired", "sign in"),
        ("reused 401", Effect::refresh_refused(401, RefreshError::Reused), "refresh_token_reused", "sign in"),
        ("reused 400", Effect::refresh_refused(400, RefreshError::Reused), "refresh_token_reused", "sign in"),
        (
            "revoked",
            Effect::refresh_refused(401, RefreshError::Invalidated),
            "refresh_token_invalidated",
            "sign in",
        ),
        ("invalid_grant", Effect::invalid_grant(), "invalid_grant", "sign in"),
        ("401 other", Effect::refresh_unauthorized("some_other_code"), "Token expired", "sign in"),
        ("500", Effect::internal_error(), "500", "try again in"),
        ("429", Effect::too_many_requests(None), "429", "try again in"),
        ("403 HTML", Effect::cloudflare_blocked(), "403", "try from another network"),
        ("no access_token", Effect::without(&["access_token"]), "access_token", "try again in"),
        ("no answer", Effect::lose_answer(), "could not learn whether", "try again in"),
    ];
    for (name, effect, says, next) in rows {
        let (rig, _daemon) = rejected();
        rig.fake.script(Script::always(Endpoint::Refresh, effect));
        let mut lines = mcp(&rig.home);
        let text = failure(&mut lines, "p");
        assert!(text.contains(says), "{name}: {text}");
        assert!(
            text.contains(&format!("next: {}", if next == "sign in" { "run /codex-oauth" } else { next })),
            "{name}: {text}"
        );
        // A second question within the pause sends no second refresh.
        let _again = failure(&mut lines, "p again");
        assert_eq!(rig.fake.requests(Endpoint::Refresh).len(), 1, "{name}");
        assert_eq!(rig.fake.requests(Endpoint::Revoke).len(), 0, "{name}");
    }
}

#[test]
fn a_refused_token_is_renewed_once_and_the_question_answered() {
    let (rig, _daemon) = rejected();
    let result = ask(&mut mcp(&rig.home), "renewed");
    assert!(text_of(&result).contains("renewed"), "{result}");
    let refreshes = rig.fake.requests(Endpoint::Refresh);
    assert_eq!(refreshes.len(), 1);
    assert_eq!(refreshes[0].body["refresh_reason"], "unauthorized_recovery");
    assert_eq!(refreshes[0].body["client_id"], "app_EMoamEEZ73f0CkXaXp7hrann");
}

#[test]
fn a_backend_that_refuses_the_renewed_token_too_ends_it() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.script(Script::always(Endpoint::Responses, Effect::token_invalidated()));
    let text = failure(&mut mcp(&rig.home), "p");
    assert!(text.contains("401") && text.contains("next: run /codex-oauth:codex-config"), "{text}");
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 2);
    assert_eq!(rig.fake.requests(Endpoint::Refresh).len(), 1);
}

#[test]
fn a_refresh_that_leaves_fields_out_keeps_the_old_ones() {
    let (rig, _daemon) = rejected();
    rig.fake.next(Endpoint::Refresh, Effect::without(&["id_token", "refresh_token"]));
    let result = ask(&mut mcp(&rig.home), "kept");
    assert!(text_of(&result).contains("kept"), "{result}");
    let text = std::fs::read_to_string(rig.home.auth_file()).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(record["openai_codex"]["grant"]["refresh_token"].is_string());
    assert!(record["openai_codex"]["id_token"].is_string());
}
