//! The record under our key of the credential file, and how it becomes [`Credentials`].
//!
//! ```json
//! {"access_token": "…", "id_token": "…", "expires_at": 1795337241, "account_id": "…",
//!  "grant": {"refresh_token": "…", "issuer": "…", "backend_origin": "…", "client_id": "…", "machine": "…",
//!            "obtained_at": 1795000000, "last_refresh": 1795300000, "renewals": 3}}
//! ```
//! Times are unix seconds. The refresh token is only in `grant`, where the original plugin does not look: a forgotten
//! copy of that plugin cannot spend it. A record without `grant` is that plugin's own; its flat `refresh_token` is not
//! even parsed.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::claims::{Claims, unix_seconds, unix_time};
use super::credentials::{Binding, Credentials, OwnGrant};
use super::{PUBLIC_BACKEND_ORIGIN, PUBLIC_CLIENT_ID, PUBLIC_ISSUER};
use crate::secret::Secret;

/// Why a record holds no login.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// The value under our key is not an object.
    #[error("the record is not a JSON object")]
    NotAnObject,
    /// A field is missing or has another type than it should.
    #[error("the record has a field of the wrong type")]
    WrongType,
    /// Without it nothing can be sent.
    #[error("the record has no access_token")]
    NoAccessToken,
    /// A grant without it is none.
    #[error("the record's grant has no refresh_token")]
    NoRefreshToken,
    /// The Codex CLI's file holds a login of another kind: an API key, which bills, or a token that is none of ChatGPT's.
    #[error(
        "the Codex CLI uses a login of the kind `{kind}` there, which is no ChatGPT login and is not used"
    )]
    NotChatGpt {
        /// `apikey`, `personalAccessToken`, ... as the file spells it (WIRE §4.1).
        kind: String,
    },
    /// The backend wants to know the account (WIRE §5.6), and neither the tokens nor the record name one.
    #[error("the record names no ChatGPT account")]
    NoAccount,
}

/// What a login has not is null here, and no field in the file.
#[derive(Serialize, Deserialize)]
struct Wire {
    access_token: Option<String>,
    id_token: Option<String>,
    #[serde(default)]
    expires_at: Value,
    account_id: Option<String>,
    grant: Option<WireGrant>,
}

#[derive(Serialize, Deserialize)]
struct WireGrant {
    refresh_token: Option<String>,
    issuer: Option<String>,
    backend_origin: Option<String>,
    client_id: Option<String>,
    machine: Option<String>,
    #[serde(default)]
    obtained_at: Value,
    #[serde(default)]
    last_refresh: Value,
    #[serde(default)]
    renewals: Value,
}

/// Reads the record.
pub(super) fn parse(record: &Value) -> Result<Credentials, RecordError> {
    if !record.is_object() {
        return Err(RecordError::NotAnObject);
    }
    // serde's error would quote the value, which may be a token in the wrong place.
    Wire::deserialize(record).map_err(|_| RecordError::WrongType)?.try_into()
}

/// The refresh token of the original plugin in its own record: for an import, which a person asks for, and nothing else.
pub(super) fn plugin_refresh_token(record: &Value) -> Option<Secret> {
    let flat = record.get("refresh_token").filter(|_| record.get("grant").is_none());
    flat.and_then(Value::as_str).filter(|text| !text.is_empty()).map(Secret::new)
}

/// The record of `login`.
pub(super) fn render(login: &Credentials) -> Map<String, Value> {
    let mut record = Map::new();
    merge(&mut record, login);
    record
}

/// Makes `record` the record of `login`. It keeps its order and the fields that a newer version may have added; of the fields
/// of this version nothing stays: how often an older login was renewed would make it look like the newer one.
pub(super) fn merge(record: &mut Map<String, Value>, login: &Credentials) {
    match serde_json::to_value(Wire::from(login)) {
        Ok(Value::Object(fields)) => put(record, fields),
        _ => unreachable!("a struct of strings and numbers is a JSON object"),
    }
}

fn put(old: &mut Map<String, Value>, new: Map<String, Value>) {
    for (key, value) in new {
        match (old.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => put(old, new),
            // `remove` would move the last key into the gap.
            (_, Value::Null) => drop(old.shift_remove(&key)),
            (_, Value::Object(new)) => {
                let mut object = Map::new();
                put(&mut object, new);
                old.insert(key, object.into());
            }
            (_, value) => drop(old.insert(key, value)),
        }
    }
}

impl TryFrom<Wire> for Credentials {
    type Error = RecordError;

    fn try_from(wire: Wire) -> Result<Self, RecordError> {
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let access_token = Secret::new(text(wire.access_token).ok_or(RecordError::NoAccessToken)?);
        let id_token = text(wire.id_token).map(Secret::new);
        let access = Claims::of(&access_token);
        let expires_at = access.expires_at.or_else(|| unix_time(&wire.expires_at));
        let claimed = id_token.as_ref().map(Claims::of).unwrap_or_default().or(access).account_id;
        let recorded = text(wire.account_id);
        let account_id = match &wire.grant {
            Some(_) => recorded.or(claimed),
            // The original writes `organizations[0].id` here when it finds no account.
            None => claimed.or(recorded.filter(|id| !id.starts_with("org-"))),
        };
        Ok(Self {
            access_token,
            id_token,
            expires_at,
            account_id: account_id.ok_or(RecordError::NoAccount)?,
            own: wire.grant.map(OwnGrant::try_from).transpose()?,
            place: None,
        })
    }
}

impl TryFrom<WireGrant> for OwnGrant {
    type Error = RecordError;

