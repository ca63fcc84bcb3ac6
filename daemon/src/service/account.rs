//! Who is signed in, signing out, limits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex_oauth_proto::api::account::{
    Account, CheckResult, Credits, HistoryEntry, HistoryResult, LoginStatus, LogoutResult, Probe, RateLimit,
    RateLimitWindow, RateLimitsResult, ReadResult,
};
use codex_oauth_proto::{NextStep, WireError};
use tokio::time::Instant;

use super::accounts::use_of_others;
use super::turn::millis;
use super::{CodexService, Inner, rescue};
use crate::auth::{
    AuthError, AuthState, AuthStatus, Entry, LogoutReport, NotRefreshable, Revocation, TokenManager, Wanted,
};
use crate::upstream::{self, ErrorKind};

/// Whether `account/read` also tries the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probing {
    /// Only what is known here.
    None,
    /// Token and backend are tried, without a paid turn.
    Backend,
}

impl From<bool> for Probing {
    fn from(probe: bool) -> Self {
        if probe { Self::Backend } else { Self::None }
    }
}

impl CodexService {
    /// How the login stands.
    pub(crate) async fn account(
        &self,
        probing: Probing,
        choice: Wanted<'_>,
    ) -> Result<ReadResult, WireError> {
        let waits =
            |name| self.login_pending(name).is_some_and(|login| login.account.as_deref() == Some(name));
        let account = if choice.is_some_and(waits) {
            // It need not exist yet.
            self.inner.accounts.of_login(choice).await.map_err(|error| error.to_wire())?
        } else {
            self.inner.of(choice).await?
        };
        // First the probe: it may renew the login, and what is shown is what holds after it.
        let probe = match probing {
            Probing::None => None,
            Probing::Backend => Some(self.inner.probe(&account.tokens).await),
        };
        let status = account.tokens.status().await;
        let pending_login = self.login_pending(&account.name);
        let is_signed_out = matches!(status.state, AuthState::NotAuthenticated);
        let mut accounts = Vec::new();
        // An account without a login is none of those that there are.
        if account.is_one_of_several || is_signed_out {
            accounts = self.accounts().await?.accounts;
            if accounts.iter().all(|other| other.name == account.name) {
                accounts.clear();
            }
        }
        let instead = if is_signed_out && choice.is_none() { use_of_others(&accounts) } else { None };
        Ok(ReadResult {
            status: word(&status.state),
            account: person(&status),
            expires_at: status.expires_at.map(unix),
            refused_at: status.refused_at.map(unix),
            can_refresh: status.has_refresh_token && status.not_refreshable.is_none(),
            note: note(&status),
            next_step: instead.or_else(|| next_step(&status)),
            credential_file: status.file.display().to_string(),
            pending_login,
            probe,
            account_name: account.name,
            accounts,
            leftovers: self.leftovers().await,
        })
    }

    /// Gets a token and asks the backend for the account's route, each of which may fail.
    pub(crate) async fn check_account(&self, choice: Wanted<'_>) -> Result<CheckResult, WireError> {
        let tokens = self.inner.of(choice).await?.tokens;
        let began = Instant::now();
        let grant = tokens.grant().await;
        let token_ms = millis(began.elapsed());
        let none = CheckResult { token_ms, check_ms: None, origin: None, error: None };
        let grant = match grant {
            Ok(grant) => grant,
            Err(error) => {
                return Ok(CheckResult {
                    error: Some(self.inner.without_token(&error, choice).await),
                    ..none
                });
            }
        };
        let began = Instant::now();
        let mut asked = self.inner.upstream.check_account_now(&grant).await;
        if let Err(refused) = &asked
            && matches!(refused.kind, ErrorKind::Unauthorized { .. })
        {
            asked = match tokens.recover(&grant).await {
                Ok(grant) => self.inner.upstream.check_account_now(&grant).await,
                Err(error) => return Ok(CheckResult { error: Some(error.to_wire()), ..none }),
            };
        }
        let check_ms = Some(millis(began.elapsed()));
        Ok(match asked {
            Ok(routing) => CheckResult { check_ms, origin: routing.origin, ..none },
            Err(error) => CheckResult { check_ms, error: Some(error.to_wire()), ..none },
        })
    }

