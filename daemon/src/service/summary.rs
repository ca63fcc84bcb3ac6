//! What a turn cost, in one line.

use codex_oauth_proto::api::account::RateLimit;
use codex_oauth_proto::people::{limits, words};

use super::turn::Outcome;

const SEPARATOR: &str = " · ";

/// Room for a line.
const USUAL_BYTES: usize = 96;

/// What a turn cost: `gpt-6.1-sol · low · 12 s · 3.1k tok (2.4k cached) · 5h 42 %, resets 14:00`.
pub(super) fn line(outcome: &Outcome, names_account: bool, seen: &[RateLimit]) -> String {
    let mut line = String::with_capacity(USUAL_BYTES);
    for word in outcome.model.iter().chain(&outcome.effort) {
        line.extend([word, SEPARATOR]);
    }
    if let Some(account) = outcome.account.as_ref().filter(|_| names_account) {
        line.extend(["account ", account, SEPARATOR]);
    }
    line.push_str(&words::duration(outcome.duration));
    if let Some(usage) = &outcome.usage {
        line.extend([SEPARATOR, &words::thousands(usage.total_tokens), " tok"]);
        if usage.cached_input_tokens > 0 {
            line.extend([" (", &words::thousands(usage.cached_input_tokens), " cached)"]);
        }
    }
    if let Some(window) = seen.iter().find_map(|limit| limit.primary.as_ref()) {
        line.extend([SEPARATOR, &limits::length(window), " ", &limits::used(window)]);
        if let Some(at) = window.resets_at {
            line.extend([", resets ", &clock(at)]);
        }
    }
    line
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
