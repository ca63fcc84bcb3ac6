//! Rate limits as a person reads them.

use crate::api::account::{Credits, RateLimit, RateLimitWindow};

/// From here on a limit is marked with `(!)`.
const NEARLY_USED_PERCENT: f64 = 80.0;

/// The plan's own limit (`x-codex-limit-id`, WIRE §9), which needs no name.
const PLAN_LIMIT: &str = "codex";

/// What a further limit is called; nothing for the plan's own.
pub fn name(limit: &RateLimit) -> Option<&str> {
    match limit.limit_id.as_str() {
        "" | PLAN_LIMIT => None,
        id => Some(limit.limit_name.as_deref().unwrap_or(id)),
    }
}

/// Both windows, as far as there are any.
pub fn windows(limit: &RateLimit) -> impl Iterator<Item = &RateLimitWindow> {
    [&limit.primary, &limit.secondary].into_iter().flatten()
}

/// `5h`, `week`, `30min`: a window by its length.
pub fn length(window: &RateLimitWindow) -> String {
    match window.window_minutes {
        Some(10_080) => "week".to_owned(),
        Some(minutes) if minutes % 1_440 == 0 => format!("{}d", minutes / 1_440),
        Some(minutes) if minutes % 60 == 0 => format!("{}h", minutes / 60),
        Some(minutes) => format!("{minutes}min"),
        None => "used".to_owned(),
    }
}

/// `42 %`, `81 % (!)`.
pub fn used(window: &RateLimitWindow) -> String {
    let nearly = if window.used_percent >= NEARLY_USED_PERCENT { " (!)" } else { "" };
    format!("{:.0} %{nearly}", window.used_percent)
}

/// What is left of bought credits; nothing when there are none.
pub fn credits(credits: &Credits) -> Option<String> {
    match (credits.unlimited, credits.has_credits, &credits.balance) {
        (true, ..) => Some("unlimited".to_owned()),
        (false, true, Some(balance)) => Some(format!("{balance} left")),
        (false, true, None) => Some("some left".to_owned()),
        (false, false, _) => None,
    }
}