    /// Signs out, here and at the issuer.
    pub(crate) async fn logout(&self, choice: Wanted<'_>) -> Result<LogoutResult, WireError> {
        let account = self.inner.of(choice).await?;
        let report = account.tokens.logout().await.map_err(|error| error.to_wire())?;
        Ok(told(report))
    }

    /// What became of every refresh token.
    pub(crate) async fn login_history(&self, choice: Wanted<'_>) -> Result<HistoryResult, WireError> {
        let entry = |entry: Entry| HistoryEntry {
            at: unix(entry.at),
            event: entry.event.as_str().to_owned(),
            token: entry.token.map(|token| token.to_string()),
            successor: entry.successor.map(|token| token.to_string()),
            account_id: entry.account_id,
            detail: entry.detail,
            pid: entry.pid,
            build: entry.build,
        };
        let tokens = self.inner.of(choice).await?.tokens;
        Ok(HistoryResult { entries: tokens.history().into_iter().map(entry).collect() })
    }

    /// The limits as last seen.
    pub(crate) async fn rate_limits(&self, choice: Wanted<'_>) -> Result<RateLimitsResult, WireError> {
        let account_id = self.inner.of(choice).await?.tokens.status().await.account_id;
        let rate_limits =
            account_id.map(|id| limits(&self.inner.upstream.rate_limits(&id))).unwrap_or_default();
        Ok(RateLimitsResult { rate_limits })
    }

    /// The limits as the backend says now.
    pub(crate) async fn refresh_rate_limits(
        &self,
        choice: Wanted<'_>,
    ) -> Result<RateLimitsResult, WireError> {
        let tokens = self.inner.of(choice).await?.tokens;
        let grant = match tokens.grant().await {
            Ok(grant) => grant,
            Err(error) => return Err(self.inner.without_token(&error, choice).await),
        };
        let (grant, asked) = match self.inner.upstream.usage(&grant).await {
            Err(error) if matches!(error.kind, ErrorKind::Unauthorized { .. }) => {
                let grant = tokens.recover(&grant).await.map_err(|error| error.to_wire())?;
                let asked = self.inner.upstream.usage(&grant).await;
                (grant, asked)
            }
            asked => (grant, asked),
        };
        asked.map_err(|error| error.to_wire())?;
        Ok(RateLimitsResult { rate_limits: self.inner.upstream_limits(&grant.account_id) })
    }
}

impl Inner {
    /// Token, then backend; the backend is asked for the plan's usage, which costs nothing.
    async fn probe(&self, tokens: &TokenManager) -> Probe {
        let began = Instant::now();
        let mut probe = Probe {
            authenticated: false,
            token_valid: false,
            backend_reachable: false,
            took_ms: 0,
            error: None,
        };
        probe.error = self.probe_steps(tokens, &mut probe).await.err();
        probe.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        probe
    }

    async fn probe_steps(&self, tokens: &TokenManager, probe: &mut Probe) -> Result<(), WireError> {
        probe.authenticated = tokens.status().await.account_id.is_some();
        let mut grant = tokens.grant().await.map_err(|error| error.to_wire())?;
        let error = match self.upstream.usage(&grant).await {
            Ok(_) => None,
            Err(error) if matches!(error.kind, ErrorKind::Unauthorized { .. }) => {
                probe.backend_reachable = true;
                grant = tokens.recover(&grant).await.map_err(|error| error.to_wire())?;
                self.upstream.usage(&grant).await.err()
            }
            Err(error) => Some(error),
        };
        let Some(error) = error else {
            tokens.accepted(&grant);
            (probe.backend_reachable, probe.token_valid) = (true, true);
            return Ok(());
        };
        // Any answer at all shows that the backend is there; only 401 speaks about the token.
        probe.backend_reachable |= error.facts.status.is_some();
        probe.token_valid =
            error.facts.status.is_some() && !matches!(error.kind, ErrorKind::Unauthorized { .. });
        Err(error.to_wire())
    }

