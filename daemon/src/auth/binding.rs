//! Whether a login may be used and renewed by this daemon: the one place that decides where a grant may go.

use std::borrow::Cow;

use super::config::{AuthConfig, Workspaces};
use super::credentials::{Binding, Credentials, machine_hash};
use super::error::{AuthError, NotRefreshable};
use super::{PUBLIC_BACKEND_ORIGIN, PUBLIC_CLIENT_ID, PUBLIC_ISSUER};
use crate::secret::Fingerprint;

impl Binding {
    /// What a login made here and now is bound to.
    pub(super) fn ours(config: &AuthConfig) -> Self {
        Self {
            issuer: config.issuer.clone(),
            backend_origin: config.backend_origin.clone(),
            client_id: config.client_id.clone(),
            machine: config.machine_id.as_deref().map(machine_hash),
        }
    }

    /// What a record of the original plugin is bound to: it knows the public pair only.
    pub(super) fn public() -> Self {
        Self {
            issuer: PUBLIC_ISSUER.to_owned(),
            backend_origin: PUBLIC_BACKEND_ORIGIN.to_owned(),
            client_id: PUBLIC_CLIENT_ID.to_owned(),
            machine: None,
        }
    }

    /// Whether `login` may be sent to our issuer and backend at all, the access token included.
    pub(super) fn check_place(&self, login: &Credentials) -> Result<(), AuthError> {
        let bound = login.own.as_ref().map(|own| &own.bound).or(login.place.as_ref());
        let theirs = bound.map_or_else(|| Cow::Owned(Self::public()), Cow::Borrowed);
        if self.same_place(&theirs) {
            return Ok(());
        }
        Err(AuthError::GrantElsewhere {
            issuer: theirs.issuer.clone(),
            backend_origin: theirs.backend_origin.clone(),
            our_issuer: self.issuer.clone(),
            our_backend_origin: self.backend_origin.clone(),
        })
    }

    /// The name of the refresh token of `login`, if it may be spent (or revoked) here.
    pub(super) fn check_spendable(&self, login: &Credentials) -> Result<Fingerprint, NotRefreshable> {
        let borrowed = if login.place.is_some() { NotRefreshable::Borrowed } else { NotRefreshable::Adopted };
        let own = login.own.as_ref().ok_or(borrowed)?;
        if !self.same_place(&own.bound) {
            return Err(NotRefreshable::Elsewhere {
                issuer: own.bound.issuer.clone(),
                backend_origin: own.bound.backend_origin.clone(),
            });
        }
        // A record without a machine was made where there is no id, in most containers: it has no place to compare.
        if own.bound.machine.is_some() && own.bound.machine != self.machine {
            return Err(NotRefreshable::OtherMachine);
        }
        Ok(own.refresh_token.fingerprint())
    }

    fn same_place(&self, other: &Self) -> bool {
        (&self.issuer, &self.backend_origin) == (&other.issuer, &other.backend_origin)
    }
}

/// Whether `login` is of one of the `wanted` workspaces; none named, any is. What its tokens say counts as well as what was
/// recorded when a person signed in: a renewal may have brought tokens of another one.
pub(super) fn check_workspace(wanted: &Workspaces, login: &Credentials) -> Result<(), AuthError> {
    // Reading the tokens costs as much as a quarter of a call, and most people name no workspace.
    if wanted.allowed.is_empty() {
        return Ok(());
    }
    let claimed = login.claims().account_id;
    let mut named = [Some(&login.account_id), claimed.as_ref()].into_iter().flatten();
    match named.find(|id| !wanted.allowed.contains(id)) {
        Some(found) => Err(AuthError::Workspace { wanted: wanted.clone(), found: found.clone() }),
        None => Ok(()),
    }
}

impl From<NotRefreshable> for AuthError {
    fn from(why: NotRefreshable) -> Self {
        match why {
            NotRefreshable::OtherMachine => Self::OtherMachine,
            NotRefreshable::Refused(refusal) => Self::Refused(refusal),
            NotRefreshable::Spent { at } => Self::Spent { at },
            why @ (NotRefreshable::Adopted | NotRefreshable::Borrowed | NotRefreshable::Elsewhere { .. }) => {
                Self::Expired { why }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::credentials;

    fn binding(issuer: &str, backend_origin: &str, machine: Option<&str>) -> Binding {
        Binding {
            issuer: issuer.to_owned(),
            backend_origin: backend_origin.to_owned(),
            client_id: "client".to_owned(),
            machine: machine.map(str::to_owned),
        }
    }

    #[test]
    fn a_grant_goes_only_where_it_came_from() {
        let login = credentials("at", "rt");
        for (issuer, backend, fits) in [
            (PUBLIC_ISSUER, PUBLIC_BACKEND_ORIGIN, true),
            ("https://evil.example", PUBLIC_BACKEND_ORIGIN, false),
            (PUBLIC_ISSUER, "https://evil.example", false),
            ("http://127.0.0.1:1", "http://127.0.0.1:1", false),
        ] {
            let ours = binding(issuer, backend, None);
            assert_eq!(ours.check_place(&login).is_ok(), fits, "{issuer} {backend}");
            assert_eq!(ours.check_spendable(&login).is_ok(), fits, "{issuer} {backend}");
            let adopted = Credentials { own: None, ..login.clone() };
            assert_eq!(ours.check_place(&adopted).is_ok(), fits, "{issuer} {backend} adopted");
        }
    }

    #[test]
    fn the_error_names_both_places() {
        let ours = binding("https://a.example", "https://b.example", None);
        let text = ours.check_place(&credentials("at", "rt")).unwrap_err().to_string();
        for place in ["https://a.example", "https://b.example", PUBLIC_ISSUER, PUBLIC_BACKEND_ORIGIN] {
            assert!(text.contains(place), "{text}");
        }
    }

    #[test]
    fn a_login_of_another_machine_is_not_spendable() {
        for (theirs, here, fits) in [
            (None, None, true),
            (None, Some("a"), true),
            (Some("a"), Some("a"), true),
            (Some("a"), Some("b"), false),
            (Some("a"), None, false),
        ] {
            let mut login = credentials("at", "rt");
            login.own.as_mut().unwrap().bound.machine = theirs.map(str::to_owned);
            let spendable =
                binding(PUBLIC_ISSUER, PUBLIC_BACKEND_ORIGIN, here).check_spendable(&login).is_ok();
            assert_eq!(spendable, fits, "{theirs:?} {here:?}");
        }
    }
}
