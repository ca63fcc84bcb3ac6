//! The door of `auth`.

mod logout;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::binding::check_workspace;
use super::config::{AuthConfig, Workspaces};
use super::credentials::{Binding, Credentials, Need, Reason};
use super::error::AuthError;
use super::freshness::{Freshness, KeepFresh};
use super::issuer::Issuer;
use super::journal::{Entry, Journal};
use super::login::{LoginState, Logins, PasteError, PendingLogin, Prover};
use super::refresh::Urgency;
use super::refresher::{Next, Refresher};
use super::refused::RefusedToken;
use super::seams::{Clock, Seams};
use super::shelf::{Mode, Shelf};
use super::status::{AuthState, AuthStatus};
use super::store::{Changes, Store};
use crate::debug::{self, Tag};
use crate::fsx::{Reread, Stamp};
use crate::grant::Grant;
use crate::limits::Limits;
use crate::secret::Secret;
use crate::task;

pub use logout::{LogoutReport, Revocation};

/// Looks at the file in one call: the first; one after each of what a refresh can have to do before it (write a pair that was
/// not written, take over another process's, put a newer copy back) and after the refresh itself; and some for other programs
/// that write the file.
const LOOKS: usize = 8;

/// Holds the login, hands out access tokens, renews them. Clones share everything.
#[derive(Clone, Debug)]
pub struct TokenManager(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    limits: Limits,
    tracker: TaskTracker,
    pub(super) clock: Clock,
    journal: Journal,
    ours: Binding,
    workspaces: Workspaces,
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    refresher: Arc<Refresher>,
    freshness: Freshness,
    logins: Logins,
    refused: RefusedToken,
}

impl TokenManager {
    /// The manager of the login on this shelf of this file; `config` is normalized. Touches neither file nor network.
    /// Refreshes and logins run on `tracker`; see [`TokenManager::release`].
    pub(super) fn at(
        (file, shelf, changes): (PathBuf, Shelf, Changes),
        config: AuthConfig,
        mut limits: Limits,
        tracker: TaskTracker,
        seams: Seams,
    ) -> Self {
        if matches!(shelf, Shelf::Codex { mode: Mode::Share, .. }) {
            limits.refresh_before_expiry = limits.share_before_expiry.max(limits.refresh_before_expiry);
        }
        let reread = Reread { tries: limits.reread_tries, pause: limits.reread_pause };
        let ours = Binding::ours(&config);
        let workspaces = config.workspaces.clone();
        let journal = Journal::new(shelf.history(&config.history));
        let (clock, holder) = (seams.clock, seams.holder);
        let store = Arc::new(Store::new((file, shelf), reread, clock.clone(), journal.clone(), changes));
        #[cfg_attr(not(test), expect(unused_mut, reason = "only a test puts another issuer in"))]
        let mut issuer = Issuer::new(&config, &limits);
        #[cfg(test)]
        {
            issuer.in_memory = seams.issuer;
        }
        let issuer = Arc::new(issuer);
        let refresher = Arc::new(Refresher::new(
            Arc::clone(&store),
            Arc::clone(&issuer),
            tracker.clone(),
            (journal.clone(), clock.clone(), holder),
            &limits,
        ));
        let logins = Logins::new(
            config,
            ours.clone(),
            Arc::clone(&store),
            Arc::clone(&issuer),
            tracker.clone(),
            &limits,
        );
        let freshness = Freshness::default();
        Self(Arc::new(Shared {
            limits,
            tracker,
            clock,
            journal,
            ours,
            workspaces,
            store,
            issuer,
            refresher,
            freshness,
            logins,
            refused: RefusedToken::default(),
        }))
    }

