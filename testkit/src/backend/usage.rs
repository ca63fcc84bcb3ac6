//! `wham/usage` (WIRE §9.4).

use serde_json::{Value, json};

use crate::config::{Behaviour, Identity};
use crate::reply::Reply;
use crate::text::unix_now;

/// The 5-hour window, minutes.
pub(super) const PRIMARY_MINUTES: u64 = 300;

/// The weekly window, minutes.
pub(super) const SECONDARY_MINUTES: u64 = 10_080;

pub(super) fn usage(behaviour: &Behaviour, who: &Identity) -> Reply {
    let limits = &behaviour.rate_limits;
    let reached_type = if limits.limit_reached { json!({"type": "rate_limit_reached"}) } else { Value::Null };
    Reply::json(
        200,
        json!({
            "plan_type": who.plan,
            "rate_limit": {
                "allowed": !limits.limit_reached,
                "limit_reached": limits.limit_reached,
                "primary_window":
                    window(limits.primary_used_percent, PRIMARY_MINUTES, limits.primary_reset_after_secs),
                "secondary_window":
                    window(limits.secondary_used_percent, SECONDARY_MINUTES, limits.secondary_reset_after_secs),
            },
            "credits": {"has_credits": false, "unlimited": false, "balance": null},
            "spend_control": {"reached": false, "individual_limit": null},
            "additional_rate_limits": [],
            "rate_limit_reached_type": reached_type,
        }),
    )
}

/// `used_percent` is an integer here, unlike in the headers.
fn window(used_percent: f64, minutes: u64, reset_after: u64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "a percentage; beyond the range it saturates")]
    let used = used_percent.round() as i64;
    json!({"used_percent": used, "limit_window_seconds": minutes * 60, "reset_after_seconds": reset_after,
        "reset_at": unix_now().saturating_add_unsigned(reset_after)})
}
