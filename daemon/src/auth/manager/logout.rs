//! Signing out: the issuer is told, then our record is removed.

use super::Shared;
use crate::auth::credentials::Credentials;
use crate::auth::error::{AuthError, NotRefreshable};
use crate::auth::issuer::IssuerError;

/// What a logout did.
#[derive(Debug)]
pub struct LogoutReport {
    /// There was a record to remove.
    pub was_signed_in: bool,
    /// What the issuer said; the record is removed whatever it is.
    pub revocation: Revocation,
}

/// The fate of the refresh token at the issuer.
#[derive(Debug)]
pub enum Revocation {
    /// The issuer has forgotten it.
    Done,
    /// Nothing was sent: there was no login, or its refresh token is not ours to send.
    NotSent(Option<NotRefreshable>),
    /// The issuer was not reached or refused; the token may live on there until it is replaced or ends.
    Failed(IssuerError),
}

impl Shared {
    pub(super) async fn logout(&self) -> Result<LogoutReport, AuthError> {
        self.logins.cancel_any().await;
        self.refresher.begin().await?;
        // Before anything is revoked: a token must not be killed that then cannot be removed.
        self.store.check().await?;
        // A record that cannot be read has no token to revoke, but it can be removed.
        let on_disk = self.store.reload().await.ok().flatten();
        // If the last renewal is not on disk, what is there is spent.
        let login = on_disk.map(|on_disk| self.refresher.unsaved().unwrap_or(on_disk));
        let revocation = match login.as_deref() {
            Some(login) => self.revoke(login).await,
            None => Revocation::NotSent(None),
        };
        self.refresher.wipe().await?;
        let was_signed_in = self.store.clear().await?;
        Ok(LogoutReport { was_signed_in, revocation })
    }

    async fn revoke(&self, login: &Credentials) -> Revocation {
        let own = match (self.ours.check_spendable(login), &login.own) {
            (Ok(_), Some(own)) => own,
            (Err(why), _) => return Revocation::NotSent(Some(why)),
            (Ok(_), None) => return Revocation::NotSent(None),
        };
        match self.issuer.revoke(&own.bound.client_id, &own.refresh_token).await {
            Ok(()) => Revocation::Done,
            Err(error) => Revocation::Failed(error),
        }
    }
}
