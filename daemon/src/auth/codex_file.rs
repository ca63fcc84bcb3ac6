//! The Codex CLI's `auth.json` (WIRE §4.1): its login as ours, and a renewed pair put into it.
//!
//! * Borrowed, its refresh token is not even parsed.
//! * Shared, a renewed pair replaces the tokens where they are and `last_refresh`, and nothing else.
//! * A file that makes the Codex CLI use an API key or another kind of login is named and not used: it would bill, or is not
//!   a ChatGPT login.

use serde_json::{Map, Value};

use super::claims::Claims;
use super::credentials::{Binding, Credentials, OwnGrant};
use super::record::RecordError;
use super::shelf::Mode;
use super::{PUBLIC_BACKEND_ORIGIN, PUBLIC_CLIENT_ID, PUBLIC_ISSUER};
use crate::secret::Secret;

/// The object with the login.
pub(super) const TOKENS: &str = "tokens";
const LAST_REFRESH: &str = "last_refresh";

/// The login in the file; `None` when nobody is signed in there.
pub(super) fn parse(
    document: &Map<String, Value>,
    mode: Mode,
    ours: &Binding,
) -> Result<Option<Credentials>, RecordError> {
    let kind = document.get("auth_mode").and_then(Value::as_str);
    let api_key = document.get("OPENAI_API_KEY").is_some_and(|key| !key.is_null());
    match kind {
        Some("chatgpt") => {}
        Some(other) => return Err(RecordError::NotChatGpt { kind: other.chars().take(40).collect() }),
        // As the Codex CLI infers it: a key wins over tokens.
        None if api_key => return Err(RecordError::NotChatGpt { kind: "apikey".to_owned() }),
        None => {}
    }
    let tokens = match document.get(TOKENS) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(tokens)) => tokens,
        Some(_) => return Err(RecordError::NotAnObject),
    };
    let text = |name: &str| tokens.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let access_token = Secret::new(text("access_token").ok_or(RecordError::NoAccessToken)?);
    let id_token = text("id_token").map(Secret::new);
    let access = Claims::of(&access_token);
    let expires_at = access.expires_at;
    let claimed = id_token.as_ref().map(Claims::of).unwrap_or_default().or(access).account_id;
    let account_id = text("account_id").map(str::to_owned).or(claimed).ok_or(RecordError::NoAccount)?;
    let refresh_token = match mode {
        Mode::Borrow => None,
        Mode::Share => text("refresh_token").map(Secret::new),
    };
    let last_refresh = document
        .get(LAST_REFRESH)
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map(std::time::SystemTime::from);
    let own = refresh_token.map(|refresh_token| OwnGrant {
        refresh_token,
        bound: bound(tokens, ours),
        obtained_at: None,
        last_refresh,
        renewals: 0,
    });
    let place = bound(tokens, ours);
    Ok(Some(Credentials { access_token, id_token, expires_at, account_id, own, place: Some(place) }))
}

/// Puts the tokens of `renewed` where the spent ones are.
pub(super) fn renew(document: &mut Map<String, Value>, renewed: &Credentials) {
    if let Some(Value::Object(tokens)) = document.get_mut(TOKENS) {
        let mut put = |name: &str, token: &Secret| {
            tokens.insert(name.to_owned(), token.expose().into());
        };
        if let Some(id_token) = &renewed.id_token {
            put("id_token", id_token);
        }
        put("access_token", &renewed.access_token);
        if let Some(own) = &renewed.own {
            put("refresh_token", &own.refresh_token);
        }
    }
    let renewed_at = renewed.own.as_ref().and_then(|own| own.last_refresh);
    if let Some(at) = renewed_at.and_then(|at| jiff::Timestamp::try_from(at).ok()) {
        document.insert(LAST_REFRESH.to_owned(), at.to_string().into());
    }
}

