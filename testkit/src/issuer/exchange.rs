//! The API-key token exchange of WIRE §2.4 (RFC 8693).

use serde_json::json;

use super::{CLIENT_ID, field, oauth_error};
use crate::received::Received;
use crate::reply::Reply;
use crate::shared::Shared;

/// Its `grant_type`.
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The only `subject_token_type` it knows.
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

pub(super) fn api_key(shared: &Shared, received: &Received) -> Reply {
    let form = received.form().unwrap_or_default();
    if field(&form, "client_id") != Some(CLIENT_ID) {
        return oauth_error(401, "invalid_client", "unknown client_id");
    }
    if field(&form, "requested_token") != Some("openai-api-key") {
        return oauth_error(400, "invalid_request", "requested_token must be openai-api-key");
    }
    if field(&form, "subject_token_type") != Some(ID_TOKEN) {
        return oauth_error(400, "invalid_request", "subject_token_type must be id_token");
    }
    let subject = field(&form, "subject_token").unwrap_or_default();
    if !shared.tokens.lock().knows_id_token(subject) {
        return oauth_error(400, "invalid_grant", "subject_token is not an id token of this issuer");
    }
    Reply::json(
        200,
        json!({"access_token": "sk-FAKE-exchanged", "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}),
    )
}
