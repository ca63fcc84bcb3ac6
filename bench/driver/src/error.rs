//! Why something did not run.

use std::io;

/// Why something did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The system refused.
    #[error("could not {what}")]
    Io {
        /// Verb and object.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something answered otherwise than it has to.
    #[error("could not {what}: {reason}")]
    Said {
        /// Verb and object.
        what: String,
        /// What came instead.
        reason: String,
    },
}

impl Error {
    /// Something answered otherwise than it has to.
    pub(crate) fn said(what: &str, reason: impl Into<String>) -> Self {
        Self::Said { what: what.to_owned(), reason: reason.into() }
    }
}

/// Says what was tried.
pub(crate) trait Trying<T> {
    /// `what`: verb and object, as in "could not `what`".
    fn trying(self, what: &str) -> Result<T, Error>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, what: &str) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what.to_owned(), source })
    }
}

impl<T> Trying<T> for rustix::io::Result<T> {
    fn trying(self, what: &str) -> Result<T, Error> {
        self.map_err(io::Error::from).trying(what)
    }
}
