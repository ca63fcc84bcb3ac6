//! What became of every refresh token: a small file of JSON lines that names tokens by fingerprint, never by text.
//!
//! * A token that was renewed or refused is known for good, also after a restart, so that it is never sent again.
//! * When the issuer says that a token was used already, the lines prove who had it.
//! * It is bounded, and survives any crash: a line that was cut short is skipped.
//!
//! Nothing that a login needs depends on it: a line that cannot be written is a warning in the log. What a crash must not
//! lose is in the [slot](super::slot).

mod line;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::credentials::Credentials;
use super::refresh::End;
use crate::fsx::{self, FsError};
use crate::secret::Fingerprint;

pub(super) use line::refusal_detail;

/// Lines that are kept: years of a login that is renewed every few days.
const KEPT: usize = 256;
/// The file is shortened to [`KEPT`] lines when it has grown beyond this.
const MAX_BYTES: u64 = 128 * 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When; whole seconds.
    pub at: SystemTime,
    /// What.
    pub event: Event,
    /// The refresh token that it happened to.
    pub token: Option<Fingerprint>,
    /// The refresh token that came for it.
    pub successor: Option<Fingerprint>,
    /// The ChatGPT account.
    pub account_id: Option<String>,
    /// The reason of a refresh, the issuer's words of a failure, a path.
    pub detail: Option<String>,
    /// The daemon that wrote the line.
    pub pid: u32,
    /// Its version.
    pub build: String,
}

/// What happened to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A person signed in, and this daemon got the token.
    SignedIn,
    /// A person signed out.
    SignedOut,
    /// The token was spent, and the next one is in the credential file.
    Renewed,
    /// The same, finished after a crash.
    Recovered,
    /// The token was spent, and what came for it was given up: the file held another login by then.
    Discarded,
    /// The file held an older copy of the login; the newer one was written again.
    Restored,
    /// Another program wrote this token into the credential file.
    Found,
    /// The issuer refused the token for good.
    Refused,
    /// A refresh failed in a way that may pass. Only the first of several in a row is kept.
    Failed,
    /// The token was sent, and no answer came.
    Unanswered,
    /// The credential file could not be read and was moved aside, when a person signed in anew.
    MovedAside,
}

/// What the lines prove about a token that the issuer calls used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing: its origin is older than the lines.
    #[default]
    None,
    /// This daemon spent it itself; the credential file was put back to an older state.
    SpentHere {
        /// When it was spent.
        at: SystemTime,
    },
    /// Another program put it into the credential file.
    WrittenByOther {
        /// When the file was written.
        at: SystemTime,
    },
    /// This daemon got it from the issuer and had never sent it: somebody else has a copy.
    NeverSentHere {
        /// When it came.
        since: SystemTime,
    },
}

/// The lines and their file.
#[derive(Clone, Debug)]
pub(super) struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Oldest first; `None` before the first look at the file.
    entries: Mutex<Option<VecDeque<Entry>>>,
    /// One writer at a time.
    file: Mutex<()>,
}

