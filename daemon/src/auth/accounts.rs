//! The accounts of one credential file: which there are, which one serves whom, and what becomes of them.
//!
//! * An account is chosen by a person: per call, per project folder, or as the default one. Nothing here changes the choice:
//!   not a limit, not an error, not an account that is gone.
//! * Each has a [`TokenManager`] of its own, and with it its own refreshes, record of a refresh, and history.
//! * The Codex CLI's file is an account only when a person says so, and written only when shared.

mod adopt;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::config::{AuthConfig, ConfigError};
use super::credentials::Binding;
use super::error::AuthError;
use super::freshness::KeepFresh;
use super::login::{LoginState, PendingLogin};
use super::manager::{LogoutReport, TokenManager};
use super::seams::Seams;
use super::shelf::{self, Entry, Index, Mode, Shelf};
use super::status::AuthStatus;
use super::store::Changes;
use crate::fsx::{self, Stamp};
use crate::grant::Grant;
use crate::limits::Limits;

/// What the first login is called.
pub(super) const FIRST: &str = "default";
/// Accounts at once: a person has two or three; each may hold a timer and a few KiB.
const MOST_ACCOUNTS: usize = 32;

/// Which account a caller chose, if any.
pub type Wanted<'a> = Option<&'a str>;

/// Holds the accounts; clones share everything.
#[derive(Clone, Debug)]
pub struct Accounts(Arc<Inner>);

/// One account, for one piece of work.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its login.
    pub tokens: TokenManager,
    /// Whether there are others beside it, so that its name says something.
    pub is_one_of_several: bool,
    /// The file that it is in, as it was when the account was chosen.
    seen: Option<Stamp>,
}

impl Account {
    /// [`TokenManager::grant`], without looking at the file a second time if it was as known when the account was chosen.
    pub async fn grant(&self) -> Result<Grant, AuthError> {
        self.tokens.grant_as_seen(self.seen.clone()).await
    }
}

/// One account, to be shown.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Whether it serves whoever chose none.
    pub is_default: bool,
    /// The Codex CLI's file and what may be done with it; `None` for a login of ours.
    pub codex: Option<(PathBuf, Mode)>,
    /// How it stands.
    pub status: AuthStatus,
}

#[derive(Debug)]
struct Inner {
    config: AuthConfig,
    ours: Binding,
    limits: Limits,
    tracker: TaskTracker,
    seams: Seams,
    changes: Changes,
    first: TokenManager,
    named: Mutex<Named>,
    last: Mutex<Option<Look>>,
}

/// A look at the file.
#[derive(Clone, Debug)]
struct Look {
    /// When it was begun.
    at: Instant,
    /// As the file was then; `None` when there was none.
    stamp: Option<Stamp>,
    index: Arc<Index>,
}

#[derive(Debug, Default)]
struct Named {
    managers: BTreeMap<String, Manager>,
    closed: bool,
}

#[derive(Debug)]
struct Manager {
    entry: Entry,
    tokens: TokenManager,
    /// A shared login is renewed for the other program too, whether anybody is connected here or not.
    _kept: Option<KeepFresh>,
}

impl Accounts {
    /// Touches neither file nor network. Refreshes and logins run on `tracker`; see [`Accounts::release`].
    pub fn new(config: AuthConfig, limits: Limits, tracker: TaskTracker) -> Result<Self, ConfigError> {
        Self::with(config, limits, tracker, Seams::default())
    }

    pub(super) fn with(
        config: AuthConfig,
        limits: Limits,
        tracker: TaskTracker,
        seams: Seams,
    ) -> Result<Self, ConfigError> {
        let config = config.normalized()?;
        let changes = Changes::default();
        let place = (config.file.clone(), Shelf::First, Arc::clone(&changes));
        let first = TokenManager::at(place, config.clone(), limits.clone(), tracker.clone(), seams.clone());
        let ours = Binding::ours(&config);
        let (named, last) = (Mutex::default(), Mutex::default());
        let inner = Inner { config, ours, limits, tracker, seams, changes, first, named, last };
        Ok(Self(Arc::new(inner)))
    }

