//! `POST codex/responses` over SSE (WIRE §7, §8).

use serde_json::{Value, json};

use super::{models, refusals, with_limits};
use crate::answer::Answer;
use crate::config::{Behaviour, Identity};
use crate::received::Received;
use crate::reply::Reply;
use crate::text::random_hex;

pub(super) fn create(behaviour: &Behaviour, who: &Identity, received: &Received) -> Reply {
    let body = match refusals::check(behaviour, received) {
        Ok(body) => body,
        Err(detail) => return with_limits(Reply::json(400, json!({"detail": detail})), behaviour, &who.plan),
    };
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let turn_state = received.header("x-codex-turn-state").map(str::to_owned);
    let reply = Reply::events(Answer::to(&body))
        .header("cache-control", "no-cache")
        // A name that differs from the request's makes the official client warn of rerouting (WIRE §8.1).
        .header("openai-model", model)
        .header("x-models-etag", models::etag(behaviour))
        .header("x-reasoning-included", "true")
        // Sticky for the requests of one turn (WIRE §7.1).
        .header("x-codex-turn-state", turn_state.unwrap_or_else(|| format!("FAKE-turn-{}", random_hex(8))));
    with_limits(reply, behaviour, &who.plan)
}
