//! Authorization codes and their exchange (WIRE §2.3, RFC 6749 §4.1.3, RFC 7636 §4.6).

use serde_json::json;

use super::{CLIENT_ID, Logins, field, oauth_error};
use crate::config::Identity;
use crate::received::Received;
use crate::reply::Reply;
use crate::shared::Shared;
use crate::text::{random_base64url, s256, unix_now};
use crate::tokens::MintedLogin;

/// Where device codes are exchanged to, below the issuer's own origin (WIRE §1).
const DEVICE_CALLBACK: &str = "/deviceauth/callback";

/// Verifier lengths of RFC 7636 §4.1.
const VERIFIER_LEN: std::ops::RangeInclusive<usize> = 43..=128;

/// What a code stands for.
#[derive(Debug, Clone)]
pub(super) struct CodeGrant {
    redirect: Redirect,
    challenge: String,
    scope: String,
    who: Identity,
    issued_at: i64,
    used: bool,
}

/// The `redirect_uri` that an exchange has to name.
#[derive(Debug, Clone)]
pub(super) enum Redirect {
    Exactly(String),
    /// The issuer's own device callback, under whatever origin the client sees it.
    Device,
}

impl CodeGrant {
    pub(super) fn new(redirect: Redirect, challenge: String, scope: String, who: Identity) -> Self {
        Self { redirect, challenge, scope, who, issued_at: unix_now(), used: false }
    }
}

impl Logins {
    pub(super) fn issue_code(&mut self, grant: CodeGrant) -> String {
        let code = format!("ac_FAKE_{}", random_base64url(32));
        self.codes.insert(code.clone(), grant);
        code
    }
}

pub(super) fn exchange(shared: &Shared, received: &Received) -> Reply {
    let form = received.form().unwrap_or_default();
    if field(&form, "client_id") != Some(CLIENT_ID) {
        return oauth_error(401, "invalid_client", "unknown client_id");
    }
    let (Some(code), Some(redirect_uri), Some(verifier)) =
        (field(&form, "code"), field(&form, "redirect_uri"), field(&form, "code_verifier"))
    else {
        return oauth_error(400, "invalid_request", "code, redirect_uri and code_verifier are required");
    };
    let behaviour = shared.behaviour();
    let life = i64::try_from(behaviour.code_life_secs).unwrap_or(i64::MAX);
    let mut logins = shared.logins.lock();
    let grant = match logins.codes.get_mut(code) {
        None => return oauth_error(400, "invalid_grant", "unknown authorization code"),
        Some(grant) if grant.used => {
            return oauth_error(400, "invalid_grant", "authorization code was already used");
        }
        Some(grant) => grant,
    };
    // The first attempt uses the code up, whether it succeeds or not.
    grant.used = true;
    let grant = grant.clone();
    drop(logins);
    let redirect_fits = match &grant.redirect {
        Redirect::Exactly(uri) => uri == redirect_uri,
        Redirect::Device => redirect_uri.strip_suffix(DEVICE_CALLBACK) == Some(&received.origin()),
    };
    if unix_now().saturating_sub(grant.issued_at) >= life {
        return oauth_error(400, "invalid_grant", "authorization code is expired");
    }
    if !redirect_fits {
        return oauth_error(400, "invalid_grant", "redirect_uri does not match the authorization request");
    }
    if !VERIFIER_LEN.contains(&verifier.len()) || s256(verifier) != grant.challenge {
        return oauth_error(400, "invalid_grant", "code_verifier does not match the code_challenge");
    }
    let life = behaviour.access_token_life_secs;
    let login =
        shared.tokens.lock().sign_in(&behaviour, &shared.issuer_url(), &grant.who, &grant.scope, life);
    tokens(&login)
}

/// The successful answer of a grant (RFC 6749 §5.1, WIRE §2.3).
pub(super) fn tokens(login: &MintedLogin) -> Reply {
    let mut body = json!({
        "access_token": login.access_token,
        "id_token": login.id_token,
        "token_type": "Bearer",
        "expires_in": login.expires_in.max(0),
        "scope": login.scope,
    });
    if let Some(token) = &login.refresh_token {
        body["refresh_token"] = json!(token);
    }
    Reply::json(200, body).header("cache-control", "no-store")
}
