//! Signing in (WIRE §2, §3): one pending login at a time, whoever asks for it, and three ways through it that race.
//!
//! The link, whose browser comes back to loopback; the same link from a browser elsewhere, whose last address is pasted;
//! a device code. The first way that leads to tokens wins and the others end. The login runs in a task of its own: it
//! outlives the session that started it, each way has its own end, and the old login stays in force until the new one is
//! proven and on disk.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::callback::{self, Listeners};
use super::config::AuthConfig;
use super::credentials::Binding;
use super::error::AuthError;
use super::form;
use super::issuer::Issuer;
use super::pkce::{self, Pkce};
use super::store::Store;
use crate::limits::Limits;
use crate::secret::Secret;
use crate::task;

mod attempt;
mod device;
mod error;
mod paste;
mod proof;
mod state;

pub use device::DeviceError;
pub use error::{LoginError, PasteError};
pub use proof::{Proof, Prover};
pub use state::{Device, DeviceCode, LoginState, PendingLogin, Step, Who};

pub(super) use attempt::chain;

use attempt::{Ask, Attempt};

/// What is needed to know the account and to refresh; nothing that acts for the person elsewhere.
const SCOPE: &str = "openid profile email offline_access";
/// Requests to the task of a login: a person pastes one text at a time.
const MOST_ASKS: usize = 4;

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
    limits: Limits,
    state: watch::Sender<LoginState>,
    slot: Mutex<Slot>,
}