impl Entry {
    /// A line of this daemon.
    pub(super) fn new(event: Event, at: SystemTime) -> Self {
        Self {
            at,
            event,
            token: None,
            successor: None,
            account_id: None,
            detail: None,
            pid: std::process::id(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The same about a token and its account.
    pub(super) fn about(mut self, token: Option<Fingerprint>, account_id: &str) -> Self {
        (self.token, self.account_id) = (token, Some(account_id.to_owned()));
        self
    }

    /// The same with what came for the token.
    pub(super) fn followed_by(mut self, login: &Credentials) -> Self {
        self.successor = login.refresh_fingerprint();
        self
    }

    /// The same with words.
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// How the token ended, if it did: by another one in its place, or by a refusal.
    fn end(&self) -> Option<End> {
        match self.event {
            Event::Renewed | Event::Recovered | Event::Discarded if self.successor != self.token => {
                Some(End::Spent { at: self.at })
            }
            Event::Refused => Some(End::Refused(line::refusal(self.detail.as_deref().unwrap_or_default()))),
            _ => None,
        }
    }

    /// Whether this line is how `token` came to be in the credential file.
    fn brought(&self, token: &Fingerprint) -> bool {
        match self.event {
            Event::SignedIn | Event::Found => self.token.as_ref() == Some(token),
            Event::Renewed | Event::Recovered => self.successor.as_ref() == Some(token),
            _ => false,
        }
    }
}

impl Journal {
    /// The journal at `path`. Touches nothing.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(Arc::new(Inner { path, entries: Mutex::new(None), file: Mutex::new(()) }))
    }

    /// The lines, oldest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.0.with(|entries| entries.iter().cloned().collect())
    }

    /// How each token ended that did.
    pub(super) fn ends(&self) -> Vec<(Fingerprint, End)> {
        self.0.with(|entries| {
            entries.iter().filter_map(|entry| Some((entry.token.clone()?, entry.end()?))).collect()
        })
    }

    /// When the issuer refused `token` for good, if it did.
    pub(super) fn refused_at(&self, token: &Fingerprint) -> Option<SystemTime> {
        let is_it = |entry: &&Entry| entry.event == Event::Refused && entry.token.as_ref() == Some(token);
        self.0.with(|entries| entries.iter().rev().find(is_it).map(|entry| entry.at))
    }

    /// What the lines say about a token that was refused.
    pub(super) fn evidence(&self, token: &Fingerprint) -> Evidence {
        self.0.with(|entries| {
            let spent = entries.iter().rev().find(|entry| entry.token.as_ref() == Some(token));
            if let Some(End::Spent { at }) = spent.and_then(Entry::end) {
                return Evidence::SpentHere { at };
            }
            match entries.iter().rev().find(|entry| entry.brought(token)) {
                Some(Entry { event: Event::Found, at, .. }) => Evidence::WrittenByOther { at: *at },
                // Unanswered is the machine's own knowledge: the refusal is then called interrupted.
                Some(entry) => Evidence::NeverSentHere { since: entry.at },
                None => Evidence::None,
            }
        })
    }

    /// Whether `login` came into the file by our doing, or was noticed before.
    pub(super) fn knows(&self, login: &Credentials) -> bool {
        let Some(token) = login.refresh_fingerprint() else { return true };
        self.0.with(|entries| {
            // A journal that begins now says nothing of what was before.
            entries.is_empty()
                || entries
                    .iter()
                    .rev()
                    .any(|entry| entry.brought(&token) || entry.token.as_ref() == Some(&token))
        })
    }

    /// Adds a line and waits until it is on the disk.
    pub(super) async fn record(&self, entry: Entry) {
        let repeats = |last: &Entry| {
            entry.event == Event::Failed && (last.event, &last.token) == (entry.event, &entry.token)
        };
        let new = self.0.with(|entries| {
            let new = !entries.back().is_some_and(repeats);
            if new {
                entries.push_back(entry.clone());
                while entries.len() > KEPT {
                    entries.pop_front();
                }
            }
            new
        });
        if !new {
            return;
        }
        let inner = Arc::clone(&self.0);
        let written = tokio::task::spawn_blocking(move || inner.append(&entry)).await;
        let lost = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => super::login::chain(&error),
            Err(error) => error.to_string(),
        };
        tracing::warn!(path = %self.0.path.display(), error = lost, "a line of the token history is lost");
    }
}

impl Inner {
    fn with<T>(&self, look: impl FnOnce(&mut VecDeque<Entry>) -> T) -> T {
        let mut entries = self.entries.lock();
        look(entries.get_or_insert_with(|| load(&self.path)))
    }

    fn append(&self, entry: &Entry) -> Result<(), FsError> {
        let _one_writer = self.file.lock();
        let old = fsx::read(&self.path)?.unwrap_or_default();
        if old.len() as u64 > MAX_BYTES {
            let kept = self.with(|entries| entries.iter().map(line::render).collect::<Vec<_>>().concat());
            return fsx::write_durable(&self.path, &kept);
        }
        let mut bytes = line::render(entry);
        if old.last().is_some_and(|last| *last != b'\n') {
            // The last line was cut short by a crash: this one must not be its end.
            bytes.insert(0, b'\n');
        }
        fsx::append_durable(&self.path, &bytes)
    }
}

fn load(path: &Path) -> VecDeque<Entry> {
    let bytes = fsx::read(path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), error = &error as &dyn std::error::Error, "the token history cannot be read");
        None
    });
    let bytes = bytes.unwrap_or_default();
    let entries: Vec<Entry> = bytes.split(|byte| *byte == b'\n').filter_map(line::parse).collect();
    entries[entries.len().saturating_sub(KEPT)..].iter().cloned().collect()
}

#[cfg(test)]
mod tests;
