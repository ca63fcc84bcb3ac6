//! Several accounts: which serves whom, and what a person does with them.

use std::path::Path;

use codex_oauth_proto::WireError;
use codex_oauth_proto::api::account::{
    AccountListResult, AdoptMode, AdoptParams, LogoutResult, NamedAccount,
};
use codex_oauth_proto::{ErrorCode, NextStep};
use tokio::time::Instant;

use super::account::{person, told, word};
use super::{CodexService, Inner};
use crate::auth::{Account, AuthError, Listed, Mode, Wanted};

impl CodexService {
    /// Every account.
    pub(crate) async fn accounts(&self) -> Result<AccountListResult, WireError> {
        let listed = self.inner.accounts.list().await.map_err(|error| error.to_wire())?;
        Ok(AccountListResult { accounts: listed.into_iter().map(shown).collect() })
    }

    /// What is still there of the plugin that this one replaces.
    pub(super) async fn leftovers(&self) -> Vec<String> {
        #[cfg(unix)]
        let uid = rustix::process::getuid().as_raw();
        #[cfg(not(unix))]
        let uid = 0;
        // A look at every process of the machine: a millisecond or more, and not on the one thread that serves.
        let mut left =
            tokio::task::spawn_blocking(move || crate::leftovers::running(uid)).await.unwrap_or_default();
        left.extend(self.inner.accounts.api_keys().await.into_iter().map(|place| {
            format!("an API key lies under `{place}` in the credential file; it is not used: it would bill")
        }));
        left
    }

    /// Makes an account the default one.
    pub(crate) async fn use_account(&self, name: &str) -> Result<(), WireError> {
        self.inner.accounts.set_default(name).await.map_err(|error| error.to_wire())
    }

    /// Signs an account out and forgets it.
    pub(crate) async fn remove_account(&self, name: &str) -> Result<LogoutResult, WireError> {
        let report = self.inner.accounts.remove(name).await.map_err(|error| error.to_wire())?;
        Ok(report.map_or_else(
            || LogoutResult {
                was_signed_in: true,
                revoked: false,
                note: Some("the Codex CLI's own login stays as it is".to_owned()),
            },
            told,
        ))
    }

    /// Borrows, shares or takes over the login of the Codex CLI.
    pub(crate) async fn adopt_account(&self, params: &AdoptParams) -> Result<(), WireError> {
        let (accounts, name, file) = (&self.inner.accounts, &params.account, Path::new(&params.file));
        let adopted = match params.mode {
            AdoptMode::Borrow => accounts.attach(name, file, Mode::Borrow).await,
            AdoptMode::Share => accounts.attach(name, file, Mode::Share).await,
            AdoptMode::Import => accounts.import(name, file).await,
            AdoptMode::Unknown => {
                let message = "could not take up a login: this daemon does not know that mode";
                return Err(WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::Upgrade));
            }
        };
        adopted.map_err(|error| error.to_wire())
    }
}

impl Inner {
    /// The account that serves who chose `choice`.
    pub(super) async fn of(&self, choice: Wanted<'_>) -> Result<Account, WireError> {
        self.accounts.of(choice).await.map_err(|error| error.to_wire())
    }

    /// The same for a question of this time.
    pub(super) async fn of_asked(&self, choice: Wanted<'_>, asked: Instant) -> Result<Account, WireError> {
        self.accounts.of_asked(choice, asked).await.map_err(|error| error.to_wire())
    }

    /// Why there is no token for who chose `choice`. Where nobody is signed in to the default account, but to another, that is what
    /// has to be said.
    pub(super) async fn without_token(&self, error: &AuthError, choice: Wanted<'_>) -> WireError {
        let told = error.to_wire();
        if choice.is_some() || !matches!(error, AuthError::NotLoggedIn) {
            return told;
        }
        let listed = self.accounts.list().await.unwrap_or_default();
        let accounts: Vec<_> = listed.into_iter().map(shown).collect();
        match use_of_others(&accounts) {
            None => told,
            Some(step) => {
                let message = "Not authenticated: nobody is signed in to the default account".to_owned();
                WireError { message, ..told }.next(step)
            }
        }
    }
}

/// What to do where others are signed in: to use the only one, or to choose.
pub(super) fn use_of_others(accounts: &[NamedAccount]) -> Option<NextStep> {
    let mut signed_in = accounts.iter().filter(|of| of.status.is_signed_in());
    let name = signed_in.next()?.name.clone();
    Some(if signed_in.next().is_some() { NextStep::ChooseAccount } else { NextStep::UseAccount { name } })
}

fn shown(listed: Listed) -> NamedAccount {
    let mode = |mode| match mode {
        Mode::Borrow => AdoptMode::Borrow,
        Mode::Share => AdoptMode::Share,
    };
    NamedAccount {
        status: word(&listed.status.state),
        account: person(&listed.status),
        codex_mode: listed.codex.as_ref().map(|(_, how)| mode(*how)),
        codex_file: listed.codex.map(|(file, _)| file.display().to_string()),
        name: listed.name,
        is_default: listed.is_default,
    }
}
