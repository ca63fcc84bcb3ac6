//! What is known of an account's rate limits: read from response headers, stream events and the usage endpoint, kept per
//! account and limit id (WIRE §9.3). Every session of the account sees the same numbers.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::classify;

/// The limit that a plan has anyway; others are per feature or model.
pub(super) const MAIN_LIMIT: &str = "codex";

/// Limit families kept per account. The backend knows a handful; a header that invents more is not stored.
const MAX_LIMITS: usize = 32;

/// Accounts remembered. A person has one or two.
const MAX_ACCOUNTS: usize = 16;

/// One window of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// 0 to 100, sometimes above.
    pub used_percent: f64,
    /// Length in minutes: 300 and 10,080 are usual.
    pub window_minutes: Option<u64>,
    /// When it starts anew.
    pub resets_at: Option<SystemTime>,
}

/// Bought credits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credits {
    /// Any left.
    pub has_credits: bool,
    /// No bound.
    pub unlimited: bool,
    /// As the backend writes it, e.g. `12.50`.
    pub balance: Option<String>,
}

/// One limit of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateLimit {
    /// `codex`, or a feature's id with `_` for `-`.
    pub limit_id: String,
    /// For people.
    pub name: Option<String>,
    /// Usually 5 hours.
    pub primary: Option<Window>,
    /// Usually a week.
    pub secondary: Option<Window>,
    /// Only where the backend tells.
    pub credits: Option<Credits>,
    /// `plus`, `pro` …
    pub plan: Option<String>,
}

/// The limits of all accounts of this daemon.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    accounts: Mutex<HashMap<String, BTreeMap<String, RateLimit>>>,
}

impl RateLimits {
    /// The account's limits, by limit id.
    pub(super) fn get(&self, account_id: &str) -> Vec<RateLimit> {
        self.accounts
            .lock()
            .get(account_id)
            .map(|limits| limits.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Takes over what a source said; what it did not mention stays.
    pub(super) fn update(&self, account_id: &str, news: impl IntoIterator<Item = RateLimit>) {
        for limit in news {
            merge(&mut self.accounts.lock(), account_id, limit);
        }
    }
}

/// All families `x-<limit-id>-primary-…` of a response's headers.
pub(super) fn from_headers(headers: &HeaderMap) -> Vec<RateLimit> {
    let mut found = BTreeMap::new();
    for name in headers.keys() {
        let family = ["-primary-used-percent", "-secondary-used-percent", "-credits-has-credits"]
            .iter()
            .find_map(|suffix| name.as_str().strip_prefix("x-")?.strip_suffix(suffix));
        if let Some(family) = family.filter(|family| !family.is_empty()) {
            found.entry(family).or_insert_with(|| family_of(headers, family));
        }
    }
    found
        .into_values()
        .filter(|limit| limit.primary.is_some() || limit.secondary.is_some() || limit.credits.is_some())
        .collect()
}

fn merge(accounts: &mut HashMap<String, BTreeMap<String, RateLimit>>, account_id: &str, news: RateLimit) {
    if !accounts.contains_key(account_id) && accounts.len() >= MAX_ACCOUNTS {
        return;
    }
    let limits = accounts.entry(account_id.to_owned()).or_default();
    if !limits.contains_key(&news.limit_id) && limits.len() >= MAX_LIMITS {
        return;
    }
    let known = limits.entry(news.limit_id.clone()).or_default();
    *known = RateLimit {
        name: news.name.or_else(|| known.name.take()),
        primary: news.primary.or(known.primary),
        secondary: news.secondary.or(known.secondary),
        credits: news.credits.or_else(|| known.credits.take()),
        plan: news.plan.or_else(|| known.plan.take()),
        limit_id: news.limit_id,
    };
}

fn family_of(headers: &HeaderMap, family: &str) -> RateLimit {
    let text = |suffix: &str| classify::text(headers, &format!("x-{family}-{suffix}"));
    let is_true = |suffix: &str| text(suffix).map(|value| value.eq_ignore_ascii_case("true") || value == "1");
    let window = |which: &str| {
        let used = text(&format!("{which}-used-percent")).and_then(|value| value.parse().ok());
        let minutes = text(&format!("{which}-window-minutes")).and_then(|value| value.parse().ok());
        let reset = text(&format!("{which}-reset-at")).and_then(|value| value.parse().ok());
        window(used, minutes, reset)
    };
    RateLimit {
        limit_id: family.replace('-', "_"),
        name: text("limit-name"),
        primary: window("primary"),
        secondary: window("secondary"),
        credits: is_true("credits-has-credits").map(|has_credits| Credits {
            has_credits,
            unlimited: is_true("credits-unlimited").unwrap_or(false),
            balance: text("credits-balance"),
        }),
        plan: text("plan-type"),
    }
}

/// A window counts only if something in it is not zero (WIRE §9.3).
pub(super) fn window(used: Option<f64>, minutes: Option<u64>, reset_at: Option<u64>) -> Option<Window> {
    let used_percent = used.filter(|used| used.is_finite())?;
    let says_something =
        used_percent != 0.0 || minutes.is_some_and(|minutes| minutes != 0) || reset_at.is_some();
    says_something.then(|| Window {
        used_percent,
        window_minutes: minutes.filter(|&minutes| minutes != 0),
        resets_at: reset_at.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at))),
    })
}

