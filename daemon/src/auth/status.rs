//! What a person wants to know of the login, without asking anybody.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::credentials::{Credentials, Need};
use super::error::{AuthError, NotRefreshable};
use super::store::StoreError;

/// The login as it is now. Everything about the account is empty unless a login could be read.
#[derive(Clone, Debug)]
pub struct AuthStatus {
    /// The one word.
    pub state: AuthState,
    /// The credential file.
    pub file: PathBuf,
    /// Who signed in, if the tokens say so.
    pub email: Option<String>,
    /// `plus`, `pro`, ... as the issuer spells it (WIRE §5.6).
    pub plan: Option<String>,
    /// The ChatGPT account.
    pub account_id: Option<String>,
    /// The end of the access token, if it is known.
    pub expires_at: Option<SystemTime>,
    /// Whether the login has a refresh token of ours.
    pub has_refresh_token: bool,
    /// Why the access token will not be renewed; `None` if it will, or if there is no login.
    pub not_refreshable: Option<NotRefreshable>,
    /// When the issuer refused the refresh token for good, or the backend an access token that has no successor.
    pub refused_at: Option<SystemTime>,
}

/// Whether there is a usable login.
#[derive(Clone, Debug)]
pub enum AuthState {
    /// No file, or no record of ours in it.
    NotAuthenticated,
    /// The access token is good.
    Authenticated,
    /// The access token ends soon or has ended, and is renewed at the next use.
    NeedsRefresh,
    /// The access token has ended or was refused, and cannot be renewed.
    Expired,
    /// The login is bound to another issuer or backend, [`AuthError::GrantElsewhere`], or is of another workspace than the
    /// configured ones, [`AuthError::Workspace`].
    Elsewhere(AuthError),
    /// The file or our record in it cannot be read.
    Unreadable(Arc<StoreError>),
}

impl AuthStatus {
    /// No login.
    pub(super) fn none(file: PathBuf, state: AuthState) -> Self {
        Self {
            state,
            file,
            email: None,
            plan: None,
            account_id: None,
            expires_at: None,
            has_refresh_token: false,
            not_refreshable: None,
            refused_at: None,
        }
    }

    /// The status of `login`; `place` is what its binding says of it, `(not_refreshable, refused_at)` what issuer and backend do.
    pub(super) fn of(
        file: PathBuf,
        login: &Credentials,
        place: Result<(), AuthError>,
        (not_refreshable, refused_at): (Option<NotRefreshable>, Option<SystemTime>),
        (now, margin): (SystemTime, Duration),
    ) -> Self {
        let claims = login.claims();
        let state = match (place, login.need(now, margin)) {
            (Err(elsewhere), _) => AuthState::Elsewhere(elsewhere),
            // A token that still has days to live is of no use when the login behind it has ended.
            (Ok(()), _) if refused_at.is_some() => AuthState::Expired,
            (Ok(()), Need::Needed(_)) if not_refreshable.is_some() => AuthState::Expired,
            (Ok(()), Need::Early(_) | Need::Needed(_)) if not_refreshable.is_none() => {
                AuthState::NeedsRefresh
            }
            (Ok(()), _) => AuthState::Authenticated,
        };
        Self {
            state,
            file,
            email: claims.email,
            plan: claims.plan,
            account_id: Some(login.account_id.clone()),
            expires_at: login.expires_at,
            has_refresh_token: login.own.is_some(),
            not_refreshable,
            refused_at,
        }
    }
}