    /// The limits of the account that is signed in, for the cost line of a turn.
    pub(super) fn upstream_limits(&self, account_id: &str) -> Vec<RateLimit> {
        limits(&self.upstream.rate_limits(account_id))
    }
}

pub(super) const fn word(state: &AuthState) -> LoginStatus {
    match state {
        AuthState::NotAuthenticated => LoginStatus::NotAuthenticated,
        AuthState::Authenticated => LoginStatus::Authenticated,
        AuthState::NeedsRefresh => LoginStatus::NeedsRefresh,
        AuthState::Expired => LoginStatus::Expired,
        AuthState::Elsewhere(_) | AuthState::Unreadable(_) => LoginStatus::Unreadable,
    }
}

pub(super) fn person(status: &AuthStatus) -> Option<Account> {
    let AuthStatus { email, plan, account_id, .. } = status.clone();
    account_id.as_ref()?;
    Some(Account { account_id, email, plan_type: plan })
}

/// What a logout did, for the wire.
pub(super) fn told(report: LogoutReport) -> LogoutResult {
    let (revoked, note) = match report.revocation {
        Revocation::Done => (true, None),
        Revocation::NotSent(None) => (false, None),
        Revocation::NotSent(Some(why)) => (false, Some(format!("the issuer was not told: {why}"))),
        Revocation::Failed(error) => {
            let why = codex_oauth_proto::connect::with_causes(&error);
            (false, Some(format!("the issuer could not be told and may keep the login until it ends: {why}")))
        }
    };
    LogoutResult { was_signed_in: report.was_signed_in, revoked, note }
}

fn note(status: &AuthStatus) -> Option<String> {
    match (&status.state, &status.not_refreshable) {
        (AuthState::Elsewhere(error), _) => Some(error.to_string()),
        (AuthState::Unreadable(error), _) => Some(codex_oauth_proto::connect::with_causes(error.as_ref())),
        (_, Some(why @ NotRefreshable::Refused(refusal))) => {
            let proof = rescue::proof(&AuthError::Refused(refusal.clone()));
            Some(format!("the login cannot be renewed: {why}{proof}"))
        }
        (_, Some(why)) => Some(format!("the login cannot be renewed: {why}")),
        (_, None) => None,
    }
}

/// What to do about the login; `None`: nothing, or what the note says happens by itself.
fn next_step(status: &AuthStatus) -> Option<NextStep> {
    let borrowed = status.not_refreshable == Some(NotRefreshable::Borrowed);
    match &status.state {
        AuthState::Unreadable(error) => Some(rescue::file_step(error)),
        AuthState::Expired if borrowed => Some(NextStep::UseCodexCli),
        AuthState::Elsewhere(error) => error.to_wire().next_step,
        AuthState::NotAuthenticated | AuthState::Expired => Some(NextStep::Login),
        AuthState::Authenticated | AuthState::NeedsRefresh => {
            let ends = status.not_refreshable.is_some() && !borrowed;
            ends.then_some(NextStep::Login)
        }
    }
}

fn limits(seen: &[upstream::RateLimit]) -> Vec<RateLimit> {
    let window = |window: &upstream::Window| RateLimitWindow {
        used_percent: window.used_percent,
        window_minutes: window.window_minutes,
        resets_at: window.resets_at.map(unix),
    };
    let limit = |limit: &upstream::RateLimit| RateLimit {
        limit_id: limit.limit_id.clone(),
        limit_name: limit.name.clone(),
        primary: limit.primary.as_ref().map(window),
        secondary: limit.secondary.as_ref().map(window),
        credits: limit.credits.as_ref().map(|credits| Credits {
            has_credits: credits.has_credits,
            unlimited: credits.unlimited,
            balance: credits.balance.clone(),
        }),
    };
    seen.iter().map(limit).collect()
}

pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
