//! `POST /oauth/revoke` (WIRE §5.5, RFC 7009): a refresh token takes its family along.

use serde_json::json;

use super::{CLIENT_ID, oauth_error};
use crate::received::Received;
use crate::reply::Reply;
use crate::shared::Shared;

pub(super) fn revoke(shared: &Shared, received: &Received) -> Reply {
    let body = received.json().filter(|_| received.says_json()).unwrap_or_default();
    let Some(token) = body["token"].as_str() else {
        return oauth_error(400, "invalid_request", "a JSON body with token is required");
    };
    // Required with a refresh token, absent with an access token (WIRE §5.5).
    let names_client = body["client_id"] == CLIENT_ID;
    let client_optional = body["token_type_hint"] == "access_token" && body["client_id"].is_null();
    if !names_client && !client_optional {
        return oauth_error(401, "invalid_client", "unknown client_id");
    }
    let known = shared.tokens.lock().revoke(token);
    // An unknown token is no error (RFC 7009 §2.2).
    Reply::json(200, json!({})).noted(if known { "revoked" } else { "unknown token" })
}
