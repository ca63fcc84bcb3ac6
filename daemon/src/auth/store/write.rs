//! The writing half: what holds the lock of the changes while a thread waits for the disk.

use serde_json::{Map, Value};
use tokio::sync::OwnedMutexGuard;
use zeroize::Zeroizing;

use super::{Store, StoreError};
use crate::auth::journal::{Entry, Event};
use crate::fsx::{self, FsError, Stamp, Unsynced};

/// Held from the read to the write; see the module above.
pub(super) type Guard = OwnedMutexGuard<()>;

/// What [`Store::put`] did.
pub(super) enum Put {
    Yes(Guard, Unsynced),
    /// Another program was faster: read again.
    Changed(Guard),
}

/// What [`Store::write`] did.
pub(super) enum Written {
    Yes(Guard),
    /// Another program was faster: read again.
    Changed(Guard),
}

impl Store {
    pub(super) async fn move_aside(&self, guard: Guard) -> Result<Guard, StoreError> {
        let (path, now) = (self.path.clone(), self.clock.now());
        let (guard, moved) = blocking(guard, move || fsx::move_aside(&path, "unreadable", now)).await;
        let aside = moved.map_err(|error| self.unwritable(error))?;
        tracing::warn!(
            path = %self.path.display(), aside = %aside.display(),
            "the credential file could not be read and was moved aside for the new login"
        );
        let moved = Entry::new(Event::MovedAside, now).detail(aside.display().to_string());
        self.journal.record(moved).await;
        Ok(guard)
    }

    /// Writes the document unless the file has changed since it was read.
    pub(super) async fn write(
        &self,
        guard: Guard,
        document: Map<String, Value>,
        read: Option<Stamp>,
    ) -> Result<Written, StoreError> {
        match self.put(guard, document, read).await? {
            Put::Yes(guard, unsynced) => Ok(Written::Yes(self.sync(guard, unsynced).await?)),
            Put::Changed(guard) => Ok(Written::Changed(guard)),
        }
    }

    /// The same up to the moment at which everybody can read it; a power cut may still bring the old file back.
    pub(super) async fn put(
        &self,
        guard: Guard,
        document: Map<String, Value>,
        read: Option<Stamp>,
    ) -> Result<Put, StoreError> {
        let bytes = render(&Value::Object(document));
        let path = self.path.clone();
        let (guard, put) = blocking(guard, move || fsx::replace_if(&path, &bytes, read.as_ref())).await;
        match put {
            Ok(unsynced) => Ok(Put::Yes(guard, unsynced)),
            Err(FsError::Changed { .. }) => {
                tracing::info!(path = %self.path.display(), "another program wrote the credential file meanwhile");
                Ok(Put::Changed(guard))
            }
            Err(error) => Err(self.unwritable(error)),
        }
    }

    pub(super) async fn sync(&self, guard: Guard, unsynced: Unsynced) -> Result<Guard, StoreError> {
        let (guard, synced) = blocking(guard, move || unsynced.sync()).await;
        synced.map_err(|error| self.unwritable(error))?;
        Ok(guard)
    }
}

/// Runs `work`, which waits for a disk, on a thread of its own. That thread keeps the lock even if the caller goes away.
pub(super) async fn blocking<T: Send + 'static>(
    guard: Guard,
    work: impl FnOnce() -> Result<T, FsError> + Send + 'static,
) -> (Guard, Result<T, FsError>) {
    let done = tokio::task::spawn_blocking(move || (guard, work())).await;
    done.expect("file work does not panic, and nobody aborts it")
}

pub(super) fn render(document: &Value) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(
        serde_json::to_vec_pretty(document).expect("a map of JSON values with text keys is JSON"),
    );
    bytes.push(b'\n');
    bytes
}
