//! `codex-oauth usage`: what of the plan is used, asked now.

use codex_oauth_proto::api::account::{RateLimit, RateLimitWindow, RateLimitsParams, RateLimitsRead};
use codex_oauth_proto::people::{limits, words};
use jiff::tz::TimeZone;

use crate::args::UsageArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::words::table;

/// Shows the limits. A limit that is reached is information here, not a failure.
pub(crate) fn run(context: &mut Context, args: UsageArgs) -> Result<Exit, Failure> {
    context.output.progress("asking for the usage")?;
    let params = RateLimitsParams { refresh: true, account: args.account };
    let (_, read) = context.call::<RateLimitsRead>(&params)?;
    if args.json {
        context.output.json(&read)?;
        return Ok(Exit::Success);
    }
    let page = render(&read.rate_limits, words::unix_now(), &TimeZone::system());
    if page.is_empty() {
        context.output.note("OpenAI names no limits for this account")?;
    } else {
        context.output.out(&page)?;
    }
    Ok(Exit::Success)
}

/// A line for each window, in columns.
fn render(rate_limits: &[RateLimit], now: u64, zone: &TimeZone) -> String {
    let mut rows = Vec::new();
    for limit in rate_limits {
        let name = limits::name(limit).map_or_else(String::new, |name| format!("{name} "));
        for window in limits::windows(limit) {
            let label = format!("{name}{}", limits::length(window));
            rows.push([label, limits::used(window), resets(window, now, zone)]);
        }
        if let Some(credits) = limit.credits.as_ref().and_then(limits::credits) {
            rows.push([format!("{name}credits"), credits, String::new()]);
        }
    }
    table(&rows)
}

/// `resets 14:00 (in 1 h 10 min)`; nothing when the backend names no time.
fn resets(window: &RateLimitWindow, now: u64, zone: &TimeZone) -> String {
    let Some(at) = window.resets_at else { return String::new() };
    match (words::until(at, now), words::clock(at, now, zone)) {
        (Some(left), Some(clock)) => format!("resets {clock} (in {left})"),
        (Some(left), None) => format!("resets in {left}"),
        (None, _) => "resets now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use codex_oauth_proto::api::account::Credits;

    use super::*;

    /// 2026-11-22 12:00:00 UTC, a Sunday.
    const NOW: u64 = 1_795_348_800;

    fn window(used_percent: f64, minutes: u64, resets_in: Option<u64>) -> RateLimitWindow {
        let resets_at = resets_in.map(|seconds| NOW + seconds);
        RateLimitWindow { used_percent, window_minutes: Some(minutes), resets_at }
    }

    #[test]
    fn each_window_has_its_line_in_columns() {
        let plan = RateLimit {
            limit_id: "codex".to_owned(),
            primary: Some(window(42.4, 300, Some(4_200))),
            secondary: Some(window(100.0, 10_080, Some(4 * 86_400 - 10_800))),
            credits: Some(Credits { has_credits: true, unlimited: false, balance: Some("12.50".to_owned()) }),
            ..RateLimit::default()
        };
        let further = RateLimit {
            limit_id: "codex_other".to_owned(),
            limit_name: Some("Other".to_owned()),
            primary: Some(window(3.0, 1_440, Some(0))),
            secondary: Some(window(0.0, 43_200, None)),
            ..RateLimit::default()
        };
        assert_eq!(
            render(&[plan, further], NOW, &TimeZone::UTC),
            "5h         42 %        resets 13:10 (in 1 h 10 min)\n\
             week       100 % (!)   resets Thu 09:00 (in 3 d 21 h)\n\
             credits    12.50 left\n\
             Other 1d   3 %         resets now\n\
             Other 30d  0 %\n"
        );
    }
}
