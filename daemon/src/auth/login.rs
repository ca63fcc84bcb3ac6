//! Signing in with a browser (WIRE §2): one pending login at a time, whoever asks for it.
//!
//! The login runs in a task of its own: it outlives the session that started it, ends with [`Limits::login`], and leaves
//! the old login in force until the new one is on disk. The browser is told how it ended after it has ended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::callback::{self, Denial, Listeners, Page, Redirect};
use super::claims::Claims;
use super::config::AuthConfig;
use super::credentials::{Binding, Credentials, OwnGrant};
use super::error::AuthError;
use super::form;
use super::issuer::{Issuer, IssuerError, Tokens};
use super::pkce::{self, Pkce};
use super::store::{Store, StoreError};
use crate::limits::Limits;
use crate::secret::Secret;
use crate::task;

/// What is needed to know the account and to refresh; nothing that acts for the person elsewhere.
const SCOPE: &str = "openid profile email offline_access";

/// A login that waits for the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogin {
    /// Names this login in `login_cancel` and in [`LoginState`].
    pub login_id: String,
    /// To be opened in a browser on this machine.
    pub authorize_url: String,
    /// Where the browser comes back to, on loopback. Over SSH this port has to be forwarded.
    pub redirect_port: u16,
    /// When the link stops working.
    pub expires_at: SystemTime,
}

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// From the id token.
    pub email: Option<String>,
    /// `plus`, `pro`, ... as the issuer spells it.
    pub plan: Option<String>,
    /// The ChatGPT account.
    pub account_id: String,
}

/// How the latest login of this process stands.
#[derive(Clone, Debug, Default)]
pub enum LoginState {
    /// None was started.
    #[default]
    Idle,
    /// The link waits for a browser.
    Pending(PendingLogin),
    /// The new login is on disk.
    Succeeded {
        /// Which login.
        login_id: String,
        /// Who signed in.
        who: Who,
    },
    /// The old login, if any, is still in force.
    Failed {
        /// Which login.
        login_id: String,
        /// Why.
        reason: LoginError,
    },
}

/// Why a login came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The person or the issuer said no (RFC 6749 §4.1.2.1).
    #[error("could not sign in: {0}")]
    Denied(Denial),
    /// Nobody came back in time.
    #[error("could not sign in: the link was not used in time")]
    TimedOut,
    /// Cancelled by a client, a logout or the end of the daemon.
    #[error("could not sign in: the login was cancelled")]
    Cancelled,
    /// The issuer did not give tokens for the code.
    #[error("could not exchange the authorization code")]
    Exchange(#[source] Arc<IssuerError>),
    /// The tokens name no account to work with.
    #[error("could not sign in: the issuer's tokens name no ChatGPT account")]
    NoAccount,
    /// The new login could not be written.
    #[error("could not save the login")]
    Store(#[source] Arc<StoreError>),
    /// A task of this daemon failed; its log has more.
    #[error("could not sign in: the login task failed")]
    Internal,
}

/// Starts, shares and ends logins.
#[derive(Debug)]
pub(super) struct Logins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: AuthConfig,
    ours: Binding,
    store: Arc<Store>,
    issuer: Arc<Issuer>,
    tracker: TaskTracker,
    life: Duration,
    state: watch::Sender<LoginState>,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Of the login that [`Inner::state`] calls pending.
    cancel: CancellationToken,
    closed: bool,
}

/// What only the task of a login knows.
struct Attempt {
    login_id: String,
    pkce: Pkce,
    state: Secret,
    redirect_uri: String,
    cancel: CancellationToken,
}

/// Publishes the end of a login, also when its task panics.
struct Publish {
    inner: Arc<Inner>,
    login_id: String,
    result: Option<Result<Who, LoginError>>,
}

impl Logins {
    /// Nothing is pending.
    pub(super) fn new(
        config: AuthConfig,
        ours: Binding,
        store: Arc<Store>,
        issuer: Arc<Issuer>,
        tracker: TaskTracker,
        limits: &Limits,
    ) -> Self {
        let (state, _) = watch::channel(LoginState::Idle);
        let slot = Mutex::default();
        Self(Arc::new(Inner { config, ours, store, issuer, tracker, life: limits.login, state, slot }))
    }

