//! Life of a token: where the login is kept, how it is renewed, how a person signs in and out.
//!
//! * A login is never lost and never spent twice: one refresh on the wire however many callers wait, and a new pair is
//!   on disk before anybody gets it.
//! * The refresh token leaves this module for the issuer it came from and for the credential file, nothing else.
//! * A login that another program writes into the file is noticed at the next call.
//!
//! [`TokenManager`] is the door; everything behind it is private. `auth` knows no dialect and no `upstream`: callers map
//! [`AuthError`] to what they speak.

mod accounts;
mod answer;
mod binding;
mod callback;
mod claims;
mod codex_file;
mod config;
mod credentials;
mod error;
mod form;
mod freshness;
mod issuer;
mod journal;
mod login;
mod manager;
mod pkce;
mod record;
mod refresh;
mod refresher;
mod refused;
mod seams;
mod shelf;
mod slot;
mod status;
mod store;
#[cfg(test)]
mod testing;

pub use accounts::{Account, Accounts, Listed, Wanted};
pub use callback::Denial;
pub use config::{AuthConfig, ConfigError, Workspaces};
pub use error::{AuthError, NotRefreshable};
pub use freshness::KeepFresh;
pub use issuer::IssuerError;
pub use journal::{Entry, Event, Evidence};
pub use login::{
    Device, DeviceCode, DeviceError, LoginError, LoginState, PasteError, PendingLogin, Proof, Prover, Step,
    Who,
};
pub use manager::{LogoutReport, Revocation, TokenManager};
pub use record::RecordError;
pub use refresh::Refusal;
pub use shelf::Mode;
pub use status::{AuthState, AuthStatus};
pub use store::{DocumentError, StoreError};

/// The issuer of a grant that names none (WIRE §1).
pub const PUBLIC_ISSUER: &str = "https://auth.openai.com";
/// The backend of a grant that names none (WIRE §1).
pub const PUBLIC_BACKEND_ORIGIN: &str = "https://chatgpt.com";
/// The public OAuth client of Codex; it has no secret (WIRE §1).
pub const PUBLIC_CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";
