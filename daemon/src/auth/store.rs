//! The credential file: one JSON object that other programs share, of which one key is ours.
//!
//! * What is not ours keeps its values and its order.
//! * A file that cannot be parsed is an error, never "signed out", and is never overwritten or deleted. When a person signs
//!   in anew it is moved aside.
//! * Every change is: re-read, change, write durably; one at a time in this process, and again from the start when another
//!   program wrote the file in between.
//! * A copy of our record lies beside the file; see [`struct@Copy`].
//!
//! Reads are a system call or a few KiB and run inline; writes wait for a disk and run on a blocking thread, which
//! also keeps the lock, so that a caller that goes away cannot let a second change in beside the first.

mod copy;
mod error;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::Mutex as AsyncMutex;

use super::credentials::Credentials;
use super::journal::{self, Entry, Journal};
use super::seams::Clock;
use super::shelf::{Mode, Shelf};
use crate::codex_locks::CodexLocks;
use crate::fsx::{self, FsError, ReadError, Reread, Stamp};
use crate::secret::Fingerprint;

pub(super) use copy::Copy;
pub use error::{DocumentError, StoreError};
use write::{Guard, Put, Written};

/// Tries of one change while another program keeps writing the file: it takes microseconds, we some milliseconds.
const WRITES: u32 = 8;
/// Tries of a new login, which nobody but its person could repeat: two to three seconds with the pauses.
const LOGIN_WRITES: u32 = 40;
/// The first pause, after [`WRITES`] tries. Each is longer by this, so that none keeps step with the other program.
const LOGIN_PAUSE: Duration = Duration::from_millis(5);

/// Held through every change of one file by all that write it.
pub(super) type Changes = Arc<AsyncMutex<()>>;

/// What [`Store::renew`] did.
#[derive(Debug)]
pub(super) enum Renewal {
    /// The new pair is on disk.
    Written,
    /// The file no longer holds the token that was spent; it was left alone and this is what it holds.
    Kept(Option<Arc<Credentials>>),
}

/// The file, read again whenever it changes.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    shelf: Shelf,
    reread: Reread,
    clock: Clock,
    journal: Journal,
    changes: Changes,
    cache: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    stamp: Stamp,
    login: Option<Arc<Credentials>>,
}

/// The file as it was read; `None` where there is none.
type Document = Option<(Stamp, Map<String, Value>)>;

impl Store {
    /// A store over the file at `path`, which need not exist. Touches nothing.
    pub(super) fn new(
        (path, shelf): (PathBuf, Shelf),
        reread: Reread,
        clock: Clock,
        journal: Journal,
        changes: Changes,
    ) -> Self {
        Self { path, shelf, reread, clock, journal, changes, cache: Mutex::new(None) }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// When the file was written last; now when it does not say.
    pub(super) fn modified(&self) -> SystemTime {
        let stamp = self.cache.lock().as_ref().and_then(|cached| cached.stamp.modified());
        stamp.unwrap_or_else(|| self.clock.now())
    }

    /// The login in the file, if that has this stamp and was read before.
    pub(super) fn as_seen(&self, stamp: &Stamp) -> Option<Arc<Credentials>> {
        self.cache.lock().as_ref().filter(|cached| cached.stamp == *stamp)?.login.clone()
    }

    /// The login in the file as it is now: one system call while nobody changed it.
    pub(super) async fn current(&self) -> Result<Option<Arc<Credentials>>, StoreError> {
        let stamp = fsx::stamp(&self.path).map_err(|error| self.unreadable(error.into()))?;
        let Some(stamp) = stamp else {
            *self.cache.lock() = None;
            return Ok(None);
        };
        if let Some(cached) = &*self.cache.lock()
            && cached.stamp == stamp
        {
            return Ok(cached.login.clone());
        }
        Box::pin(self.reload()).await
    }

    /// The login in the file, read again whatever its stamp says.
    pub(super) async fn reload(&self) -> Result<Option<Arc<Credentials>>, StoreError> {
        let Some((stamp, document)) = self.read().await? else { return Ok(None) };
        let login = self.login_of(&document)?.map(Arc::new);
        *self.cache.lock() = Some(Cached { stamp, login: login.clone() });
        Ok(login)
    }

    /// Whether a change would be written, as far as can be known before.
    pub(super) fn check_writable(&self) -> Result<(), StoreError> {
        fsx::check_replaceable(&self.path).map_err(|error| self.unwritable(error))
    }

    /// Whether [`Store::clear`] would work: the file parses, whatever our record is, and can be replaced.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.read().await?;
        self.check_writable()
    }