    /// Finishes a refresh that an earlier process left undone. At the start; what fails is tried again at the first
    /// renewal.
    pub async fn begin(&self) {
        if let Err(error) = self.0.refresher.begin().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not look for an interrupted refresh"
            );
        }
    }

    /// While this is held, the login is renewed in time, so that no question waits for it.
    pub fn keep_fresh(&self) -> KeepFresh {
        self.0.freshness.enter(&self.0)
    }

    /// What became of every refresh token, oldest first.
    pub fn history(&self) -> Vec<Entry> {
        self.0.journal.entries()
    }

    /// A usable access token: the one in the file, renewed first when it has less than
    /// [`Limits::refresh_before_expiry`] left. If renewing fails, the old one is handed out while it is valid.
    pub async fn grant(&self) -> Result<Grant, AuthError> {
        self.grant_as_seen(None).await
    }

    /// The same for whoever has just looked at the file and found this stamp.
    pub(super) async fn grant_as_seen(&self, seen: Option<Stamp>) -> Result<Grant, AuthError> {
        self.0.obtain(None, Duration::ZERO, seen).await
    }

    /// Another token than `rejected`, to which the backend answered 401: the one that is in the file by now, if it is
    /// another one of the same account, else a renewed one. A rejected token is renewed at most once.
    pub async fn recover(&self, rejected: &Grant) -> Result<Grant, AuthError> {
        self.0.store.reload().await?;
        let other = self.0.obtain(Some(rejected), Duration::ZERO, None).await;
        if other.as_ref().is_err_and(AuthError::is_final) {
            self.0.refused.remember(&rejected.access_token, self.0.clock.now());
        }
        other
    }

    /// The backend took `grant`.
    pub fn accepted(&self, grant: &Grant) {
        self.0.refused.forget(&grant.access_token);
    }

    /// The state of the login. No network; never fails: what is wrong is the status.
    pub async fn status(&self) -> AuthStatus {
        self.0.status().await
    }

    /// Starts a login, or returns the one that is pending: there is one link at a time, whoever asks. Opens no browser.
    /// The old login stays in force until the new one is proven by `prove` and written.
    pub async fn login_start(&self, prove: Prover) -> Result<PendingLogin, AuthError> {
        self.0.check_ours()?;
        self.0.logins.start(prove).await
    }

    /// Opens the way of a device code in a pending login, unless it is open; returns when it is known whether there is
    /// one ([`PendingLogin::device`]).
    pub async fn login_offer_device(&self, login_id: &str) -> Result<PendingLogin, AuthError> {
        self.0.logins.offer_device(login_id).await
    }

    /// Ends a pending login with the address that a browser ended at, or the code in it; returns when it is over. A text
    /// that leads to nothing leaves the login pending.
    pub async fn login_paste(&self, login_id: &str, text: Secret) -> Result<(), PasteError> {
        self.0.logins.paste(login_id, text).await
    }

    /// Ends a pending login; returns when its port is free again.
    pub async fn login_cancel(&self, login_id: &str) -> Result<(), AuthError> {
        self.0.logins.cancel(login_id).await
    }

    /// How the latest login stands.
    pub fn logins(&self) -> watch::Receiver<LoginState> {
        self.0.logins.subscribe()
    }

    /// Signs out: ends a pending login, asks the issuer to forget the refresh token if it is ours
    /// ([`Limits::revoke`], best effort), then removes our record from the file. Goes on if the caller does not wait
    /// for the end.
    pub async fn logout(&self) -> Result<LogoutReport, AuthError> {
        self.0.check_ours()?;
        if self.0.tracker.is_closed() {
            return Err(AuthError::Closed);
        }
        let shared = Arc::clone(&self.0);
        let logout = task::spawn(&self.0.tracker, "logout", async move { shared.logout().await });
        logout.await.ok().flatten().ok_or(AuthError::Internal)?
    }

    /// Whether no refresh, login or logout is under way.
    pub fn is_quiet(&self) -> bool {
        self.0.tracker.is_empty()
    }

    /// Returns when the refresh that is under way has ended; at once if there is none.
    pub async fn refresh_ended(&self) {
        self.0.refresher.landed().await;
    }

    /// From here on this manager begins nothing any more; what is under way goes on.
    pub(super) fn retire(&self) {
        self.0.logins.close();
        self.0.freshness.close();
        self.0.refresher.close();
    }

    /// The place of the login.
    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    /// For a hand-over: from here on the login is only read. A pending login ends; a refresh or a logout that is under way is
    /// never cut, and this returns when it is over: the answer to a refresh is the only copy of the new token.
    pub async fn release(&self) {
        self.retire();
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }
}

/// How long the access token is good for.
fn ready(login: &Credentials, now: SystemTime) -> String {
    let left = login.expires_at.and_then(|end| end.duration_since(now).ok());
    let left = left.map_or("an unknown time".to_owned(), |left| format!("{} s", left.as_secs()));
    format!("Access token ready, good for {left}")
}

impl Shared {
    /// How long the login is good for without a renewal, `ahead` of the moment at which a question would renew it; zero when
    /// it is due. `None` when there is no login that can be renewed.
    pub(super) async fn fresh_for(&self, ahead: Duration) -> Option<Duration> {
        let login = self.store.current().await.ok().flatten()?;
        self.check_place(&login).ok()?;
        let token = self.ours.check_spendable(&login).ok()?;
        if self.refresher.ended(&token).is_some() {
            return None;
        }
        let (now, margin) = (self.clock.now(), self.limits.refresh_before_expiry + ahead);
        match login.need(now, margin) {
            Need::None => login.expires_at?.duration_since(now).ok()?.checked_sub(margin),
            Need::Early(_) | Need::Needed(_) => Some(Duration::ZERO),
        }
    }

