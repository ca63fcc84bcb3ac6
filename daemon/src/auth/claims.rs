//! What the daemon reads from a JWT (WIRE §5.6). Nothing here is verified: the tokens came from the issuer over TLS or
//! from the person's own file, and the claims decide only what is shown and when to refresh.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::secret::Secret;

/// Namespace object of the account claims.
const AUTH: &str = "https://api.openai.com/auth";
/// Namespace object of the profile claims.
const PROFILE: &str = "https://api.openai.com/profile";
/// The end of the year 9999: a later `exp` is nonsense and would overflow date arithmetic.
const MAX_UNIX_SECONDS: u64 = 253_402_300_799;

/// The claims of one token; each is absent when it is missing or of the wrong type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// `exp`.
    pub(super) expires_at: Option<SystemTime>,
    /// `email`, else `profile.email`.
    pub(super) email: Option<String>,
    /// `chatgpt_account_id` at the top level or in the auth namespace. `organizations[0].id` names an organization of
    /// the API platform, not a ChatGPT account, and is not read.
    pub(super) account_id: Option<String>,
    /// `auth.chatgpt_plan_type`, as the issuer spells it.
    pub(super) plan: Option<String>,
}

impl Claims {
    /// The claims of `token`; all absent when it is not a JWT of three parts.
    pub(super) fn of(token: &Secret) -> Self {
        payload(token.expose()).map_or_else(Self::default, |payload| Self::from_payload(&payload))
    }

    /// These claims, with what they lack taken from `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            expires_at: self.expires_at.or(other.expires_at),
            email: self.email.or(other.email),
            account_id: self.account_id.or(other.account_id),
            plan: self.plan.or(other.plan),
        }
    }

    fn from_payload(payload: &Value) -> Self {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let auth = &payload[AUTH];
        Self {
            expires_at: unix_time(&payload["exp"]),
            email: text(&payload["email"]).or_else(|| text(&payload[PROFILE]["email"])),
            account_id: text(&payload["chatgpt_account_id"]).or_else(|| text(&auth["chatgpt_account_id"])),
            plan: text(&auth["chatgpt_plan_type"]),
        }
    }
}

/// A time in seconds since 1970, as an integer or as the float that Python writes; `None` for zero, negative numbers
/// and other types.
pub(super) fn unix_time(value: &Value) -> Option<SystemTime> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; the range is checked below"
    )]
    let seconds = value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64))?;
    (1..=MAX_UNIX_SECONDS).contains(&seconds).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The whole seconds since 1970 of `time`; 0 for a time before.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn payload(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::testing::jwt;

    #[test]
    fn the_claims_of_the_sample_payload_are_read() {
        let claims = Claims::of(&jwt(&json!({
            "exp": 1_795_337_241,
            AUTH: {"chatgpt_account_id": "11111111-2222", "chatgpt_plan_type": "plus"},
            PROFILE: {"email": "ada@example.com", "email_verified": true},
        })));
        assert_eq!(claims.account_id.as_deref(), Some("11111111-2222"));
        assert_eq!(claims.plan.as_deref(), Some("plus"));
        assert_eq!(claims.email.as_deref(), Some("ada@example.com"));
        assert_eq!(claims.expires_at.map(unix_seconds), Some(1_795_337_241));
    }

    #[test]
    fn the_top_level_account_and_email_come_first() {
        let claims = Claims::of(&jwt(&json!({
            "email": "top@example.com", "chatgpt_account_id": "top",
            AUTH: {"chatgpt_account_id": "nested"}, PROFILE: {"email": "nested@example.com"},
        })));
        assert_eq!(
            (claims.account_id.as_deref(), claims.email.as_deref()),
            (Some("top"), Some("top@example.com"))
        );
    }

    #[test]
    fn an_organization_is_not_an_account() {
        let claims = Claims::of(&jwt(
            &json!({"organizations": [{"id": "org-1"}], AUTH: {"organization_id": "org-1"}}),
        ));
        assert_eq!(claims.account_id, None);
    }

    #[test]
    fn what_is_no_jwt_has_no_claims() {
        for text in
            ["", "opaque", "a.b", "a.!!.c", "a.bm90IGpzb24.c", "a.e30.c.d", "a.W10.c", "..", "sk-123.45"]
        {
            assert_eq!(Claims::of(&Secret::new(text)), Claims::default(), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_integers_and_floats_and_nonsense_is_none() {
        for (value, seconds) in [
            (json!(1_795_337_241), Some(1_795_337_241)),
            (json!(1_795_337_241.75), Some(1_795_337_241)),
            (json!(0), None),
            (json!(-5), None),
            (json!(1e300), None),
            (json!(u64::MAX), None),
            (json!("1795337241"), None),
            (json!(null), None),
        ] {
            assert_eq!(unix_time(&value).map(unix_seconds), seconds, "{value}");
        }
    }
}