    /// Finishes what an earlier process left of a refresh, in every account.
    pub async fn begin(&self) {
        self.0.first.begin().await;
        match self.0.index().await {
            Ok(index) => {
                for (name, _) in &index.named {
                    if let Ok(tokens) = self.0.manager(&index, name) {
                        tokens.begin().await;
                    }
                }
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "could not look for further accounts");
            }
        }
    }

    /// The account that serves a caller who chose `choice`. An account that is not there is an error, never another one.
    pub async fn of(&self, choice: Wanted<'_>) -> Result<Account, AuthError> {
        self.of_asked(choice, Instant::now()).await
    }

    /// The same for a caller who asked at `asked`: a look at the file after that, for another caller, serves this one too.
    pub async fn of_asked(&self, choice: Wanted<'_>, asked: Instant) -> Result<Account, AuthError> {
        let (index, seen) = match (self.0.look(asked).await, choice) {
            (Ok(Look { index, stamp, .. }), _) => (index, stamp),
            // The first account itself says what is wrong with the file.
            (Err(_), None | Some(FIRST)) => Default::default(),
            (Err(error), Some(_)) => return Err(error),
        };
        let name = choice.or(index.default.as_deref()).unwrap_or(FIRST);
        let is_elsewhere = matches!(index.entry(name), Some(Entry::Codex(..)));
        Ok(Account {
            name: name.to_owned(),
            tokens: self.0.manager(&index, name)?,
            is_one_of_several: names(&index).len() > 1,
            seen: seen.filter(|_| !is_elsewhere),
        })
    }

    /// The account to sign in to, which need not exist yet.
    pub async fn of_login(&self, choice: Wanted<'_>) -> Result<Account, AuthError> {
        match choice {
            Some(name) if name != FIRST => {
                let mut index = match self.0.index().await {
                    Ok(index) => Index::clone(&index),
                    // Signing in anew moves a file aside that cannot be read.
                    Err(_) => Index::default(),
                };
                if index.entry(name).is_none() {
                    check_name(name, &index)?;
                    index.named.push((name.to_owned(), Entry::Own));
                }
                let tokens = self.0.manager(&index, name)?;
                Ok(Account { name: name.to_owned(), tokens, is_one_of_several: true, seen: None })
            }
            choice => self.of(choice).await,
        }
    }

    /// All accounts, the first login before the named ones.
    pub async fn list(&self) -> Result<Vec<Listed>, AuthError> {
        let index = self.0.index().await?;
        let default = index.default.as_deref().unwrap_or(FIRST);
        let mut listed = Vec::new();
        for name in names(&index) {
            let status = self.0.manager(&index, name)?.status().await;
            let codex = match index.entry(name) {
                Some(Entry::Codex(file, mode)) => Some((file.clone(), *mode)),
                Some(Entry::Own) | None => None,
            };
            listed.push(Listed { name: name.to_owned(), is_default: name == default, codex, status });
        }
        Ok(listed)
    }

    /// Makes `name` the default account, for every session at once. Nobody is signed out.
    pub async fn set_default(&self, name: &str) -> Result<(), AuthError> {
        let index = self.0.index().await?;
        self.0.manager(&index, name)?;
        let chosen = (name != FIRST).then_some(name);
        self.0.first.store().edit(|document| shelf::set_default(document, chosen)).await?;
        self.0.forget_look();
        Ok(())
    }

    /// Signs an account of ours out and forgets it; the Codex CLI's is only forgotten, its file stays as it is.
    pub async fn remove(&self, name: &str) -> Result<Option<LogoutReport>, AuthError> {
        let index = self.0.index().await?;
        let tokens = self.0.manager(&index, name)?;
        let default = index.default.as_deref().unwrap_or(FIRST);
        if name == default && names(&index).len() > 1 {
            return Err(AuthError::DefaultAccount { name: name.to_owned() });
        }
        let report = match index.entry(name) {
            Some(Entry::Codex(..)) => {
                let forget = |document: &mut _| shelf::remove_entry(document, name);
                self.0.first.store().edit(forget).await?;
                None
            }
            Some(Entry::Own) | None => Some(tokens.logout().await?),
        };
        if name == default && name != FIRST {
            self.0.first.store().edit(|document| shelf::set_default(document, None)).await?;
        }
        self.0.forget_look();
        if let Some(gone) = self.0.named.lock().managers.remove(name) {
            gone.tokens.retire();
        }
        Ok(report)
    }

    /// Where in the credential file the original plugin left an API key. It is named, never read further and never used.
    pub async fn api_keys(&self) -> Vec<String> {
        let document = self.0.first.store().document().await.unwrap_or_default();
        shelf::api_keys(&document)
    }

    /// The login that waits for its person, if one does: in `account`, or else in whichever.
    pub fn login_pending(&self, account: &str) -> Option<(String, PendingLogin)> {
        let mut all = self.0.all();
        all.sort_by_key(|(name, _)| name != account);
        all.into_iter().find_map(|(name, tokens)| match &*tokens.logins().borrow() {
            LoginState::Pending(pending) => Some((name, pending.clone())),
            _ => None,
        })
    }

    /// The account that this login was begun in; the first one when none knows it.
    pub fn of_login_id(&self, login_id: &str) -> TokenManager {
        let known = |tokens: &TokenManager| tokens.logins().borrow().login_id() == Some(login_id);
        let found = self.0.all().into_iter().map(|(_, tokens)| tokens).find(known);
        found.unwrap_or_else(|| self.0.first.clone())
    }

    /// While this is held, every account that there is now is renewed in time.
    pub fn keep_fresh(&self) -> Vec<KeepFresh> {
        self.0.all().iter().map(|(_, tokens)| tokens.keep_fresh()).collect()
    }

    /// Whether an account is the Codex CLI's and renewed for it.
    pub fn is_sharing(&self) -> bool {
        let named = self.0.named.lock();
        named.managers.values().any(|manager| matches!(manager.entry, Entry::Codex(_, Mode::Share)))
    }

    /// Whether no refresh, login or logout is under way.
    pub fn is_quiet(&self) -> bool {
        self.0.tracker.is_empty()
    }

    /// See [`TokenManager::refresh_ended`]; of all accounts.
    pub async fn refresh_ended(&self) {
        for (_, tokens) in self.0.all() {
            tokens.refresh_ended().await;
        }
    }

    /// See [`TokenManager::release`]; of all accounts.
    pub async fn release(&self) {
        self.0.named.lock().closed = true;
        for (_, tokens) in self.0.all() {
            tokens.retire();
        }
        self.0.first.release().await;
    }
}

