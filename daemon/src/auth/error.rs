//! Why there is no access token, or no login: facts for the edge, without a secret in any of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::config::Workspaces;
use super::issuer::IssuerError;
use super::refresh::{End, Refusal};
use super::store::StoreError;

/// Why a call of the [`TokenManager`](super::TokenManager) failed. Cheap to clone: one refresh answers many callers.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The credential file has no login of ours, or does not exist. Next step: sign in.
    #[error("could not get an access token: not signed in")]
    NotLoggedIn,
    /// The access token has ended, or the backend refused it, and it cannot be renewed. Next step: sign in.
    #[error("could not renew the access token: {why}")]
    Expired {
        /// Why not.
        why: NotRefreshable,
    },
    /// The record was made on another machine; spending its refresh token here would sign that one out.
    /// Next step: sign in here.
    #[error("could not renew the access token: the login was copied from another machine")]
    OtherMachine,
    /// The login belongs to another issuer or backend and is not sent to the configured one. Next step: repair the
    /// configuration, or sign in with this one.
    #[error(
        "could not use the login: {}",
        elsewhere((issuer, our_issuer), (backend_origin, our_backend_origin))
    )]
    GrantElsewhere {
        /// The issuer of the login.
        issuer: String,
        /// The backend origin of the login.
        backend_origin: String,
        /// The configured issuer.
        our_issuer: String,
        /// The configured backend origin.
        our_backend_origin: String,
    },
    /// The login is of another workspace than the configured ones (WIRE §2.5). Next step: another setting, or sign in
    /// to one of those.
    #[error("could not use the login: it is of the workspace `{found}`, and {wanted}")]
    Workspace {
        /// The configured ones.
        wanted: Workspaces,
        /// The login's.
        found: String,
    },
    /// The file holds an older copy of the login, whose refresh token this daemon has spent; sending it again could end
    /// the whole login at the issuer. Next step: sign in.
    #[error("could not renew the access token: {}", NotRefreshable::Spent { at: *.at })]
    Spent {
        /// When it was spent.
        at: SystemTime,
    },
    /// The issuer refused the refresh token for good. Next step: sign in.
    #[error("could not renew the access token: {}: {}", refusal_cause(.0), .0.message)]
    Refused(Refusal),
    /// The backend refused a token that was renewed moments ago; another renewal would not help.
    #[error("could not use the renewed access token of account `{account_id}`: the backend refuses it")]
    Rejected {
        /// The account of the token.
        account_id: String,
    },
    /// The issuer could not be asked, or had no answer for now. Next step: wait until `retry_at`.
    #[error("could not renew the access token")]
    Unavailable {
        /// Not tried again before.
        retry_at: SystemTime,
        /// The last failure.
        #[source]
        source: Arc<IssuerError>,
    },
    /// A refresh was sent and no answer came: the refresh token may be spent. Tried again at `retry_at`.
    #[error("could not learn whether the access token was renewed")]
    OutcomeUnknown {
        /// Not tried again before.
        retry_at: SystemTime,
        /// How the exchange broke off.
        #[source]
        source: Arc<IssuerError>,
    },
    /// Another account signed in meanwhile. What was begun with the first one is not continued with the other.
    #[error("could not go on as account `{expected}`: account `{found}` has signed in meanwhile")]
    AccountMismatch {
        /// The account that the caller began with.
        expected: String,
        /// The account in the file now.
        found: String,
    },
    /// The credential file or our record cannot be read, or it cannot be written. It was left as it is. Next step: repair
    /// or move away the file that the error names.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The issuer gave a new pair of tokens that could not be written; it is kept in memory and written at `retry_at`.
    /// Next step: make room, or make the file writable, before the daemon ends.
    #[error("could not save the renewed login")]
    NotSaved {
        /// Not tried again before.
        retry_at: SystemTime,
        /// Why.
        #[source]
        source: Arc<StoreError>,
    },
    /// The file changed under every one of several attempts.
    #[error("could not get an access token: the credential file `{}` keeps changing", path.display())]
    Unsettled {
        /// The file.
        path: PathBuf,
    },
    /// There is no such login to cancel: never started, or ended.
    #[error("could not cancel the login `{login_id}`: it is not pending")]
    NoSuchLogin {
        /// As the caller gave it.
        login_id: String,
    },
    /// No account is called so. Next step: correct the name.
    #[error("could not use the account `{name}`: there is none of that name{}", known_names(known))]
    NoSuchAccount {
        /// As the caller gave it.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The name cannot be given to a new account. Next step: correct the name.
    #[error("could not add the account `{name}`: {why}")]
    BadAccount {
        /// As the caller gave it.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// The account serves whoever chose none. Next step: choose another one for that first.
    #[error("could not remove the account `{name}`: it is the default one")]
    DefaultAccount {
        /// The account.
        name: String,
    },
    /// The login is kept in the Codex CLI's file, where this daemon signs nobody in or out.
    #[error("could not sign in or out: the login is the Codex CLI's, in `{}`", path.display())]
    CodexOwns {
        /// Its file.
        path: PathBuf,
    },
    /// Nobody is signed in in the Codex CLI's file. Next step: sign in there, or with a login of our own.
    #[error("could not use the login of the Codex CLI: nobody is signed in in `{}`", path.display())]
    NoCodexLogin {
        /// Its file.
        path: PathBuf,
    },
    /// The daemon has given up the right to renew or change the login, to its successor if there is one.
    #[error("could not renew or change the login: the daemon is shutting down")]
    Closed,
    /// A task of this daemon failed; its log has more.
    #[error("could not finish what was asked: a task of the daemon failed")]
    Internal,
}

/// Why a login has no way to be renewed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRefreshable {
    /// The record is the original plugin's: its access token is borrowed, its refresh token is not ours to spend.
    #[error("the login was made by the original plugin, whose refresh token is not used")]
    Adopted,
    /// The login is the Codex CLI's: only its access token is used.
    #[error("the login is borrowed from the Codex CLI, which renews it the next time it is used")]
    Borrowed,
    /// See [`AuthError::OtherMachine`].
    #[error("the login was copied from another machine")]
    OtherMachine,
    /// See [`AuthError::GrantElsewhere`].
    #[error("the login is bound to `{issuer}` and `{backend_origin}`")]
    Elsewhere {
        /// The issuer of the login.
        issuer: String,
        /// The backend origin of the login.
        backend_origin: String,
    },
    /// See [`AuthError::Spent`].
    #[error("the credential file holds an older copy of the login, and its refresh token is spent")]
    Spent {
        /// When it was spent.
        at: SystemTime,
    },
    /// The issuer refused the refresh token.
    #[error("{}: {}", refusal_cause(.0), .0.message)]
    Refused(Refusal),
}

