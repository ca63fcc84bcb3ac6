//! The credential file: one JSON object that other programs share, of which one key is ours.
//!
//! * What is not ours keeps its values and its order.
//! * A file that cannot be parsed is an error, never "signed out", and is never overwritten.
//! * Every change is: re-read, change, write durably; one at a time in this process.
//!
//! Reads are a system call or a few KiB and run inline; writes wait for a disk and run on a blocking thread, which
//! also keeps the lock, so that a caller that goes away cannot let a second change in beside the first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::record::{self, RecordError};
use crate::fsx::{self, FsError, ReadError, Reread, Stamp};

/// Our key in the file, shared with the original plugin.
const KEY: &str = "openai_codex";

/// The credential file could not be read, understood or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file exists, but it cannot be read or is not a JSON object. It is left as it is.
    #[error("could not read the credential file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadError<DocumentError>,
    },
    /// The file is fine, but not our record in it. A login replaces it, a logout removes it.
    #[error("could not read the record `{KEY}` in `{}`", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// The file could not be written; what it held before is still there.
    #[error("could not write the credential file `{}`", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: FsError,
    },
}

/// Why the bytes of the file are not a credential file.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Nothing in it, as while another program rewrites it.
    #[error("the file is empty")]
    Empty,
    /// No JSON. Where it breaks is said, its text is not quoted.
    #[error("the file is not JSON (line {line}, column {column})")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// JSON, but an array, string, number or null.
    #[error("the file is not a JSON object")]
    NotAnObject,
}

/// What [`Store::renew`] did.
#[derive(Debug)]
pub(super) enum Renewal {
    /// The new pair is on disk.
    Written,
    /// The file no longer holds the pair that was spent; it was left alone and this is what it holds.
    Kept(Option<Arc<Credentials>>),
}

/// The file, read again whenever it changes.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    reread: Reread,
    changes: Arc<AsyncMutex<()>>,
    cache: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    stamp: Stamp,
    login: Option<Arc<Credentials>>,
}

impl Store {
    /// A store over the file at `path`, which need not exist. Touches nothing.
    pub(super) fn new(path: PathBuf, reread: Reread) -> Self {
        Self { path, reread, changes: Arc::default(), cache: Mutex::new(None) }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The login in the file as it is now: one system call while nobody changed it.
    pub(super) async fn current(&self) -> Result<Option<Arc<Credentials>>, StoreError> {
        let stamp = fsx::stamp(&self.path).map_err(|error| self.unreadable(error.into()))?;
        let Some(stamp) = stamp else { return Ok(None) };
        if let Some(cached) = &*self.cache.lock()
            && cached.stamp == stamp
        {
            return Ok(cached.login.clone());
        }
        self.reload().await
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

    /// Whether [`Store::replace`] and [`Store::clear`] would work: the file parses, whatever our record is, and can be
    /// replaced.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.read().await?;
        self.check_writable()
    }

    /// Puts a new login in the place of whatever record there is.
    pub(super) async fn replace(&self, login: &Credentials) -> Result<(), StoreError> {
        let guard = self.lock().await;
        let mut document = self.read().await?.map(|(_, document)| document).unwrap_or_default();
        document.insert(KEY.to_owned(), Value::Object(record::render(login)));
        self.write(guard, document).await
    }

    /// Puts `renewed` in the place of `spent`, if the file still holds `spent`.
    #[allow(clippy::significant_drop_tightening, reason = "one lock from the read to the write")]
    pub(super) async fn renew(
        &self,
        spent: &Credentials,
        renewed: &Credentials,
    ) -> Result<Renewal, StoreError> {
        let guard = self.lock().await;
        let Some((_, mut document)) = self.read().await? else { return Ok(Renewal::Kept(None)) };
        let on_disk = self.login_of(&document)?;
        if !on_disk.as_ref().is_some_and(|on_disk| on_disk.same_tokens(spent)) {
            return Ok(Renewal::Kept(on_disk.map(Arc::new)));
        }
        if let Some(Value::Object(old)) = document.get_mut(KEY) {
            record::merge(old, record::render(renewed));
        }
        self.write(guard, document).await?;
        Ok(Renewal::Written)
    }

    /// Removes our record; whether there was one.
    #[allow(clippy::significant_drop_tightening, reason = "one lock from the read to the write")]
    pub(super) async fn clear(&self) -> Result<bool, StoreError> {
        let guard = self.lock().await;
        let Some((_, mut document)) = self.read().await? else { return Ok(false) };
        // `remove` would move the last key into the gap.
        if document.shift_remove(KEY).is_none() {
            return Ok(false);
        }
        self.write(guard, document).await?;
        Ok(true)
    }

    async fn lock(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.changes).lock_owned().await
    }

    async fn read(&self) -> Result<Option<(Stamp, Map<String, Value>)>, StoreError> {
        let read = fsx::read_stable(&self.path, self.reread, parse_document).await;
        read.map_err(|error| self.unreadable(error))
    }

    async fn write(
        &self,
        guard: OwnedMutexGuard<()>,
        document: Map<String, Value>,
    ) -> Result<(), StoreError> {
        let mut bytes = Zeroizing::new(
            serde_json::to_vec_pretty(&document).expect("a map of JSON values with text keys is JSON"),
        );
        bytes.push(b'\n');
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || {
            let _guard = guard;
            fsx::write_durable(&path, &bytes)
        });
        match written.await {
            Ok(result) => result.map_err(|error| self.unwritable(error)),
            Err(error) => Err(self.unwritable(FsError::Io {
                verb: "write",
                path: self.path.clone(),
                source: std::io::Error::other(error),
            })),
        }
    }

    fn login_of(&self, document: &Map<String, Value>) -> Result<Option<Credentials>, StoreError> {
        match document.get(KEY) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => record::parse(value)
                .map(Some)
                .map_err(|source| StoreError::BadRecord { path: self.path.clone(), source }),
        }
    }

    fn unreadable(&self, source: ReadError<DocumentError>) -> StoreError {
        StoreError::Unreadable { path: self.path.clone(), source }
    }

    fn unwritable(&self, source: FsError) -> StoreError {
        StoreError::Unwritable { path: self.path.clone(), source }
    }
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

#[cfg(test)]
mod tests;