    /// Renews the login now, `ahead` of the moment at which a question would.
    pub(super) async fn renew_ahead(&self, ahead: Duration) -> Result<(), AuthError> {
        self.obtain(None, ahead, None).await.map(drop)
    }

    async fn obtain(
        &self,
        rejected: Option<&Grant>,
        ahead: Duration,
        mut seen: Option<Stamp>,
    ) -> Result<Grant, AuthError> {
        for _ in 0..LOOKS {
            let login = match seen.take().and_then(|stamp| self.store.as_seen(&stamp)) {
                Some(login) => login,
                None => self.store.current().await?.ok_or(AuthError::NotLoggedIn)?,
            };
            self.refresher.notice(&login).await;
            self.check_place(&login)?;
            let (urgency, reason) = match self.need(&login, rejected, ahead)? {
                Need::None => {
                    debug::tell(Tag::Token, || ready(&login, self.clock.now()));
                    return Ok(login.grant());
                }
                Need::Early(reason) => (Urgency::Early, reason),
                Need::Needed(reason) => (Urgency::Needed, reason),
            };
            debug::tell(Tag::Token, || format!("Refreshing the access token: {}", reason.as_str()));
            let renewed = match self.ours.check_spendable(&login) {
                Ok(token) => Box::pin(self.refresher.renew(&login, token, urgency, reason)).await,
                Err(why) => Err(why.into()),
            };
            if let Err(error) = &renewed {
                debug::tell(Tag::Token, || {
                    format!("Could not refresh the access token: {}", debug::variant(error))
                });
            }
            match renewed {
                Ok(Next::Look) => {}
                Ok(Next::KeepOld) => return Ok(login.grant()),
                Err(error) if urgency == Urgency::Early && error.leaves_old() && self.is_valid(&login) => {
                    return Ok(login.grant());
                }
                Err(error) => return Err(error),
            }
        }
        Err(AuthError::Unsettled { path: self.store.path().to_owned() })
    }

    fn need(
        &self,
        login: &Credentials,
        rejected: Option<&Grant>,
        ahead: Duration,
    ) -> Result<Need, AuthError> {
        let now = self.clock.now();
        let margin = self.limits.refresh_before_expiry + ahead;
        let Some(rejected) = rejected else { return Ok(login.need(now, margin)) };
        if login.account_id != rejected.account_id {
            return Err(AuthError::AccountMismatch {
                expected: rejected.account_id.clone(),
                found: login.account_id.clone(),
            });
        }
        if login.access_token != rejected.access_token {
            return Ok(login.need(now, margin));
        }
        if login.just_renewed(now) {
            return Err(AuthError::Rejected { account_id: login.account_id.clone() });
        }
        Ok(Need::Needed(Reason::UnauthorizedRecovery))
    }

    /// Whether the login may be sent anywhere at all.
    fn check_place(&self, login: &Credentials) -> Result<(), AuthError> {
        self.ours.check_place(login)?;
        check_workspace(&self.workspaces, login)
    }

    /// Signing in and out in the Codex CLI's file is that program's own affair.
    fn check_ours(&self) -> Result<(), AuthError> {
        if self.store.shelf().is_ours() {
            return Ok(());
        }
        Err(AuthError::CodexOwns { path: self.store.path().to_owned() })
    }

    /// An access token whose end nobody knows is good until the backend says otherwise.
    fn is_valid(&self, login: &Credentials) -> bool {
        login.expires_at.is_none_or(|end| end > self.clock.now())
    }

    async fn status(&self) -> AuthStatus {
        let file = self.store.path().to_owned();
        let login = match self.store.current().await {
            Ok(Some(login)) => login,
            Ok(None) => return AuthStatus::none(file, AuthState::NotAuthenticated),
            Err(error) => return AuthStatus::none(file, AuthState::Unreadable(Arc::new(error))),
        };
        let token = self.ours.check_spendable(&login);
        let by_issuer = token.as_ref().ok().and_then(|token| self.journal.refused_at(token));
        let refused_at = by_issuer.or_else(|| self.refused.since(&login.access_token));
        let not_refreshable = match token {
            Ok(token) => self.refresher.ended(&token),
            Err(why) => Some(why),
        };
        let place = self.check_place(&login);
        let when = (self.clock.now(), self.limits.refresh_before_expiry);
        AuthStatus::of(file, &login, place, (not_refreshable, refused_at), when)
    }
}

#[cfg(test)]
mod tests;