    /// Whether [`Store::replace`] would work: the file can be replaced, and what does not parse can be moved aside.
    pub(super) async fn check_login(&self) -> Result<(), StoreError> {
        match self.read().await {
            Ok(_) | Err(StoreError::Unreadable { source: ReadError::Parse(_), .. }) => self.check_writable(),
            Err(error) => Err(error),
        }
    }

    /// Puts a new login in the place of whatever record there is. A file that does not parse is moved aside first, never
    /// overwritten.
    #[allow(clippy::significant_drop_tightening, reason = "one lock from the read to the write")]
    pub(super) async fn replace(&self, login: &Credentials) -> Result<(), StoreError> {
        let mut guard = self.lock().await;
        for tried in 0..LOGIN_WRITES {
            tokio::time::sleep(LOGIN_PAUSE * (tried + 1).saturating_sub(WRITES)).await;
            let (stamp, mut document) = match self.read().await {
                Ok(read) => split(read),
                Err(StoreError::Unreadable { source: ReadError::Parse(_), .. }) => {
                    guard = self.move_aside(guard).await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.shelf.insert(&mut document, login);
            match self.write(guard, document, stamp).await? {
                Written::Yes(guard) => {
                    self.keep_copy(guard, login).await;
                    let signed_in = Entry::new(journal::Event::SignedIn, self.clock.now());
                    self.journal
                        .record(signed_in.about(login.refresh_fingerprint(), &login.account_id))
                        .await;
                    return Ok(());
                }
                Written::Changed(back) => guard = back,
            }
        }
        Err(self.keeps_changing())
    }

    /// Puts `renewed` in the place of the login whose refresh token is `spent`, if the file still holds that. Calls `replaced`
    /// when everybody can read it there, before that and the copy are safe from a power cut.
    #[allow(clippy::significant_drop_tightening, reason = "one lock from the read to the write")]
    pub(super) async fn renew(
        &self,
        spent: &Fingerprint,
        renewed: &Credentials,
        replaced: impl FnOnce() + Send,
    ) -> Result<Renewal, StoreError> {
        let mut guard = self.lock().await;
        for _ in 0..WRITES {
            let Some((stamp, mut document)) = self.read().await? else { return Ok(Renewal::Kept(None)) };
            let on_disk = self.login_of(&document)?;
            // Written by a process that was killed then, perhaps before the copy.
            let is_there = on_disk.as_ref().is_some_and(|on_disk| on_disk.same_tokens(renewed));
            if !is_there {
                if on_disk.as_ref().and_then(Credentials::refresh_fingerprint).as_ref() != Some(spent) {
                    return Ok(Renewal::Kept(on_disk.map(Arc::new)));
                }
                self.shelf.renew(&mut document, renewed);
                match self.put(guard, document, Some(stamp)).await? {
                    Put::Yes(back, unsynced) => {
                        replaced();
                        guard = self.sync(back, unsynced).await?;
                    }
                    Put::Changed(back) => {
                        guard = back;
                        continue;
                    }
                }
            }
            // Another process may have signed in since: that copy is worth more.
            if !self.copy().read().await.is_some_and(|copy| copy.is_newer_than(renewed)) {
                self.keep_copy(guard, renewed).await;
            }
            return Ok(Renewal::Written);
        }
        Err(self.keeps_changing())
    }

    /// Removes our record; whether there was one. Its copy goes first: it must not outlive the record.
    #[allow(clippy::significant_drop_tightening, reason = "one lock from the read to the write")]
    pub(super) async fn clear(&self) -> Result<bool, StoreError> {
        let mut guard = self.lock().await;
        guard = self.copy().remove(guard).await?;
        for _ in 0..WRITES {
            let Some((stamp, mut document)) = self.read().await? else { return Ok(false) };
            if !self.shelf.remove(&mut document) {
                return Ok(false);
            }
            match self.write(guard, document, Some(stamp)).await? {
                Written::Yes(_) => {
                    *self.cache.lock() = None;
                    self.journal.record(Entry::new(journal::Event::SignedOut, self.clock.now())).await;
                    return Ok(true);
                }
                Written::Changed(back) => guard = back,
            }
        }
        Err(self.keeps_changing())
    }

    /// Keeps other programs from writing the file until the answer is dropped: nobody where only we do, and the Codex CLI
    /// where the file is that program's (WIRE §4.2).
    pub(super) async fn hold(&self) -> Result<Option<CodexLocks>, StoreError> {
        if !matches!(self.shelf, Shelf::Codex { mode: Mode::Share, .. }) {
            return Ok(None);
        }
        let path = self.path.clone();
        let taken = tokio::task::spawn_blocking(move || CodexLocks::take(&path)).await;
        let taken = taken.expect("taking locks does not panic, and nobody aborts it");
        taken.map(Some).map_err(|source| StoreError::Locked { path: self.path.clone(), source })
    }

    /// The document as it is; an empty one where there is no file.
    pub(super) async fn document(&self) -> Result<Map<String, Value>, StoreError> {
        Ok(split(self.read().await?).1)
    }

    /// Changes what is beside the logins; whether there was something to change.
    #[allow(clippy::significant_drop_tightening, reason = "one lock from the read to the write")]
    pub(super) async fn edit(
        &self,
        mut change: impl FnMut(&mut Map<String, Value>) -> bool + Send,
    ) -> Result<bool, StoreError> {
        let mut guard = self.lock().await;
        for _ in 0..WRITES {
            let (stamp, mut document) = split(self.read().await?);
            if !change(&mut document) {
                return Ok(false);
            }
            match self.write(guard, document, stamp).await? {
                Written::Yes(_) => return Ok(true),
                Written::Changed(back) => guard = back,
            }
        }
        Err(self.keeps_changing())
    }

    /// Where the login is kept.
    pub(super) const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The copy of our record.
    pub(super) fn copy(&self) -> Copy {
        Copy::of(&self.path, &self.shelf)
    }

    async fn keep_copy(&self, guard: Guard, login: &Credentials) {
        // Nobody but the Codex CLI decides which state of its file is the newest.
        if !self.shelf.is_ours() {
            return;
        }
        if let Err(error) = self.copy().write(guard, login).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the login is saved, its copy is not");
        }
    }

    async fn lock(&self) -> Guard {
        Arc::clone(&self.changes).lock_owned().await
    }

    async fn read(&self) -> Result<Document, StoreError> {
        let read = fsx::read_stable(&self.path, self.reread, parse_document).await;
        read.map_err(|error| self.unreadable(error))
    }

    fn login_of(&self, document: &Map<String, Value>) -> Result<Option<Credentials>, StoreError> {
        let login = self.shelf.login(document);
        login.map_err(|source| StoreError::BadRecord { path: self.path.clone(), source })
    }

    fn keeps_changing(&self) -> StoreError {
        self.unwritable(FsError::Changed { path: self.path.clone() })
    }

    fn unreadable(&self, source: ReadError<DocumentError>) -> StoreError {
        StoreError::Unreadable { path: self.path.clone(), source }
    }

    fn unwritable(&self, source: FsError) -> StoreError {
        StoreError::Unwritable { path: self.path.clone(), source }
    }
}

fn split(read: Document) -> (Option<Stamp>, Map<String, Value>) {
    read.map_or_else(Default::default, |(stamp, document)| (Some(stamp), document))
}

fn parse_document(bytes: &[u8]) -> Result<Map<String, Value>, DocumentError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(DocumentError::Empty);
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Err(DocumentError::NotAnObject),
        Err(error) => Err(DocumentError::NotJson { line: error.line(), column: error.column() }),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
