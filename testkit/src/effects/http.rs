//! Named HTTP errors of the backend (WIRE §9.1, §9.2).

use serde_json::json;

use super::{error_body, unauthorized_body};
use crate::script::Effect;
use crate::text::unix_now;

impl Effect {
    /// 400 `{"detail": …}`, as the backend refuses a parameter.
    pub fn bad_request(detail: &str) -> Self {
        Self::respond(400, json!({"detail": detail}))
    }

    /// 400 with `error.code` `cyber_policy`.
    pub fn cyber_policy_refusal(message: &str) -> Self {
        Self::respond(400, error_body("cyber_policy", message))
    }

    /// 401 `token_expired`.
    pub fn token_expired() -> Self {
        Self::respond(401, unauthorized_body("token_expired"))
    }

    /// 401 `token_invalidated`.
    pub fn token_invalidated() -> Self {
        Self::respond(401, unauthorized_body("token_invalidated"))
    }

    /// 401 `token_revoked`.
    pub fn token_revoked() -> Self {
        Self::respond(401, unauthorized_body("token_revoked"))
    }

    /// 402 `deactivated_workspace`.
    pub fn deactivated_workspace() -> Self {
        Self::respond(402, json!({"detail": {"code": "deactivated_workspace"}}))
    }

    /// 403 with a JSON body.
    pub fn forbidden(detail: &str) -> Self {
        Self::respond(403, json!({"detail": detail}))
    }

    /// 403 with Cloudflare's page.
    pub fn cloudflare_blocked() -> Self {
        let page = "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>\
                    <body><h1>Sorry, you have been blocked</h1><p>Cloudflare Ray ID: fakecfray</p></body></html>";
        Self::respond(403, json!(page))
            .header("content-type", "text/html; charset=UTF-8")
            .header("server", "cloudflare")
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::respond(404, json!({"detail": "Not Found"}))
    }

    /// 413.
    pub fn payload_too_large() -> Self {
        Self::respond(413, json!({"detail": "Request Entity Too Large"}))
    }

    /// 429 `usage_limit_reached` (WIRE §9.2); `resets_at` in unix seconds.
    pub fn usage_limit(plan: &str, resets_at: i64) -> Self {
        Self::respond(
            429,
            json!({"error": {"type": "usage_limit_reached", "message": "The usage limit has been reached",
                "plan_type": plan, "resets_at": resets_at, "resets_in_seconds": (resets_at - unix_now()).max(0)}}),
        )
    }

    /// 429 `usage_limit_reached` that tells neither plan nor time.
    pub fn usage_limit_without_details() -> Self {
        Self::respond(
            429,
            json!({"error": {"type": "usage_limit_reached", "message": "The usage limit has been reached"}}),
        )
    }

    /// 429 `usage_limit_reached` with `x-codex-rate-limit-reached-type`, such as
    /// `workspace_owner_credits_depleted` (WIRE §9.2).
    pub fn usage_limit_of_type(plan: &str, reached_type: &str) -> Self {
        Self::usage_limit(plan, unix_now() + 7_000).header("x-codex-rate-limit-reached-type", reached_type)
    }

    /// 429 `usage_not_included`.
    pub fn usage_not_included() -> Self {
        Self::respond(
            429,
            json!({"error": {"type": "usage_not_included", "message": "Usage not included in your plan"}}),
        )
    }

    /// Any other 429, with `retry-after` in seconds if given.
    pub fn too_many_requests(retry_after: Option<u64>) -> Self {
        let effect = Self::respond(429, error_body("rate_limit_exceeded", "Too many requests"));
        match retry_after {
            Some(seconds) => effect.header("retry-after", &seconds.to_string()),
            None => effect,
        }
    }

    /// 500.
    pub fn internal_error() -> Self {
        Self::respond(
            500,
            json!({"error": {"message": "Internal server error", "type": "server_error", "param": null, "code": null}}),
        )
    }

    /// 502 or 503 with a plain text.
    pub fn gateway_error(status: u16) -> Self {
        Self::respond(status, json!("upstream connect error or disconnect/reset before headers"))
    }

    /// 503 `server_is_overloaded`.
    pub fn overloaded() -> Self {
        Self::respond(503, error_body("server_is_overloaded", "Our servers are currently overloaded."))
    }

    /// 503 `slow_down`.
    pub fn slow_down_status() -> Self {
        Self::respond(503, error_body("slow_down", "Please slow down."))
    }
}
