//! The OAuth issuer (WIRE §1-§3, §5): authorize, token, revoke, device login.

use serde_json::{Value, json};

use crate::config::Identity;
use crate::received::Received;
use crate::reply::Reply;
use crate::script::Endpoint;
use crate::shared::Shared;
use crate::tokens::Bounded;

mod authorize;
mod code;
mod device;
mod exchange;
mod refresh;
mod revoke;

/// The public client of the Codex CLI (WIRE §1).
pub(crate) const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// Logins on their way: pages waiting for a decision, codes, device codes.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    pages: Bounded<authorize::Wish>,
    codes: Bounded<code::CodeGrant>,
    devices: Bounded<device::Device>,
}

impl Logins {
    /// Every authorization code that is remembered.
    pub(crate) fn codes(&self) -> impl Iterator<Item = &str> {
        self.codes.keys()
    }
}

/// Answers a request to an issuer endpoint.
pub(crate) fn handle(shared: &Shared, received: &Received, endpoint: Endpoint) -> Reply {
    match endpoint {
        Endpoint::Authorize => authorize::handle(shared, received),
        Endpoint::CodeExchange => code::exchange(shared, received),
        Endpoint::ApiKeyExchange => exchange::api_key(shared, received),
        Endpoint::Refresh => refresh::refresh(shared, received),
        Endpoint::Revoke => revoke::revoke(shared, received),
        Endpoint::DeviceUserCode => device::user_code(shared, received),
        Endpoint::DevicePoll => device::poll(shared, received),
        Endpoint::DevicePage => device::page(shared, received),
        _ => oauth_error(
            400,
            "unsupported_grant_type",
            "grants: authorization_code and token-exchange as a form, refresh_token as JSON",
        ),
    }
}

/// Which grant a request to `/oauth/token` is about: codes come as a form, refresh tokens as JSON (WIRE §2.3, §5.1).
pub(crate) fn grant_of(received: &Received) -> Endpoint {
    if let Some(form) = received.form() {
        return match field(&form, "grant_type") {
            Some("authorization_code") => Endpoint::CodeExchange,
            Some(exchange::GRANT) => Endpoint::ApiKeyExchange,
            _ => Endpoint::TokenOther,
        };
    }
    let is_refresh = |body: Value| body["grant_type"] == "refresh_token";
    if received.says_json() && received.json().is_some_and(is_refresh) {
        Endpoint::Refresh
    } else {
        Endpoint::TokenOther
    }
}

/// Approves or denies a device code; false if it is not waiting.
pub(crate) fn decide_device(shared: &Shared, user_code: &str, decision: Decision) -> bool {
    device::decide(shared, user_code, decision)
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Approve(Identity),
    Deny,
}

/// RFC 6749 §5.2.
fn oauth_error(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(status, json!({"error": error, "error_description": description}))
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn page(status: u16, title: &str, body: &str) -> Reply {
    Reply::html(
        status,
        format!(
            "<!DOCTYPE html><html><head><title>{title} - FAKE issuer</title></head><body><h1>{title}</h1>{body}</body></html>"
        ),
    )
}