    fn try_from(wire: WireGrant) -> Result<Self, RecordError> {
        let refresh_token = wire.refresh_token.filter(|text| !text.is_empty());
        let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
        Ok(Self {
            refresh_token: Secret::new(refresh_token.ok_or(RecordError::NoRefreshToken)?),
            bound: Binding {
                issuer: or(wire.issuer, PUBLIC_ISSUER),
                backend_origin: or(wire.backend_origin, PUBLIC_BACKEND_ORIGIN),
                client_id: or(wire.client_id, PUBLIC_CLIENT_ID),
                machine: wire.machine,
            },
            obtained_at: unix_time(&wire.obtained_at),
            last_refresh: unix_time(&wire.last_refresh),
            renewals: wire.renewals.as_u64().unwrap_or_default(),
        })
    }
}

impl From<&Credentials> for Wire {
    fn from(login: &Credentials) -> Self {
        let time = |time: Option<SystemTime>| time.map_or(Value::Null, |time| unix_seconds(time).into());
        Self {
            access_token: Some(login.access_token.expose().to_owned()),
            id_token: login.id_token.as_ref().map(|token| token.expose().to_owned()),
            expires_at: time(login.expires_at),
            account_id: Some(login.account_id.clone()),
            grant: login.own.as_ref().map(|own| WireGrant {
                refresh_token: Some(own.refresh_token.expose().to_owned()),
                issuer: Some(own.bound.issuer.clone()),
                backend_origin: Some(own.bound.backend_origin.clone()),
                client_id: Some(own.bound.client_id.clone()),
                machine: own.bound.machine.clone(),
                obtained_at: time(own.obtained_at),
                last_refresh: time(own.last_refresh),
                renewals: if own.renewals == 0 { Value::Null } else { own.renewals.into() },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::testing::{credentials, jwt};

    #[test]
    fn what_is_written_is_read_back() {
        let login = credentials("at", "rt");
        assert_eq!(parse(&Value::Object(render(&login))).unwrap(), login);
    }

    #[test]
    fn the_refresh_token_is_only_in_the_nested_object() {
        let record = Value::Object(render(&credentials("at", "rt_FAKE")));
        assert_eq!(record.get("refresh_token"), None);
        assert_eq!(record["grant"]["refresh_token"], "rt_FAKE");
    }

    #[test]
    fn the_original_record_gives_its_access_token_only() {
        let access = jwt(&json!({"exp": 1_795_337_241, "chatgpt_account_id": "acct"}));
        let login = parse(&json!({
            "access_token": access.expose(), "refresh_token": "rt_THEIRS", "expires_at": 0,
            "account_id": "org-1", "token_type": "Bearer",
        }))
        .unwrap();
        assert_eq!((login.account_id.as_str(), login.own), ("acct", None));
        assert_eq!(login.expires_at.map(unix_seconds), Some(1_795_337_241));
    }

    #[test]
    fn only_the_original_record_has_a_refresh_token_to_import() {
        let theirs = json!({"access_token": "a", "refresh_token": "rt_THEIRS"});
        assert_eq!(plugin_refresh_token(&theirs), Some(Secret::new("rt_THEIRS")));
        let mut ours = Value::Object(render(&credentials("at", "rt_OURS")));
        ours["refresh_token"] = json!("rt_STALE");
        for record in [ours, json!({"refresh_token": ""}), json!({"refresh_token": 5}), json!("rt_TEXT")] {
            assert_eq!(plugin_refresh_token(&record), None);
        }
    }

    #[test]
    fn a_grant_without_a_binding_is_bound_to_the_public_pair() {
        let login =
            parse(&json!({"access_token": "a", "account_id": "x", "grant": {"refresh_token": "r"}})).unwrap();
        let bound = login.own.unwrap().bound;
        assert_eq!(bound.issuer, "https://auth.openai.com");
        assert_eq!(bound.backend_origin, "https://chatgpt.com");
        assert_eq!(bound.client_id, PUBLIC_CLIENT_ID);
    }

    #[test]
    fn a_bad_record_is_named_and_never_quoted() {
        for (record, message) in [
            (json!("rt_SECRET"), "the record is not a JSON object"),
            (json!({"access_token": ["rt_SECRET"]}), "the record has a field of the wrong type"),
            (json!({"access_token": "a", "grant": "rt_SECRET"}), "the record has a field of the wrong type"),
            (
                json!({"access_token": "a", "account_id": "x", "grant": {}}),
                "the record's grant has no refresh_token",
            ),
            (
                json!({"access_token": "a", "account_id": "x", "grant": {"refresh_token": ""}}),
                "the record's grant has no refresh_token",
            ),
            (json!({"account_id": "x"}), "the record has no access_token"),
            (json!({"access_token": ""}), "the record has no access_token"),
            (json!({"access_token": "a"}), "the record names no ChatGPT account"),
            (json!({"access_token": "a", "account_id": "org-1"}), "the record names no ChatGPT account"),
        ] {
            let error = parse(&record).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(!format!("{error:?}").contains("SECRET"));
        }
    }

    #[test]
    fn a_merge_keeps_order_and_unknown_fields_and_nothing_of_the_login_before() {
        let mut old = json!({"x": 1, "grant": {"y": 2, "refresh_token": "old", "renewals": 7, "last_refresh": 5},
            "id_token": "old", "access_token": "old"});
        let login = credentials("new", "new");
        merge(old.as_object_mut().unwrap(), &login);
        assert_eq!(parse(&old).unwrap(), login);
        assert_eq!((&old["x"], &old["grant"]["y"]), (&json!(1), &json!(2)));
        let keys = old.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(keys, ["x", "grant", "access_token", "expires_at", "account_id"]);
    }
}
