//! JSON Web Tokens with the claims that clients read (WIRE §5.6) and a signature that says what it is.

use serde_json::{Value, json};

use crate::config::Identity;
use crate::issuer::CLIENT_ID;
use crate::text::{base64url, random_hex};

/// Third part of every token: valid base64url, verifiable by nobody.
const SIGNATURE: &str = "FAKE_SIGNATURE";

/// One token to be: for whom, by whom, from when until when (unix seconds).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims<'a> {
    pub(crate) who: &'a Identity,
    pub(crate) issuer: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: i64,
}

impl Claims<'_> {
    /// The access token: the bearer at the backend.
    pub(crate) fn access_token(self) -> String {
        let scopes: Vec<&str> = self.scope.split(' ').collect();
        let mut payload = json!({
            "aud": ["https://api.openai.com/v1"],
            "client_id": CLIENT_ID,
            "scp": scopes,
            "session_id": format!("authsess_FAKE_{}", random_hex(8)),
        });
        self.complete(&mut payload)
    }

    /// The id token: who signed in.
    pub(crate) fn id_token(self) -> String {
        let mut payload = json!({
            "aud": [CLIENT_ID],
            "email": self.who.email,
            "email_verified": true,
            "at_hash": "FAKE",
        });
        self.complete(&mut payload)
    }

    fn complete(self, payload: &mut Value) -> String {
        let user = self.user_id();
        let account = &self.who.account_id;
        payload["iss"] = json!(self.issuer);
        payload["sub"] = json!(format!("auth0|{user}"));
        payload["jti"] = json!(format!("fake-{}", random_hex(16)));
        payload["iat"] = json!(self.issued_at);
        payload["nbf"] = json!(self.issued_at);
        payload["exp"] = json!(self.expires_at);
        payload["https://api.openai.com/auth"] = json!({
            "chatgpt_account_id": account,
            "chatgpt_account_user_id": format!("{user}__{account}"),
            "chatgpt_compute_residency": "no_constraint",
            "chatgpt_plan_type": self.who.plan,
            "chatgpt_user_id": user,
            "user_id": user,
            "organization_id": "org-FAKE",
            "project_id": "proj_FAKE",
            "completed_platform_onboarding": true,
            "is_org_owner": true,
        });
        payload["https://api.openai.com/profile"] = json!({"email": self.who.email, "email_verified": true});
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "fake-key"});
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        format!("{}.{}.{SIGNATURE}", part(&header), part(payload))
    }

    fn user_id(&self) -> String {
        format!("user-FAKE{}", crate::text::short_hash(&self.who.email))
    }
}
