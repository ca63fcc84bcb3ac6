//! Waiting for the client and the daemon at once.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::time::Instant;

use codex_oauth_proto::local::Source;

#[cfg(unix)]
pub(crate) use unix::poll;
#[cfg(windows)]
pub(crate) use windows::poll;

use crate::link::{Link, LinkId};
use crate::stdio::Stdout;

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Wanted<'w> {
    /// The standard output. Its end is the client's end, whether there is something to write or not.
    pub(crate) stdout: &'w Stdout<'w>,
    /// Whether it has something to write.
    pub(crate) writes: bool,
    /// The standard input, unless its end was seen.
    pub(crate) stdin: Option<Source<'w>>,
    /// Whether it is read; else it is only asked for its end.
    pub(crate) reads: bool,
    /// Connections that are read, written, or both.
    pub(crate) links: Vec<LinkWanted<'w>>,
    /// When to stop waiting.
    pub(crate) deadline: Option<Instant>,
}

/// What is waited for at one connection.
#[derive(Debug)]
pub(crate) struct LinkWanted<'w> {
    pub(crate) link: &'w Link,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// The standard output takes bytes.
    pub(crate) stdout: Found,
    /// The standard input has something to read, or has ended.
    pub(crate) stdin: Found,
    /// Connections that have something to read, or have ended.
    pub(crate) links: Vec<LinkId>,
}

/// What was found at one end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// What was asked for.
    pub(crate) ready: bool,
    /// Nobody is at the other side any more; something may still lie in it.
    pub(crate) over: bool,
}
