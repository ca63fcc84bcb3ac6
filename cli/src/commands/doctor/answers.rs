//! What OpenAI answers when it is asked what costs nothing: models and limits.

use codex_oauth_proto::api::account::{OfAccount, RateLimit, RateLimitsParams, RateLimitsRead};
use codex_oauth_proto::api::model::List;
use codex_oauth_proto::people::limits::{length, name, used, windows};
use codex_oauth_proto::people::words::{count, until};
use codex_oauth_proto::{Client, NextStep, Surface};

use super::report::Finding;
use crate::exit::Exit;

/// From here on a limit is worth a word (as the `(!)` of `status`).
const NEARLY_USED_PERCENT: f64 = 80.0;

/// The live list.
pub(super) fn models(client: &mut Client) -> Finding {
    match client.call::<List>(&OfAccount { account: None }) {
        Ok(list) if list.models.is_empty() => Finding::fail(
            "OpenAI lists no model for this account",
            NextStep::CheckPlan.render(Surface::Shell),
            Exit::Failure,
        ),
        Ok(list) => {
            let default = list.default.map_or_else(String::new, |name| format!(", by default {name}"));
            Finding::ok(format!("{}{default}", count(list.models.len() as u64, "model")))
        }
        Err(error) => Finding::error(&error),
    }
}

/// What of the plan is used, asked now.
pub(super) fn limits(client: &mut Client, now: u64) -> Finding {
    match client.call::<RateLimitsRead>(&RateLimitsParams { refresh: true, account: None }) {
        Ok(read) => judge(&read.rate_limits, now),
        Err(error) => Finding::error(&error),
    }
}

fn judge(limits: &[RateLimit], now: u64) -> Finding {
    let step = NextStep::CheckPlan.render(Surface::Shell);
    let mut findings = Vec::new();
    let mut fine = Vec::new();
    for limit in limits {
        let of = name(limit).map_or_else(String::new, |name| format!("{name}: "));
        let credits = limit.credits.as_ref().is_some_and(|credits| credits.unlimited || credits.has_credits);
        for window in windows(limit) {
            let left = window.resets_at.and_then(|at| until(at, now));
            let resets = left.as_ref().map_or_else(String::new, |left| format!(", starts anew in {left}"));
            let text = format!("{of}{} {}{resets}", length(window), used(window));
            if window.used_percent >= 100.0 && !credits {
                let wait = left.map_or_else(|| step.clone(), |left| format!("wait {left}, or {step}"));
                findings.push(Finding::fail(text.clone(), wait, Exit::Limit));
            } else if window.used_percent >= NEARLY_USED_PERCENT {
                findings.push(Finding::warn(text.clone(), step.clone()));
            }
            fine.push(format!("{of}{} {}", length(window), used(window)));
        }
    }
    let fine =
        if fine.is_empty() { "OpenAI names none for this account".to_owned() } else { fine.join(" · ") };
    Finding::worst(findings, fine)
}

#[cfg(test)]
mod tests {
    use codex_oauth_proto::api::account::{Credits, RateLimitWindow};

    use super::super::report::Status;
    use super::*;

    #[test]
    fn a_reached_limit_is_a_failure_unless_credits_go_on() {
        let limit = |used_percent: f64, has_credits: bool| RateLimit {
            limit_id: "codex".to_owned(),
            primary: Some(RateLimitWindow { used_percent, window_minutes: Some(300), resets_at: Some(60) }),
            credits: Some(Credits { has_credits, unlimited: false, balance: None }),
            ..RateLimit::default()
        };
        for (used, credits, status) in [
            (79.0, false, Status::Ok),
            (80.0, false, Status::Warn),
            (100.0, false, Status::Fail),
            (100.0, true, Status::Warn),
        ] {
            assert_eq!(judge(&[limit(used, credits)], 0).status, status, "{used} {credits}");
        }
        assert_eq!(judge(&[], 0).status, Status::Ok);
    }
}
