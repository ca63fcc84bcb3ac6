//! What a turn cost, in one line.

use codex_oauth_proto::api::account::RateLimit;
use codex_oauth_proto::people::{limits, words};

use super::turn::Outcome;

/// What a turn cost: `gpt-6.1-sol · low · 12 s · 3.1k tok (2.4k cached) · 5h 42 %, resets 14:00`.
pub(super) fn line(outcome: &Outcome, names_account: bool, seen: &[RateLimit]) -> String {
    let mut parts: Vec<String> = outcome.model.iter().chain(&outcome.effort).cloned().collect();
    parts.extend(outcome.account.iter().filter(|_| names_account).map(|name| format!("account {name}")));
    parts.push(words::duration(outcome.duration));
    if let Some(usage) = &outcome.usage {
        let cached = match usage.cached_input_tokens {
            0 => String::new(),
            cached => format!(" ({} cached)", words::thousands(cached)),
        };
        parts.push(format!("{} tok{cached}", words::thousands(usage.total_tokens)));
    }
    if let Some(window) = seen.iter().find_map(|limit| limit.primary.as_ref()) {
        let resets = window.resets_at.map_or_else(String::new, |at| format!(", resets {}", clock(at)));
        parts.push(format!("{} {}{resets}", limits::length(window), limits::used(window)));
    }
    parts.join(" · ")
}

/// `14:00` today, `Thu 09:00` within a week, else the date; in this machine's time zone.
pub(crate) fn clock(unix_seconds: u64) -> String {
    let clock = words::clock(unix_seconds, words::unix_now(), &words::system_zone());
    clock.unwrap_or_else(|| "an unknown time".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use codex_oauth_proto::api::account::RateLimitWindow;
    use codex_oauth_proto::api::turn::Usage;

    use super::*;

    #[test]
    fn the_line_says_model_effort_time_tokens_and_limit() {
        let outcome = Outcome {
            model: Some("gpt-6.1-sol".to_owned()),
            effort: Some("low".to_owned()),
            duration: Duration::from_millis(12_300),
            usage: Some(Usage { total_tokens: 3_140, cached_input_tokens: 2_400, ..Usage::default() }),
            ..Outcome::default()
        };
        assert_eq!(line(&outcome, false, &[]), "gpt-6.1-sol · low · 12 s · 3.1k tok (2.4k cached)");
        let window = RateLimitWindow { used_percent: 41.6, window_minutes: Some(300), resets_at: None };
        let limit = RateLimit { primary: Some(window), ..RateLimit::default() };
        assert!(line(&outcome, false, &[limit]).ends_with(" · 5h 42 %"));
    }
}
