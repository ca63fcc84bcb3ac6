//! The Codex backend (WIRE §6-§9). Everything here needs a live bearer and the account it belongs to.

use serde_json::{Value, json};

use crate::config::{Behaviour, Identity};
use crate::effects::unauthorized_body;
use crate::received::Received;
use crate::reply::Reply;
use crate::script::Endpoint;
use crate::shared::Shared;
use crate::text::{random_hex, unix_now};
use crate::tokens::AccessCheck;

mod accounts;
mod models;
mod refusals;
mod responses;
mod usage;

/// Answers a request to a backend endpoint.
pub(crate) fn handle(shared: &Shared, received: &Received, endpoint: Endpoint) -> Reply {
    let who = match authorise(shared, received) {
        Ok(who) => who,
        Err((status, body)) => return Reply::json(status, body),
    };
    let behaviour = shared.behaviour();
    match endpoint {
        Endpoint::AccountsCheck => accounts::check(&behaviour, &who),
        Endpoint::Models => models::list(&behaviour, received),
        Endpoint::Responses => responses::create(&behaviour, &who, received),
        Endpoint::Usage => usage::usage(&behaviour, &who),
        Endpoint::ResponsesUpgrade => not_post(received),
        _ => Reply::not_found(),
    }
}

/// What every answer of the backend carries, scripted ones included: the ids that support asks for (WIRE §8.1).
pub(crate) fn stamp(reply: Reply) -> Reply {
    reply.header("x-request-id", format!("req_FAKE_{}", random_hex(12))).header("cf-ray", "fakecfray-LHR")
}

/// The bearer's owner, or the refusal: 401 as in WIRE §9.1, 403 for an account that is not the token's (own choice:
/// the real answer is not known).
fn authorise(shared: &Shared, received: &Received) -> Result<Identity, (u16, Value)> {
    let Some(bearer) = received.bearer() else {
        return Err((401, json!({"detail": "Unauthorized"})));
    };
    let check = shared.tokens.lock().check(bearer, unix_now());
    let who = match check {
        AccessCheck::Live(who) => who,
        AccessCheck::Refused(code) => return Err((401, unauthorized_body(code))),
    };
    if received.header("chatgpt-account-id") == Some(&who.account_id) {
        Ok(who)
    } else {
        Err((403, json!({"detail": "chatgpt-account-id is not an account of this token"})))
    }
}

/// The WebSocket handshake is refused so that clients fall back to HTTPS (WIRE §10.3).
fn not_post(received: &Received) -> Reply {
    if received.header("upgrade").is_some() {
        Reply::json(426, json!({"detail": "Upgrade Required"}))
    } else {
        Reply::json(405, json!({"detail": "Method Not Allowed"})).header("allow", "POST")
    }
}

/// The headers of WIRE §9.3.
fn with_limits(reply: Reply, behaviour: &Behaviour, plan: &str) -> Reply {
    let limits = &behaviour.rate_limits;
    let at = |after: u64| unix_now().saturating_add_unsigned(after).to_string();
    let headers = [
        ("x-codex-plan-type", plan.to_owned()),
        ("x-codex-active-limit", "codex".to_owned()),
        ("x-codex-primary-used-percent", limits.primary_used_percent.to_string()),
        ("x-codex-primary-window-minutes", usage::PRIMARY_MINUTES.to_string()),
        ("x-codex-primary-reset-at", at(limits.primary_reset_after_secs)),
        ("x-codex-secondary-used-percent", limits.secondary_used_percent.to_string()),
        ("x-codex-secondary-window-minutes", usage::SECONDARY_MINUTES.to_string()),
        ("x-codex-secondary-reset-at", at(limits.secondary_reset_after_secs)),
        ("x-codex-credits-has-credits", "False".to_owned()),
        ("x-codex-credits-unlimited", "False".to_owned()),
        ("x-codex-credits-balance", String::new()),
    ];
    headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}
