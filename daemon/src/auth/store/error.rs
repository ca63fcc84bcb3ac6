//! Why the credential file could not be used. No text of the file is in any of these.

use std::path::PathBuf;

use crate::auth::record::RecordError;
use crate::codex_locks::LockError;
use crate::fsx::{FsError, ReadError};

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
    #[error("could not read the login in `{}`", path.display())]
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
    /// The Codex CLI, or a program like it, held its lock on the file for longer than we wait. Nothing was spent.
    #[error("could not change the credential file `{}`", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// Whose lock.
        #[source]
        source: LockError,
    },
    /// The record of a refresh that is under way, beside the credential file, could not be kept. Nothing was spent, unless
    /// the error says that the new login was not saved.
    #[error("could not {verb} the record of a refresh `{}`", path.display())]
    Slot {
        /// `read`, `write` or `remove`.
        verb: &'static str,
        /// The record.
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