/// Where the login may be sent: to the issuer that the file names, absent the public one. The file names no backend: the
/// public issuer's login belongs to the public backend, another issuer's to the backend that is configured with that very
/// issuer.
fn bound(tokens: &Map<String, Value>, ours: &Binding) -> Binding {
    let provenance = tokens.get("oauth_provenance");
    let named = |name: &str| {
        let text = provenance.and_then(|provenance| provenance.get(name)).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let issuer = named("issuer").unwrap_or_else(|| PUBLIC_ISSUER.to_owned());
    let issuer = issuer.trim_end_matches('/').to_owned();
    let backend_origin = if issuer == ours.issuer && issuer != PUBLIC_ISSUER {
        ours.backend_origin.clone()
    } else {
        PUBLIC_BACKEND_ORIGIN.to_owned()
    };
    let client_id = named("client_id").unwrap_or_else(|| PUBLIC_CLIENT_ID.to_owned());
    Binding { issuer, backend_origin, client_id, machine: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::testing::{ACCOUNT, access_token};

    fn file(more: Value) -> Map<String, Value> {
        let mut file = json!({
            "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
            "tokens": {"id_token": "i", "access_token": access_token(600, "x").expose(), "refresh_token": "rt_1",
                       "account_id": ACCOUNT, "new_in_0_170": true},
            "last_refresh": "2026-11-22T08:00:43.877648999Z", "agent_identity": {"k": [1]},
        });
        let Value::Object(more) = more else { unreachable!("an object") };
        file.as_object_mut().unwrap().extend(more);
        file.as_object().unwrap().clone()
    }

    #[test]
    fn a_borrowed_login_has_no_refresh_token() {
        let login = parse(&file(json!({})), Mode::Borrow, &Binding::public()).unwrap().unwrap();
        assert_eq!((login.account_id.as_str(), &login.own), (ACCOUNT, &None));
        assert!(!format!("{login:?}").contains("rt_1"));
        assert_eq!(login.place, Some(Binding::public()));
    }

    #[test]
    fn a_renewed_pair_changes_the_tokens_and_their_time_and_nothing_else() {
        let mut document = file(json!({}));
        let mut login = parse(&document, Mode::Share, &Binding::public()).unwrap().unwrap();
        let before: Value = document.clone().into();
        login.access_token = Secret::new("at_2");
        let own = login.own.as_mut().unwrap();
        own.refresh_token = Secret::new("rt_2");
        own.last_refresh = Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1));
        renew(&mut document, &login);
        let mut expected = before;
        expected["tokens"]["access_token"] = "at_2".into();
        expected["tokens"]["refresh_token"] = "rt_2".into();
        expected["last_refresh"] = "1970-01-01T00:00:01Z".into();
        assert_eq!(Value::Object(document.clone()), expected);
        let names: Vec<_> = document.keys().map(String::as_str).collect();
        assert_eq!(names, ["auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh", "agent_identity"]);
    }

    #[test]
    fn a_login_that_would_bill_is_named_and_not_used() {
        for (more, kind) in [
            (json!({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-1"}), "apikey"),
            (json!({"auth_mode": null, "OPENAI_API_KEY": "sk-1"}), "apikey"),
            (json!({"auth_mode": "personalAccessToken"}), "personalAccessToken"),
        ] {
            let refused = parse(&file(more), Mode::Share, &Binding::public()).unwrap_err().to_string();
            assert!(refused.contains(kind) && !refused.contains("sk-1"), "{refused}");
        }
    }

    #[test]
    fn a_login_of_another_issuer_goes_to_the_backend_that_is_configured_with_it_only() {
        let ours = |issuer: &str| Binding {
            issuer: issuer.to_owned(),
            backend_origin: "https://b.example".to_owned(),
            ..Binding::public()
        };
        let from = |issuer: &str, ours: &Binding| {
            let mut document = file(json!({}));
            document["tokens"]["oauth_provenance"] = json!({"issuer": issuer, "client_id": "c"});
            parse(&document, Mode::Borrow, ours).unwrap().unwrap().place.unwrap()
        };
        let place = from("https://a.example/", &ours("https://a.example"));
        assert_eq!((&*place.issuer, &*place.backend_origin), ("https://a.example", "https://b.example"));
        assert_eq!(from(PUBLIC_ISSUER, &ours(PUBLIC_ISSUER)).backend_origin, PUBLIC_BACKEND_ORIGIN);
        assert_eq!(
            from("https://a.example", &ours("https://c.example")).backend_origin,
            PUBLIC_BACKEND_ORIGIN
        );
    }

    #[test]
    fn nobody_signed_in_is_no_error() {
        for more in [json!({"tokens": null}), json!({"auth_mode": null, "tokens": null})] {
            assert_eq!(parse(&file(more), Mode::Share, &Binding::public()).unwrap(), None);
        }
    }
}
