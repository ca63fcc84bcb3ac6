//! Usage limits that are known to hold: while one does, a turn fails at once with the reset time instead of asking the backend
//! to refuse it again (DESIGN §6).

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::{ErrorKind, Facts, Retry, UpstreamError};
use super::rate_limits::MAIN_LIMIT;

/// Credits can be bought at any moment, so the usage endpoint is asked before refusing, this often at most.
pub(super) const USAGE_QUESTION_EVERY: Duration = Duration::from_secs(60);

/// Limits remembered: a few per account.
const MAX_HELD: usize = 64;

/// Accounts whose last question is remembered.
const MAX_ACCOUNTS: usize = 16;

/// The limits of all accounts of this daemon.
#[derive(Debug, Default)]
pub(super) struct KnownLimits {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<Key, Held>,
    asked: HashMap<String, Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    account_id: String,
    limit_id: String,
}

#[derive(Clone, Debug)]
struct Held {
    resets_at: SystemTime,
    plan: Option<String>,
    reached_type: Option<String>,
    promo: Option<String>,
    /// The model that met it: a limit other than the plan's own says nothing about other models.
    model: String,
}

/// A limit in force for a turn.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) limit_id: String,
    /// The refusal, made without a request.
    pub(super) error: UpstreamError,
}

impl KnownLimits {
    /// Remembers a refusal that names its end; any other error is none of this module's business.
    pub(super) fn note(&self, account_id: &str, model: &str, error: &UpstreamError) {
        let ErrorKind::UsageLimit { plan, resets_at: Some(resets_at), reached_type } = &error.kind else {
            return;
        };
        let limit_id = error.facts.limit_id.clone().unwrap_or_else(|| MAIN_LIMIT.to_owned());
        let held = Held {
            resets_at: *resets_at,
            plan: plan.clone(),
            reached_type: reached_type.clone(),
            promo: error.facts.promo.clone(),
            model: model.to_owned(),
        };
        let mut state = self.state.lock();
        if state.held.len() < MAX_HELD {
            state.held.insert(Key { account_id: account_id.to_owned(), limit_id }, held);
        }
    }

    /// The limit that a turn with `model` would meet, the one that lasts longest.
    pub(super) fn in_force(&self, account_id: &str, model: &str, now: SystemTime) -> Option<InForce> {
        let (limit_id, held) = self.state.lock().longest(account_id, model, now)?;
        Some(InForce { error: held.refusal(&limit_id, now), limit_id })
    }

    /// True when the usage endpoint has not been asked for a while; the caller then asks it.
    pub(super) fn may_ask(&self, account_id: &str, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.asked.retain(|_, asked| now.duration_since(*asked) < USAGE_QUESTION_EVERY);
        if state.asked.contains_key(account_id) || state.asked.len() >= MAX_ACCOUNTS {
            return false;
        }
        state.asked.insert(account_id.to_owned(), now);
        true
    }

    /// The backend says that requests are let through again.
    pub(super) fn lift(&self, account_id: &str, limit_id: &str) {
        let key = Key { account_id: account_id.to_owned(), limit_id: limit_id.to_owned() };
        self.state.lock().held.remove(&key);
    }
}

impl State {
    fn longest(&mut self, account_id: &str, model: &str, now: SystemTime) -> Option<(String, Held)> {
        self.held.retain(|_, held| held.resets_at > now);
        let holds = |key: &Key, held: &Held| {
            key.account_id == account_id && (key.limit_id == MAIN_LIMIT || held.model == model)
        };
        let holding = self.held.iter().filter(|(key, held)| holds(key, held));
        let (key, held) = holding.max_by_key(|(_, held)| held.resets_at)?;
        Some((key.limit_id.clone(), held.clone()))
    }
}

impl Held {
    fn refusal(&self, limit_id: &str, now: SystemTime) -> UpstreamError {
        let wait = self.resets_at.duration_since(now).unwrap_or_default();
        let kind = ErrorKind::UsageLimit {
            plan: self.plan.clone(),
            resets_at: Some(self.resets_at),
            reached_type: self.reached_type.clone(),
        };
        let facts =
            Facts { limit_id: Some(limit_id.to_owned()), promo: self.promo.clone(), ..Facts::default() };
        let mut error = UpstreamError::new(kind, Retry::After(wait)).with_facts(facts);
        error.attempts = 0;
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)
    }

    fn refusal(limit_id: Option<&str>, resets_in: Option<u64>) -> UpstreamError {
        let resets_at = resets_in.map(|seconds| now() + Duration::from_secs(seconds));
        let kind = ErrorKind::UsageLimit { plan: Some("plus".into()), resets_at, reached_type: None };
        let facts = Facts { limit_id: limit_id.map(str::to_owned), ..Facts::default() };
        UpstreamError::new(kind, Retry::Never).with_facts(facts)
    }

    #[test]
    fn the_plans_limit_holds_for_every_model_of_the_account_until_its_reset() {
        let known = KnownLimits::default();
        known.note("a", "m", &refusal(None, Some(60)));
        let held = known.in_force("a", "other", now()).expect("in force");
        assert_eq!((held.limit_id.as_str(), held.error.attempts), ("codex", 0));
        assert_eq!(held.error.retry, Retry::After(Duration::from_secs(60)));
        assert!(known.in_force("b", "m", now()).is_none());
        assert!(known.in_force("a", "m", now() + Duration::from_secs(60)).is_none());
    }

    #[test]
    fn another_limit_holds_for_the_model_that_met_it() {
        let known = KnownLimits::default();
        known.note("a", "m", &refusal(Some("codex_other"), Some(60)));
        assert!(known.in_force("a", "m", now()).is_some());
        assert!(known.in_force("a", "n", now()).is_none());
        known.lift("a", "codex_other");
        assert!(known.in_force("a", "m", now()).is_none());
    }

    #[test]
    fn a_limit_without_an_end_is_not_remembered() {
        let known = KnownLimits::default();
        known.note("a", "m", &refusal(None, None));
        assert!(known.in_force("a", "m", now()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_usage_endpoint_is_asked_at_most_once_a_minute() {
        let known = KnownLimits::default();
        assert!(known.may_ask("a", Instant::now()));
        assert!(!known.may_ask("a", Instant::now()));
        assert!(known.may_ask("b", Instant::now()));
        tokio::time::advance(USAGE_QUESTION_EVERY).await;
        assert!(known.may_ask("a", Instant::now()));
    }
}
