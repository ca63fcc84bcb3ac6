//! A stream between two processes of one user, and waiting for it: a Unix socket, on Windows a named pipe.
//!
//! Each system has the same few words: [`Stream`] to read and write, [`Source`] to wait for, [`UserId`] to compare.
//! Everything above this module is the same code everywhere.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::time::{Duration, Instant};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::current_user;
#[cfg(unix)]
pub use system::nonblocking_socket;
#[cfg(windows)]
pub use system::{Inlet, Outlet, Sid, Wanted, owner_of_pipe, pipe_security, process_user, wait_for};
pub use system::{Source, Stream, UserId};
#[cfg(windows)]
pub(crate) use system::{create_folder, owner_of};
pub(crate) use system::{dial, peer, wait_any};

/// Something that can be waited for.
pub trait AsSource {
    /// It, for as long as a wait.
    fn as_source(&self) -> Source<'_>;
}

/// Waits up to `patience` for something to read, be it the end; whether it came.
pub fn has_input(source: &impl AsSource, patience: Duration) -> io::Result<bool> {
    let found = wait_any([Some(Awaited::Input(source.as_source())), None], Some(Instant::now() + patience))?;
    Ok(found.is_some())
}

/// What a wait is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Awaited<'s> {
    /// Something to read, be it the end.
    Input(Source<'s>),
    /// The end alone: what lies unread is not reported. Not every kind of source tells it while something does.
    End(Source<'s>),
}