impl Inner {
    /// The names in the file as it is now.
    async fn index(&self) -> Result<Arc<Index>, AuthError> {
        self.look(Instant::now()).await.map(|look| look.index)
    }

    /// A look that was begun after `asked`: one system call while nobody changed the file, and none when there was one.
    async fn look(&self, asked: Instant) -> Result<Look, AuthError> {
        let last = self.last.lock().clone();
        if let Some(last) = last.as_ref().filter(|last| last.at > asked) {
            return Ok(last.clone());
        }
        let (at, stamp) = (Instant::now(), fsx::stamp(&self.config.file).ok().flatten());
        let index = match last {
            Some(last) if stamp.is_some() && last.stamp == stamp => last.index,
            _ => Arc::new(Index::of(&self.first.store().document().await?)),
        };
        let look = Look { at, stamp, index };
        *self.last.lock() = Some(look.clone());
        Ok(look)
    }

    /// After a change of our own: a question from before it must not bring back what was removed.
    fn forget_look(&self) {
        *self.last.lock() = None;
    }

    /// The manager of the account `name`; made at its first use, and again when the account has become another.
    #[allow(
        clippy::significant_drop_tightening,
        reason = "two callers must not make two managers of one account"
    )]
    fn manager(&self, index: &Index, name: &str) -> Result<TokenManager, AuthError> {
        if name == FIRST {
            return Ok(self.first.clone());
        }
        let Some(entry) = index.entry(name) else {
            let known = names(index).into_iter().map(str::to_owned).collect();
            return Err(AuthError::NoSuchAccount { name: name.chars().take(64).collect(), known });
        };
        let mut named = self.named.lock();
        if let Some(manager) = named.managers.get(name)
            && manager.entry == *entry
        {
            return Ok(manager.tokens.clone());
        }
        if named.managers.len() >= MOST_ACCOUNTS {
            named.managers.retain(|name, manager| {
                index.entry(name).is_some()
                    || matches!(&*manager.tokens.logins().borrow(), LoginState::Pending(_))
            });
        }
        let tokens = self.build(name, entry);
        if named.closed {
            tokens.retire();
        }
        let kept = matches!(entry, Entry::Codex(_, Mode::Share)).then(|| tokens.keep_fresh());
        let made = Manager { entry: entry.clone(), tokens: tokens.clone(), _kept: kept };
        if let Some(before) = named.managers.insert(name.to_owned(), made) {
            before.tokens.retire();
        }
        Ok(tokens)
    }

    fn build(&self, name: &str, entry: &Entry) -> TokenManager {
        let place = match entry {
            Entry::Own => {
                (self.config.file.clone(), Shelf::Named(name.to_owned()), Arc::clone(&self.changes))
            }
            Entry::Codex(file, mode) => (file.clone(), self.codex_shelf(name, *mode), Changes::default()),
        };
        let (config, limits) = (self.config.clone(), self.limits.clone());
        TokenManager::at(place, config, limits, self.tracker.clone(), self.seams.clone())
    }

    fn codex_shelf(&self, name: &str, mode: Mode) -> Shelf {
        Shelf::Codex { name: name.to_owned(), mode, ours: self.ours.clone() }
    }

    fn all(&self) -> Vec<(String, TokenManager)> {
        let mut all = vec![(FIRST.to_owned(), self.first.clone())];
        let named = self.named.lock();
        all.extend(named.managers.iter().map(|(name, manager)| (name.clone(), manager.tokens.clone())));
        drop(named);
        all
    }
}

/// The first login is listed where there is one, or nothing else.
fn names(index: &Index) -> Vec<&str> {
    let first = (index.has_first || index.named.is_empty()).then_some(FIRST);
    first.into_iter().chain(index.named.iter().map(|(name, _)| &**name)).collect()
}

/// Whether a new account may have this name.
fn check_name(name: &str, index: &Index) -> Result<(), AuthError> {
    let refuse = |why| Err(AuthError::BadAccount { name: name.chars().take(64).collect(), why });
    if !shelf::is_name(name) {
        return refuse("a name has 1 to 32 lower-case letters, digits, `-` and `_`");
    }
    if index.named.len() >= MOST_ACCOUNTS {
        return refuse("there are 32 accounts already");
    }
    Ok(())
}

/// Whether two paths name one file, as far as they exist.
fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

#[cfg(test)]
mod tests;