    /// The pending login, or a new one.
    pub(super) async fn start(&self) -> Result<PendingLogin, AuthError> {
        // Before a person is sent to a browser: what cannot be written need not be begun.
        self.0.store.check_login().await?;
        self.0.start()
    }

    /// Ends the pending login named `login_id` and waits for its end.
    pub(super) async fn cancel(&self, login_id: &str) -> Result<(), AuthError> {
        let not_pending = || AuthError::NoSuchLogin { login_id: login_id.to_owned() };
        let mut state = self.0.state.subscribe();
        {
            let slot = self.0.slot.lock();
            if !state.borrow().is_pending(login_id) {
                return Err(not_pending());
            }
            slot.cancel.cancel();
        }
        match state.wait_for(|state| !state.is_pending(login_id)).await.as_deref() {
            // It was being written already.
            Ok(LoginState::Succeeded { login_id: ended, .. }) if ended == login_id => Err(not_pending()),
            _ => Ok(()),
        }
    }

    /// Ends whatever login is pending and waits for its end.
    pub(super) async fn cancel_any(&self) {
        let pending = match &*self.0.state.borrow() {
            LoginState::Pending(pending) => pending.login_id.clone(),
            _ => return,
        };
        if let Err(error) = self.cancel(&pending).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the login had ended by itself");
        }
    }

    /// Ends the pending login and refuses new ones.
    pub(super) fn close(&self) {
        let mut slot = self.0.slot.lock();
        slot.closed = true;
        slot.cancel.cancel();
    }

    /// See [`LoginState`].
    pub(super) fn subscribe(&self) -> watch::Receiver<LoginState> {
        self.0.state.subscribe()
    }
}

impl LoginState {
    fn is_pending(&self, login_id: &str) -> bool {
        matches!(self, Self::Pending(pending) if pending.login_id == login_id)
    }
}

impl Inner {
    fn start(self: &Arc<Self>) -> Result<PendingLogin, AuthError> {
        let mut slot = self.slot.lock();
        if slot.closed {
            return Err(AuthError::Closed);
        }
        if let LoginState::Pending(pending) = &*self.state.borrow() {
            return Ok(pending.clone());
        }
        let listeners = Listeners::bind(&self.config.callback_ports).map_err(Arc::new)?;
        let attempt = Attempt {
            login_id: pkce::random_id(),
            pkce: Pkce::generate(),
            state: pkce::random_state(),
            redirect_uri: format!("http://127.0.0.1:{}{}", listeners.port(), callback::PATH),
            cancel: CancellationToken::new(),
        };
        let pending = PendingLogin {
            login_id: attempt.login_id.clone(),
            authorize_url: self.authorize_url(&attempt),
            redirect_port: listeners.port(),
            expires_at: SystemTime::now() + self.life,
        };
        tracing::info!(
            login_id = pending.login_id,
            port = pending.redirect_port,
            "a login waits for the browser"
        );
        slot.cancel = attempt.cancel.clone();
        self.state.send_replace(LoginState::Pending(pending.clone()));
        drop(slot);

        let publish = Publish { inner: Arc::clone(self), login_id: attempt.login_id.clone(), result: None };
        task::spawn(&self.tracker, "login", async move {
            let result = publish.inner.run(&attempt, listeners).await;
            publish.with(result);
        });
        Ok(pending)
    }

    /// WIRE §2.1, in its order.
    fn authorize_url(&self, attempt: &Attempt) -> String {
        let query = form::encode(&[
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", &attempt.redirect_uri),
            ("code_challenge", &attempt.pkce.challenge),
            ("code_challenge_method", "S256"),
            ("state", attempt.state.expose()),
            ("scope", SCOPE),
            ("id_token_add_organizations", "true"),
            ("codex_cli_simplified_flow", "true"),
            ("originator", &self.config.originator),
        ]);
        format!("{}/oauth/authorize?{query}", self.config.issuer)
    }

