//! The refresh grant (WIRE §5.1, §5.3): JSON, one-use rotating tokens.

use std::time::Duration;

use super::{CLIENT_ID, code, oauth_error};
use crate::effects::error_body;
use crate::received::Received;
use crate::reply::Reply;
use crate::shared::Shared;
use crate::tokens::Refused;

pub(super) fn refresh(shared: &Shared, received: &Received) -> Reply {
    let behaviour = shared.behaviour();
    let body = received.json().unwrap_or_default();
    let failure =
        |reply: Reply| Reply { delay: Duration::from_millis(behaviour.refresh_failure_latency_ms), ..reply };
    if body["client_id"] != CLIENT_ID {
        return failure(Reply::json(401, error_body("invalid_client", "Unknown client_id.")));
    }
    let Some(token) = body["refresh_token"].as_str().filter(|token| !token.is_empty()) else {
        return failure(oauth_error(400, "invalid_request", "refresh_token is required"));
    };
    let outcome = shared.tokens.lock().refresh(&behaviour, &shared.issuer_url(), token);
    match outcome {
        Ok(login) => Reply {
            delay: Duration::from_millis(behaviour.refresh_success_latency_ms),
            ..code::tokens(&login).noted("rotated")
        },
        Err(Refused::Known(error)) => failure(Reply::json(401, error.body())),
        Err(Refused::Unknown) => failure(Reply::json(400, serde_json::json!({"error": "invalid_grant"}))),
    }
}
