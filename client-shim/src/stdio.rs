//! The client's two ends of us, standard input and output: read and written without ever waiting.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::{Sink, is_at_terminal, with_stdio};
pub(crate) use system::{Stderr, Stdout, read};

/// What writing gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// So many bytes are out.
    Some(usize),
    /// Not now.
    Nothing,
    /// Nobody reads any more.
    Broken,
}