/// Of the login that [`Inner::state`] calls pending.
#[derive(Debug, Default)]
struct Slot {
    cancel: CancellationToken,
    asks: Option<mpsc::Sender<Ask>>,
    closed: bool,
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
        let (limits, slot) = (limits.clone(), Mutex::default());
        Self(Arc::new(Inner { config, ours, store, issuer, tracker, limits, state, slot }))
    }

    /// The pending login, or a new one that `prove` has to accept before it is written.
    pub(super) async fn start(&self, prove: Prover) -> Result<PendingLogin, AuthError> {
        // Before a person is sent to a browser: what cannot be written need not be begun.
        self.0.store.check_login().await?;
        self.0.start(prove)
    }

    /// Opens the way of a device code unless it is open, and waits until it is known whether there is one.
    pub(super) async fn offer_device(&self, login_id: &str) -> Result<PendingLogin, AuthError> {
        let mut state = self.0.state.subscribe();
        {
            let slot = self.0.slot.lock();
            let open = match &*state.borrow() {
                LoginState::Pending(pending) if pending.login_id == login_id => pending.device.is_open(),
                _ => return Err(no_such_login(login_id)),
            };
            // A full mailbox holds somebody's paste, and the question is asked again with the next call.
            if !open && slot.asks.as_ref().is_some_and(|asks| asks.try_send(Ask::Device).is_ok()) {
                self.0.change(|pending| pending.device = Device::Asking);
            }
        }
        let asking = |state: &LoginState| {
            matches!(state, LoginState::Pending(pending)
            if pending.login_id == login_id && pending.device == Device::Asking)
        };
        match state.wait_for(|state| !asking(state)).await.as_deref() {
            Ok(LoginState::Pending(pending)) if pending.login_id == login_id => Ok(pending.clone()),
            _ => Err(no_such_login(login_id)),
        }
    }

    /// Ends the pending login `login_id` with what a person copied out of the browser, and waits for its end. A text that
    /// does not lead to tokens leaves the login pending.
    pub(super) async fn paste(&self, login_id: &str, text: Secret) -> Result<(), PasteError> {
        let (reply, ended) = oneshot::channel();
        let asks = self.0.asks_of(login_id).ok_or(PasteError::NotPending)?;
        asks.try_send(Ask::Paste { text, reply }).map_err(|error| match error {
            TrySendError::Full(_) => PasteError::Busy,
            TrySendError::Closed(_) => PasteError::NotPending,
        })?;
        // The task drops what it has not read when another way has won.
        let ended = ended.await.unwrap_or(Err(PasteError::NotPending));
        if !matches!(&ended, Err(error) if error.leaves_login_pending()) {
            let mut state = self.0.state.subscribe();
            // The sender lives as long as `self`.
            let _ended = state.wait_for(|state| !state.is_pending(login_id)).await.is_ok();
        }
        ended
    }

    /// Ends the pending login named `login_id` and waits for its end.
    pub(super) async fn cancel(&self, login_id: &str) -> Result<(), AuthError> {
        let mut state = self.0.state.subscribe();
        {
            let slot = self.0.slot.lock();
            if !state.borrow().is_pending(login_id) {
                return Err(no_such_login(login_id));
            }
            slot.cancel.cancel();
        }
        match state.wait_for(|state| !state.is_pending(login_id)).await.as_deref() {
            // It was being written already.
            Ok(LoginState::Succeeded { login_id: ended, .. }) if ended == login_id => {
                Err(no_such_login(login_id))
            }
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

impl Inner {
    fn start(self: &Arc<Self>, prove: Prover) -> Result<PendingLogin, AuthError> {
        let mut slot = self.slot.lock();
        if slot.closed {
            return Err(AuthError::Closed);
        }
        if let LoginState::Pending(pending) = &*self.state.borrow() {
            return Ok(pending.clone());
        }
        let (listeners, port_note) = match Listeners::bind(&self.config.callback_ports) {
            Ok(listeners) => (Some(listeners), None),
            Err(busy) => {
                tracing::warn!(error = &busy as &dyn std::error::Error, "no browser can come back");
                (None, Some(chain(&busy)))
            }
        };
        let redirect_port = listeners.as_ref().map(Listeners::port);
        // Without a listener the browser's last page fails, and its address is what can be pasted.
        let port = redirect_port.or(self.config.callback_ports.first().copied()).unwrap_or_default();
        let attempt = Attempt {
            login_id: pkce::random_id(),
            pkce: Pkce::generate(),
            state: pkce::random_state(),
            redirect_uri: format!("http://127.0.0.1:{port}{}", callback::PATH),
            cancel: CancellationToken::new(),
            prove,
        };
        let pending = PendingLogin {
            login_id: attempt.login_id.clone(),
            authorize_url: self.authorize_url(&attempt),
            redirect_port,
            port_note,
            link_until: SystemTime::now() + self.limits.login,
            device: Device::Absent,
            step: Step::Waiting,
            last_failure: None,
        };
        tracing::info!(login_id = pending.login_id, port = redirect_port, "a login waits for its person");
        let (asks, asked) = mpsc::channel(MOST_ASKS);
        (slot.cancel, slot.asks) = (attempt.cancel.clone(), Some(asks));
        self.state.send_replace(LoginState::Pending(pending.clone()));
        drop(slot);

        let publish = Publish { inner: Arc::clone(self), login_id: attempt.login_id.clone(), result: None };
        task::spawn(&self.tracker, "login", async move {
            let result = publish.inner.run(&attempt, listeners, asked).await;
            publish.with(result);
        });
        Ok(pending)
    }

    /// The mailbox of the login `login_id`, while it is pending.
    fn asks_of(&self, login_id: &str) -> Option<mpsc::Sender<Ask>> {
        let slot = self.slot.lock();
        if self.state.borrow().is_pending(login_id) { slot.asks.clone() } else { None }
    }

    /// WIRE §2.1, in its order.
    fn authorize_url(&self, attempt: &Attempt) -> String {
        let workspaces = self.config.workspaces.allowed.join(",");
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", &*self.config.client_id),
            ("redirect_uri", &attempt.redirect_uri),
            ("code_challenge", &attempt.pkce.challenge),
            ("code_challenge_method", "S256"),
            ("state", attempt.state.expose()),
            ("scope", SCOPE),
            ("id_token_add_organizations", "true"),
            ("codex_cli_simplified_flow", "true"),
            ("originator", &self.config.originator),
        ];
        if !workspaces.is_empty() {
            fields.push(("allowed_workspace_id", &workspaces));
        }
        format!("{}/oauth/authorize?{}", self.config.issuer, form::encode(&fields))
    }

    /// Changes what is known of the pending login. Its task, and whoever holds the slot, are the only callers.
    fn change(&self, change: impl FnOnce(&mut PendingLogin)) {
        self.state.send_if_modified(|state| match state {
            LoginState::Pending(pending) => {
                let before = pending.clone();
                change(pending);
                *pending != before
            }
            _ => false,
        });
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

fn no_such_login(login_id: &str) -> AuthError {
    AuthError::NoSuchLogin { login_id: login_id.to_owned() }
}

#[cfg(test)]
mod tests;
