//! Signing in: which ways are offered to whom, and how a new login is proven.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use codex_oauth_proto::WireError;
use codex_oauth_proto::api::account::{
    Account as Person, DeviceCode, LoginCompleted, LoginStartParams, LoginStartResult, LoginStep, Place,
};

use super::CodexService;
use super::account::unix;
use crate::auth::{Account, Device, LoginError, LoginState, PendingLogin, Proof, Prover, Step};
use crate::browser::{self, Opened};
use crate::place;
use crate::secret::Secret;
use crate::upstream::{ErrorKind, Upstream, UpstreamError};

/// How long a person's link waits for the device code beside it; one that comes later is told with the status.
const DEVICE_CODE_PATIENCE: Duration = Duration::from_secs(3);

impl CodexService {
    /// Starts a login or joins the pending one, for a session with this environment. What `wish` leaves open is decided by
    /// where that session's person sits.
    pub(crate) async fn login_start(
        &self,
        wish: LoginStartParams,
        session: &BTreeMap<String, String>,
    ) -> Result<LoginStartResult, WireError> {
        let chosen = self.inner.accounts.of_login(wish.account.as_deref()).await;
        let Account { name, tokens, .. } = chosen.map_err(|error| error.to_wire())?;
        let joined = matches!(&*tokens.logins().borrow(), LoginState::Pending(_));
        let prove = prover(self.inner.upstream.clone());
        let mut pending = tokens.login_start(prove).await.map_err(|error| error.to_wire())?;
        // Who joins a pending login may have its tab open already, and a second one would confuse.
        let opened = match wish.open_browser {
            true if joined => Opened::Elsewhere,
            true => browser::open(&pending.authorize_url, session),
            false => Opened::NotAsked,
        };
        let place = place::of(session);
        let is_needed = !matches!(place, Place::Desktop | Place::Wsl) || pending.redirect_port.is_none();
        if wish.device.unwrap_or(is_needed) {
            let offered = tokens.login_offer_device(&pending.login_id);
            // Refused is the offer of a login that has ended: the browser was faster. Its end is told as every login's.
            if let Ok(Ok(offered)) = tokio::time::timeout(DEVICE_CODE_PATIENCE, offered).await {
                pending = offered;
            }
        }
        let mut result = shown(&pending, place, Some(name));
        result.browser_opened = opened == Opened::Yes;
        result.browser_note = opened.note();
        Ok(result)
    }

    /// The login that is under way, as a session without a screen sees it: that of `account`, or else of any.
    pub(crate) fn login_pending(&self, account: &str) -> Option<LoginStartResult> {
        let pending = self.inner.accounts.login_pending(account);
        pending.map(|(name, pending)| shown(&pending, Place::Unknown, Some(name)))
    }

    /// Waits for the next change of a login, or for its end.
    pub(crate) async fn login_changed(
        &self,
        known: &LoginStartResult,
    ) -> Result<LoginStartResult, LoginCompleted> {
        let mut logins = self.inner.accounts.of_login_id(&known.login_id).logins();
        let as_known = |state: &LoginState| {
            matches!(state, LoginState::Pending(pending)
                if pending.login_id == known.login_id && same(known, &shown(pending, known.place, None)))
        };
        let state = match logins.wait_for(|state| !as_known(state)).await {
            Ok(state) => state.clone(),
            Err(_) => LoginState::Idle,
        };
        match state {
            LoginState::Pending(pending) if pending.login_id == known.login_id => Ok(LoginStartResult {
                browser_opened: known.browser_opened,
                browser_note: known.browser_note.clone(),
                ..shown(&pending, known.place, known.account.clone())
            }),
            state => Err(completed(state, &known.login_id)),
        }
    }

    /// Waits for the end of a login.
    pub(crate) async fn login_ended(&self, id: &str) -> LoginCompleted {
        let mut logins = self.inner.accounts.of_login_id(id).logins();
        let pending =
            |state: &LoginState| matches!(state, LoginState::Pending(pending) if pending.login_id == id);
        let state = match logins.wait_for(|state| !pending(state)).await {
            Ok(state) => state.clone(),
            Err(_) => LoginState::Idle,
        };
        completed(state, id)
    }