/// `codex.rate_limits` (WIRE §9.3).
#[derive(Debug, Deserialize)]
pub(super) struct RateLimitEvent {
    plan_type: Option<String>,
    rate_limits: Option<EventWindows>,
    credits: Option<WireCredits>,
    metered_limit_name: Option<String>,
    limit_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct EventWindows {
    primary: Option<EventWindow>,
    secondary: Option<EventWindow>,
}

#[derive(Debug, Deserialize)]
struct EventWindow {
    used_percent: Option<f64>,
    window_minutes: Option<u64>,
    #[serde(alias = "resets_at")]
    reset_at: Option<u64>,
}

/// Credits as events and the usage endpoint write them.
#[derive(Debug, Deserialize)]
pub(super) struct WireCredits {
    #[serde(default)]
    has_credits: bool,
    #[serde(default)]
    unlimited: bool,
    /// A string, a number or null.
    #[serde(default)]
    balance: Value,
}

impl From<WireCredits> for Credits {
    fn from(wire: WireCredits) -> Self {
        let balance = match wire.balance {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Self { has_credits: wire.has_credits, unlimited: wire.unlimited, balance }
    }
}

impl From<RateLimitEvent> for RateLimit {
    fn from(event: RateLimitEvent) -> Self {
        let windows = event.rate_limits.unwrap_or(EventWindows { primary: None, secondary: None });
        let of = |wire: Option<EventWindow>| {
            let wire = wire?;
            window(wire.used_percent, wire.window_minutes, wire.reset_at)
        };
        let limit_id = event.metered_limit_name.unwrap_or_else(|| MAIN_LIMIT.to_owned()).replace('-', "_");
        Self {
            limit_id,
            name: event.limit_name,
            primary: of(windows.primary),
            secondary: of(windows.secondary),
            credits: event.credits.map(Credits::from),
            plan: event.plan_type,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let entry = |&(name, value): &(&'static str, &'static str)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().expect("value"))
        };
        pairs.iter().map(entry).collect()
    }

    #[test]
    fn every_family_of_headers_is_read() {
        let limits = from_headers(&headers(&[
            ("x-codex-primary-used-percent", "42.5"),
            ("x-codex-primary-window-minutes", "300"),
            ("x-codex-primary-reset-at", "1795339857"),
            ("x-codex-secondary-used-percent", "81"),
            ("x-codex-secondary-window-minutes", "10080"),
            ("x-codex-credits-has-credits", "true"),
            ("x-codex-credits-unlimited", "false"),
            ("x-codex-credits-balance", "9.99"),
            ("x-codex-other-model-primary-used-percent", "1"),
            ("x-codex-other-model-limit-name", "Other"),
            ("x-request-id", "r"),
        ]));
        assert_eq!(
            limits.iter().map(|limit| limit.limit_id.as_str()).collect::<Vec<_>>(),
            ["codex", "codex_other_model"]
        );
        let primary = limits[0].primary.expect("a window");
        assert_eq!((primary.used_percent, primary.window_minutes), (42.5, Some(300)));
        assert_eq!(primary.resets_at, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_339_857)));
        assert_eq!(limits[0].secondary.expect("a window").resets_at, None);
        assert_eq!(limits[0].credits.as_ref().and_then(|credits| credits.balance.as_deref()), Some("9.99"));
        assert_eq!(limits[1].name.as_deref(), Some("Other"));
    }

    #[test]
    fn a_window_of_zeros_or_nonsense_does_not_count() {
        let zeros = [("x-codex-primary-used-percent", "0"), ("x-codex-primary-window-minutes", "0")];
        assert_eq!(from_headers(&headers(&zeros)), []);
        assert_eq!(from_headers(&headers(&[("x-codex-primary-used-percent", "NaN")])), []);
        assert!(window(Some(0.0), Some(300), None).is_some());
        assert!(window(Some(0.0), None, Some(1)).is_some());
    }

    #[test]
    fn an_event_and_headers_complete_each_other() {
        let event: RateLimitEvent = serde_json::from_str(
            r#"{"type":"codex.rate_limits","plan_type":"plus","rate_limits":{"primary":{"used_percent":12,
            "window_minutes":300,"reset_at":1795339857},"secondary":null},
            "credits":{"has_credits":false,"unlimited":false,"balance":null}}"#,
        )
        .expect("an event");
        let known = RateLimits::default();
        known.update("a", from_headers(&headers(&[("x-codex-secondary-used-percent", "81")])));
        known.update("a", [RateLimit::from(event)]);
        let limits = known.get("a");
        assert_eq!(limits.len(), 1);
        assert_eq!(limits[0].plan.as_deref(), Some("plus"));
        assert!(limits[0].primary.is_some() && limits[0].secondary.is_some());
        assert_eq!(known.get("b"), []);
    }

    #[test]
    fn invented_families_and_accounts_are_bounded() {
        let known = RateLimits::default();
        let limit = |n: usize| RateLimit { limit_id: format!("l{n}"), ..RateLimit::default() };
        known.update("a", (0..100).map(limit));
        assert_eq!(known.get("a").len(), MAX_LIMITS);
        (0..100).for_each(|n| known.update(&format!("account {n}"), [limit(0)]));
        assert!(known.accounts.lock().len() <= MAX_ACCOUNTS);
    }
}