impl AuthError {
    /// Whether there will be no other token until somebody signs in. A renewed one that is refused too is no such end: the issuer
    /// has just given it.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::OtherMachine | Self::Spent { .. } | Self::Refused(_))
    }

    /// Whether this failure to renew a token leaves the old one as good as it was: nobody signed out, and no other
    /// account signed in.
    pub(super) fn leaves_old(&self) -> bool {
        !matches!(
            self,
            Self::NotLoggedIn
                | Self::AccountMismatch { .. }
                | Self::GrantElsewhere { .. }
                | Self::Workspace { .. }
        )
    }
}

impl From<End> for AuthError {
    fn from(end: End) -> Self {
        match end {
            End::Spent { at } => Self::Spent { at },
            End::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// Where a login belongs, and what is configured; each pair is told only where its two differ.
fn elsewhere(issuer: (&str, &str), backend: (&str, &str)) -> String {
    let pairs = [("issuer", issuer), ("backend", backend)];
    let told =
        pairs.into_iter().filter(|(_, (theirs, ours))| theirs != ours).map(|(what, (theirs, ours))| {
            format!("it belongs to the {what} `{theirs}`, and the configured one is `{ours}`")
        });
    told.collect::<Vec<_>>().join("; ")
}

fn known_names(known: &[String]) -> String {
    match known {
        [] => String::new(),
        [one] => format!(" (there is only `{one}`)"),
        several => format!(" (there are `{}`)", several.join("`, `")),
    }
}

fn refusal_cause(refusal: &Refusal) -> String {
    let code = refusal.code.as_deref().unwrap_or("no code");
    if refusal.interrupted {
        format!("an earlier refresh was interrupted, and the issuer now refuses the token ({code})")
    } else {
        format!("the issuer refused the refresh token ({code})")
    }
}