    pub(crate) async fn login_cancel(&self, id: &str) -> Result<(), WireError> {
        self.inner.accounts.of_login_id(id).login_cancel(id).await.map_err(|error| error.to_wire())
    }

    /// Signs in with what a person copied out of the browser.
    pub(crate) async fn login_paste(&self, id: &str, text: Secret) -> Result<(), WireError> {
        self.inner.accounts.of_login_id(id).login_paste(id, text).await.map_err(|error| error.to_wire())
    }
}

/// A new grant is shown to `accounts/check` (DESIGN §6), which costs nothing.
fn prover(upstream: Upstream) -> Prover {
    Arc::new(move |grant| {
        let upstream = upstream.clone();
        Box::pin(async move {
            match upstream.check_account(&grant).await {
                Ok(_) => Proof::Proven,
                Err(error) if is_refusal(&error) => Proof::Refused(Arc::new(error)),
                Err(error) => {
                    let why = codex_oauth_proto::connect::with_causes(&error);
                    tracing::warn!(why, "the new login could not be proven");
                    Proof::Unknown(format!("the new login is saved, but could not be tried: {why}"))
                }
            }
        })
    })
}

/// Whether the backend speaks about the login. A page of Cloudflare's, a proxy or an endpoint that has moved does not.
const fn is_refusal(error: &UpstreamError) -> bool {
    matches!(
        error.kind,
        ErrorKind::Unauthorized { .. } | ErrorKind::Forbidden { .. } | ErrorKind::DeactivatedWorkspace
    )
}

fn completed(state: LoginState, id: &str) -> LoginCompleted {
    let failed = |error: &LoginError| LoginCompleted {
        login_id: id.to_owned(),
        success: false,
        account: None,
        note: None,
        error: Some(error.to_wire()),
    };
    match state {
        LoginState::Succeeded { login_id, who } if login_id == id => LoginCompleted {
            login_id,
            success: true,
            account: Some(Person { account_id: Some(who.account_id), email: who.email, plan_type: who.plan }),
            note: who.note,
            error: None,
        },
        LoginState::Failed { login_id, reason } if login_id == id => failed(&reason),
        // Another login has begun since.
        _ => failed(&LoginError::Cancelled),
    }
}

fn shown(pending: &PendingLogin, place: Place, account: Option<String>) -> LoginStartResult {
    let (device, device_note) = match &pending.device {
        Device::Absent | Device::Asking => (None, None),
        Device::Open(code) => (
            Some(DeviceCode {
                verification_url: code.verification_url.clone(),
                user_code: code.user_code.clone(),
                expires_at: unix(code.expires_at),
            }),
            None,
        ),
        Device::Closed(why) => (None, Some(why.clone())),
    };
    LoginStartResult {
        login_id: pending.login_id.clone(),
        account,
        auth_url: pending.authorize_url.clone(),
        expires_at: unix(pending.expires_at()),
        browser_opened: false,
        browser_note: None,
        redirect_port: pending.redirect_port,
        port_note: pending.port_note.clone(),
        link_expires_at: unix(pending.link_until),
        device,
        device_note,
        place,
        step: match pending.step {
            Step::Waiting => LoginStep::Waiting,
            Step::Exchanging => LoginStep::Exchanging,
            Step::Proving => LoginStep::Proving,
            Step::Saving => LoginStep::Saving,
        },
        last_failure: pending.last_failure.clone(),
    }
}

/// But for the browser, which is the asking session's own affair.
fn same(known: &LoginStartResult, now: &LoginStartResult) -> bool {
    (&known.device, &known.device_note, known.step, known.link_expires_at, known.redirect_port)
        == (&now.device, &now.device_note, now.step, now.link_expires_at, now.redirect_port)
        && known.last_failure == now.last_failure
}