    async fn run(&self, attempt: &Attempt, listeners: Listeners) -> Result<Who, LoginError> {
        let stop = CancellationToken::new();
        // Also when this future is dropped or panics: a port must not stay bound.
        let _stop_at_end = stop.clone().drop_guard();
        let (first, redirect) = oneshot::channel();
        let expected = callback::Expected {
            port: listeners.port(),
            state: attempt.state.clone(),
            issuer: self.config.issuer.clone(),
        };
        let server = callback::serve(listeners, expected, first, stop.clone());
        let server = task::spawn(&self.tracker, "login callback", server);

        let result = tokio::select! {
            biased;
            () = attempt.cancel.cancelled() => Err(LoginError::Cancelled),
            redirect = tokio::time::timeout(self.life, redirect) => match redirect {
                Ok(Ok(redirect)) => self.finish(attempt, redirect).await,
                Ok(Err(_)) => Err(LoginError::Internal),
                Err(_) => Err(LoginError::TimedOut),
            },
        };
        stop.cancel();
        if server.await.is_err() {
            tracing::error!("the callback server was cut off");
        }
        result
    }

    async fn finish(&self, attempt: &Attempt, redirect: Redirect) -> Result<Who, LoginError> {
        let result = match redirect.code {
            Ok(code) => self.sign_in(attempt, &code).await,
            Err(denial) => Err(LoginError::Denied(denial)),
        };
        let page = match &result {
            Ok(who) => Page::SignedIn { email: who.email.clone() },
            Err(error) => Page::Failed { reason: chain(error) },
        };
        if redirect.reply.send(page).is_err() {
            tracing::debug!("the browser did not wait for the end of the login");
        }
        result
    }

    async fn sign_in(&self, attempt: &Attempt, code: &Secret) -> Result<Who, LoginError> {
        let exchange = self.issuer.exchange(code, &attempt.redirect_uri, &attempt.pkce.verifier);
        let tokens = tokio::select! {
            biased;
            () = attempt.cancel.cancelled() => return Err(LoginError::Cancelled),
            tokens = exchange => tokens.map_err(|error| LoginError::Exchange(Arc::new(error)))?,
        };
        let login = credentials(tokens, self.ours.clone(), SystemTime::now())?;
        self.store.replace(&login).await.map_err(|error| LoginError::Store(Arc::new(error)))?;
        let Claims { email, plan, .. } = login.claims();
        Ok(Who { email, plan, account_id: login.account_id })
    }
}

impl Publish {
    fn with(mut self, result: Result<Who, LoginError>) {
        self.result = Some(result);
    }
}

impl Drop for Publish {
    fn drop(&mut self) {
        let login_id = self.login_id.clone();
        let state = match self.result.take().unwrap_or(Err(LoginError::Internal)) {
            Ok(who) => {
                tracing::info!(login_id, account_id = who.account_id, "signed in");
                LoginState::Succeeded { login_id, who }
            }
            Err(reason) => {
                tracing::warn!(login_id, error = &reason as &dyn std::error::Error, "the login failed");
                LoginState::Failed { login_id, reason }
            }
        };
        self.inner.state.send_replace(state);
    }
}

fn credentials(tokens: Tokens, bound: Binding, now: SystemTime) -> Result<Credentials, LoginError> {
    let incomplete = |missing| LoginError::Exchange(Arc::new(IssuerError::Incomplete { missing }));
    let access_token = tokens.access.ok_or_else(|| incomplete("access_token"))?;
    let refresh_token = tokens.refresh.ok_or_else(|| incomplete("refresh_token"))?;
    let id_token = tokens.id.ok_or_else(|| incomplete("id_token"))?;
    let access = Claims::of(&access_token);
    let ends = tokens.expires_in.and_then(|lifetime| now.checked_add(lifetime));
    let expires_at = access.expires_at.or(ends);
    let account_id = Claims::of(&id_token).or(access).account_id.ok_or(LoginError::NoAccount)?;
    let own = OwnGrant { refresh_token, bound, obtained_at: Some(now), last_refresh: None, renewals: 0 };
    Ok(Credentials { access_token, id_token: Some(id_token), expires_at, account_id, own: Some(own) })
}

/// The error with its causes, in a line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
