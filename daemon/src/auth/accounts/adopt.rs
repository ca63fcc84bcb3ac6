//! Logins that other programs made: borrowed, shared or taken over, each by a person's explicit command.

use std::path::Path;

use super::{Accounts, FIRST, Inner, check_name, same_file};
use crate::auth::binding::check_workspace;
use crate::auth::codex_file;
use crate::auth::credentials::{Binding, Credentials, OwnGrant};
use crate::auth::error::AuthError;
use crate::auth::manager::TokenManager;
use crate::auth::record;
use crate::auth::shelf::{self, Entry, Mode, Shelf};
use crate::auth::store::Changes;

impl Accounts {
    /// Enters the Codex CLI's `file` as the account `name`, to be borrowed or shared; also to change the one into the other.
    pub async fn attach(&self, name: &str, file: &Path, mode: Mode) -> Result<(), AuthError> {
        let index = self.0.index().await?;
        match index.entry(name) {
            Some(Entry::Codex(..)) => {}
            Some(Entry::Own) => return Err(taken(name)),
            None if name == FIRST => return Err(taken(name)),
            None => check_name(name, &index)?,
        }
        let login = self.0.codex_login(name, file, mode).await?;
        self.0.ours.check_place(&login)?;
        check_workspace(&self.0.config.workspaces, &login)?;
        if mode == Mode::Share {
            // Before anything is spent: what cannot be written must not be renewed.
            self.0.ours.check_spendable(&login)?;
            self.0.codex_tokens(name, file, mode).store().check_writable()?;
        }
        let enter = |document: &mut _| {
            shelf::set_codex(document, name, file, mode);
            true
        };
        self.0.first.store().edit(enter).await?;
        self.0.forget_look();
        let index = self.0.index().await?;
        self.0.manager(&index, name)?;
        Ok(())
    }

    /// Takes the login of the Codex CLI's `file` over as a login of ours, refresh token and all; of our own file, that of the
    /// original plugin in it. From here on the other program must not use it any more: whoever is second to spend the token
    /// ends the login for both.
    pub async fn import(&self, name: &str, file: &Path) -> Result<(), AuthError> {
        if same_file(file, &self.0.config.file) {
            return self.import_from_plugin(name).await;
        }
        let index = self.0.index().await?;
        let is_taken = if name == FIRST { index.has_first } else { index.entry(name).is_some() };
        if is_taken {
            return Err(taken(name));
        }
        if name != FIRST {
            check_name(name, &index)?;
        }
        let login = self.0.codex_login(name, file, Mode::Share).await?;
        self.0.ours.check_place(&login)?;
        check_workspace(&self.0.config.workspaces, &login)?;
        self.0.ours.check_spendable(&login)?;
        self.take_over(name, login).await
    }

    /// The record of the original plugin is the first login; taken over, its refresh token is where that plugin does not look.
    async fn import_from_plugin(&self, name: &str) -> Result<(), AuthError> {
        if name != FIRST {
            let why = "the original plugin's login is the one called `default`";
            return Err(AuthError::BadAccount { name: name.chars().take(64).collect(), why });
        }
        let store = self.0.first.store();
        let login = store.reload().await?.ok_or(AuthError::NotLoggedIn)?;
        let document = store.document().await?;
        let token = Shelf::First.get(&document).and_then(record::plugin_refresh_token);
        let refresh_token = match (&login.own, token) {
            (Some(_), _) => return Err(taken(name)),
            (None, Some(token)) => token,
            (None, None) => {
                let why = "there is no refresh token of the original plugin";
                return Err(AuthError::BadAccount { name: name.to_owned(), why });
            }
        };
        self.0.ours.check_place(&login)?;
        check_workspace(&self.0.config.workspaces, &login)?;
        let bound = Binding::public();
        let own = OwnGrant { refresh_token, bound, obtained_at: None, last_refresh: None, renewals: 0 };
        self.take_over(name, Credentials { own: Some(own), ..Credentials::clone(&login) }).await
    }

    /// Writes another program's login as one of ours, made here and now.
    async fn take_over(&self, name: &str, login: Credentials) -> Result<(), AuthError> {
        let now = self.0.seams.clock.now();
        let machine = self.0.ours.machine.clone();
        let own = login.own.map(|own| OwnGrant {
            bound: Binding { machine, ..own.bound },
            obtained_at: Some(now),
            ..own
        });
        let login = Credentials { own, place: None, ..login };
        let account = self.of_login(Some(name)).await?;
        account.tokens.store().replace(&login).await?;
        Ok(())
    }
}

impl Inner {
    /// The login in the Codex CLI's file, which must be another file than ours.
    async fn codex_login(&self, name: &str, file: &Path, mode: Mode) -> Result<Credentials, AuthError> {
        let refuse = |why| AuthError::BadAccount { name: name.to_owned(), why };
        if !file.is_absolute() {
            return Err(refuse("the Codex CLI's file must be named by an absolute path"));
        }
        if same_file(file, &self.config.file) {
            return Err(refuse("this is our own credential file, not the Codex CLI's"));
        }
        let document = self.codex_tokens(name, file, mode).store().document().await?;
        let login = codex_file::parse(&document, mode, &self.ours)
            .map_err(|source| crate::auth::store::StoreError::BadRecord { path: file.to_owned(), source })?;
        login.ok_or_else(|| AuthError::NoCodexLogin { path: file.to_owned() })
    }

    /// A manager for one look at the file.
    fn codex_tokens(&self, name: &str, file: &Path, mode: Mode) -> TokenManager {
        let place: (_, Shelf, Changes) = (file.to_owned(), self.codex_shelf(name, mode), Changes::default());
        let (config, limits) = (self.config.clone(), self.limits.clone());
        TokenManager::at(place, config, limits, self.tracker.clone(), self.seams.clone())
    }
}

fn taken(name: &str) -> AuthError {
    AuthError::BadAccount { name: name.to_owned(), why: "there is a login of that name already" }
}
