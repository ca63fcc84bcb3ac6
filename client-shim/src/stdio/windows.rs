//! Windows: a pipe cannot be asked before it is read or written, so a thread of its own does either.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::os::windows::io::AsHandle as _;
use std::time::{Duration, Instant};

use codex_oauth_proto::local::{Inlet, Outlet};

use super::Wrote;

/// What the client reads from.
pub type Sink<'fd> = &'fd Outlet;

/// Hands out this process's standard input and output, each in the hands of its thread.
pub fn with_stdio<T>(serve: impl FnOnce(&Inlet, Sink<'_>) -> io::Result<T>) -> io::Result<T> {
    let stdin = io::stdin().as_handle().try_clone_to_owned()?;
    let stdout = io::stdout().as_handle().try_clone_to_owned()?;
    serve(&Inlet::new(File::from(stdin))?, &Outlet::new(File::from(stdout))?)
}

/// Whether a person sits at the other end of standard input.
pub fn is_at_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Standard output.
#[derive(Debug)]
pub(crate) struct Stdout<'fd> {
    outlet: Sink<'fd>,
}

impl<'fd> Stdout<'fd> {
    /// Over its thread.
    #[expect(clippy::unnecessary_wraps, reason = "on Unix the system is asked what kind of file it is")]
    pub(crate) fn new(outlet: Sink<'fd>) -> io::Result<Self> {
        Ok(Self { outlet })
    }

    /// Gives a first part of `bytes` to the thread. That nobody reads any more is known once the thread has tried.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Wrote> {
        match self.outlet.try_write(bytes) {
            Ok(written) => Ok(Wrote::Some(written)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => Ok(Wrote::Nothing),
                ErrorKind::BrokenPipe => Ok(Wrote::Broken),
                _ => Err(error),
            },
        }
    }

    /// Waits up to `patience` until the client's pipe has everything.
    pub(crate) fn finish(&self, patience: Duration) {
        // What the client does not take by then it does not get.
        let _left = self.outlet.drain(Some(Instant::now() + patience));
    }

    /// Its thread, to wait for.
    pub(crate) const fn outlet(&self) -> &Outlet {
        self.outlet
    }
}

/// Standard error, for lines that may be lost.
#[derive(Debug)]
pub(crate) struct Stderr(Outlet);

impl Stderr {
    /// In the hands of its thread.
    pub(crate) fn new() -> io::Result<Self> {
        Outlet::new(File::from(io::stderr().as_handle().try_clone_to_owned()?)).map(Self)
    }

    /// Gives a line to the thread. False: it was not taken whole.
    pub(crate) fn offer(&mut self, line: &[u8]) -> bool {
        self.0.try_write(line).is_ok_and(|taken| taken == line.len())
    }
}

impl Drop for Stderr {
    /// The last lines tell how it ended.
    fn drop(&mut self) {
        /// A client kills 100 ms after its first sign.
        const PATIENCE: Duration = Duration::from_millis(20);
        // What is not taken by then is lost.
        let _left = self.0.drain(Some(Instant::now() + PATIENCE));
    }
}

/// Takes what has come. `Some(0)` is the end, `None` nothing for now.
pub(crate) fn read(stdin: &Inlet, bytes: &mut [u8]) -> io::Result<Option<usize>> {
    match stdin.try_read(bytes) {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
