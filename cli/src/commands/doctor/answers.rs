//! What OpenAI answers when it is asked what costs nothing, models and limits, and how the last question ended.

use codex_oauth_proto::api::account::{OfAccount, RateLimit, RateLimitsParams, RateLimitsRead};
use codex_oauth_proto::api::model::List;
use codex_oauth_proto::api::trace::{self, ListParams, Trace};
use codex_oauth_proto::api::turn::TurnStatus;
use codex_oauth_proto::error::short_id;
use codex_oauth_proto::people::limits::{length, name, used, windows};
use codex_oauth_proto::people::words::{count, span, until};
use codex_oauth_proto::{Client, ErrorCode, NextStep, Surface};

use super::report::Finding;
use crate::exit::Exit;

/// From here on a limit is worth a word (as the `(!)` of `status`).
const NEARLY_USED_PERCENT: f64 = 80.0;

/// How long ago a failure still is what a person looks for.
const RECENT_SECONDS: u64 = 3_600;

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
            // As many as `codex-oauth models` lists.
            let shown = list.models.iter().filter(|model| !model.hidden).count();
            Finding::ok(format!("{}{default}", count(shown as u64, "model")))
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

/// How the last question ended, as the daemon remembers it.
pub(super) fn questions(client: &mut Client, now: u64) -> Finding {
    match client.call::<trace::List>(&ListParams { turn_id: None, limit: Some(1) }) {
        Ok(list) => list.traces.first().map_or_else(|| Finding::ok("none yet"), |last| judge_last(last, now)),
        Err(error) => Finding::error(&error),
    }
}

fn judge_last(last: &Trace, now: u64) -> Finding {
    let seconds = now.saturating_sub(last.began_at / 1_000);
    let ago = span(seconds);
    let error = last.error.as_ref().filter(|_| last.status == TurnStatus::Failed);
    match error {
        Some(error) if seconds < RECENT_SECONDS && is_seen_here_alone(error.code) => {
            let short = short_id(&last.turn_id);
            let detail = format!("the last one, {ago} ago, failed: {}", error.message);
            Finding::warn(detail, format!("run `codex-oauth explain {short}`: it tells why, and what to do"))
        }
        // Another check tells why, or it is long ago, or its own words were at fault.
        Some(_) => Finding::ok(format!("the last one, {ago} ago, failed; `codex-oauth explain last`")),
        None if last.status == TurnStatus::Interrupted => {
            Finding::ok(format!("the last one, {ago} ago, was called off"))
        }
        None => Finding::ok(format!("the last one, {ago} ago, was answered")),
    }
}

/// Whether no other check looks at what leads to this, and the person has not been at fault.
const fn is_seen_here_alone(code: ErrorCode) -> bool {
    use ErrorCode as Code;
    matches!(
        code,
        Code::RateLimited
            | Code::UpstreamOverloaded
            | Code::UpstreamRejected
            | Code::ModelNotAvailable
            | Code::StreamInterrupted
            | Code::NoAnswer
            | Code::OutcomeUnknown
            | Code::Internal
    )
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
