//! Why a command did not end well.

use std::{fmt, io};

use codex_oauth_proto::WireError;

/// A failure on its way to `main`, which alone prints it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Of the daemon, of upstream, or of this program's own request, in the words of the wire.
    Wire(WireError),
    /// Standard output or standard error cannot be written.
    Output(io::Error),
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Output(error) => write!(f, "could not write the output: {error}"),
        }
    }
}
