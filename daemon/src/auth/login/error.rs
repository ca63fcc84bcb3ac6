//! Why a login came to nothing. No code, token or pasted text is in any of these.

use std::error::Error;
use std::sync::Arc;

use super::DeviceError;
use crate::auth::callback::Denial;
use crate::auth::config::Workspaces;
use crate::auth::issuer::IssuerError;
use crate::auth::store::StoreError;

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
    /// The device code led to nothing, and the link had ended before.
    #[error("could not sign in")]
    Device(#[source] Arc<DeviceError>),
    /// The tokens name no account to work with.
    #[error("could not sign in: the issuer's tokens name no ChatGPT account")]
    NoAccount,
    /// Another workspace than the configured one (WIRE §2.5).
    #[error("could not sign in: the workspace is `{found}`, and {wanted}")]
    Workspace {
        /// The configured ones.
        wanted: Workspaces,
        /// The account of the tokens.
        found: String,
    },
    /// The backend refuses the new tokens.
    #[error("could not prove the new login")]
    Unproven(#[source] Arc<dyn Error + Send + Sync>),
    /// The new login could not be written.
    #[error("could not save the login")]
    Store(#[source] Arc<StoreError>),
    /// A task of this daemon failed; its log has more.
    #[error("could not sign in: the login task failed")]
    Internal,
}

/// Why a pasted text did not sign in.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasteError {
    /// There is no such login, or it has ended.
    #[error("could not use what was pasted: no such login is pending")]
    NotPending,
    /// The link's time is over; a device code may still be open.
    #[error("could not use what was pasted: the time of the link is over")]
    LinkOver,
    /// Neither an address with a code nor a code.
    #[error(
        "could not use what was pasted: it is neither the whole address of the page that the browser ended at nor the \
         code in it"
    )]
    Unreadable,
    /// An address of another login: its state is not ours.
    #[error("could not use what was pasted: it belongs to another login than the one that waits")]
    OtherLogin,
    /// Several texts at once.
    #[error("could not use what was pasted: the login is busy with another text")]
    Busy,
    /// It was a code, and the login failed with it.
    #[error(transparent)]
    Login(LoginError),
}

impl LoginError {
    /// Whether only the way that met this has ended, and another one may still lead to a login.
    pub(super) const fn ends_one_way(&self) -> bool {
        matches!(self, Self::Exchange(_) | Self::Device(_))
    }
}

impl PasteError {
    /// Whether the login goes on as it did before this text.
    pub(super) const fn leaves_login_pending(&self) -> bool {
        match self {
            Self::Login(error) => error.ends_one_way(),
            _ => true,
        }
    }
}
