//! A copy of our record as it was last written.
//!
//! Programs without our care share the credential file: they read it whole, change their key and write it whole. One that
//! read before a refresh and writes after it puts the spent pair back, and the live one would be gone. The copy still has it,
//! also after a restart. It holds the pair that is in force, never the one before: a spent refresh token would be of no
//! use and a trap, since sending it can end the whole login. It has the mode and the folder of the file that it copies, and
//! goes before the record when a person signs out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::write::{Guard, blocking, render};
use super::{StoreError, parse_document};
use crate::auth::credentials::Credentials;
use crate::auth::record;
use crate::auth::shelf::{KEY, Shelf};
use crate::fsx::{self, FsError, ReadError, Reread};

/// The file `.<name>.copy` beside the credential file; of a named login `.<name>.<login>.copy`.
#[derive(Debug)]
pub(in crate::auth) struct Copy {
    path: PathBuf,
}

impl Copy {
    pub(super) fn of(file: &Path, shelf: &Shelf) -> Self {
        Self { path: shelf.sibling(file, "copy") }
    }

    /// The login in it. A copy that cannot be read is none: nothing depends on it while the file itself is sound.
    pub(in crate::auth) async fn read(&self) -> Option<Credentials> {
        let once = Reread { tries: 0, pause: Duration::ZERO };
        match fsx::read_stable(&self.path, once, parse_document).await {
            Ok(found) => record::parse(found?.1.get(KEY)?).ok(),
            Err(error) => {
                let error: &dyn std::error::Error = match &error {
                    ReadError::Fs(error) => error,
                    ReadError::Parse(error) => error,
                };
                tracing::warn!(path = %self.path.display(), error, "the copy of the login cannot be read");
                None
            }
        }
    }

    pub(super) async fn write(&self, guard: Guard, login: &Credentials) -> Result<(), StoreError> {
        let bytes = render(&serde_json::json!({ KEY: record::render(login) }));
        let path = self.path.clone();
        let (_guard, written) = blocking(guard, move || fsx::write_durable(&path, &bytes)).await;
        written.map_err(|error| self.unwritable(error))
    }

    pub(super) async fn remove(&self, guard: Guard) -> Result<Guard, StoreError> {
        let path = self.path.clone();
        let (guard, removed) = blocking(guard, move || fsx::remove_durable(&path)).await;
        removed.map_err(|error| self.unwritable(error))?;
        Ok(guard)
    }

    fn unwritable(&self, source: FsError) -> StoreError {
        StoreError::Unwritable { path: self.path.clone(), source }
    }
}
