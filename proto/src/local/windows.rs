//! Windows: named pipes and threads. A pipe cannot be waited for beside standard input, so each direction of either has a
//! thread of its own behind a bounded buffer, and waiting is waiting for those buffers.

mod inlet;
mod outlet;
mod pipe;
mod sid;
mod sys;
#[cfg(test)]
mod tests;
mod wait;

use std::io;
use std::time::Instant;

pub use inlet::Inlet;
pub use outlet::Outlet;
pub use pipe::Stream;
pub(crate) use pipe::{dial, peer};
pub use sid::Sid;
pub(crate) use sys::{create_folder, owner_of};
pub use sys::{owner_of_pipe, process_user};
pub use wait::{Wanted, wait_for};

use super::{AsSource, Awaited};

/// What can be waited for.
pub type Source<'s> = &'s Inlet;

/// A user.
pub type UserId = Sid;

impl AsSource for Inlet {
    fn as_source(&self) -> Source<'_> {
        self
    }
}

/// The user whose rights this process has.
///
/// # Panics
/// When the system does not let a process read its own token, which it always does.
pub fn current_user() -> UserId {
    process_user(None).expect("a process can read its own token")
}

/// Who may open a pipe of `user`'s, in the security descriptor definition language: the user and the system, nobody by
/// inheritance. The owner is named, since an elevated process would give it to the administrators.
pub fn pipe_security(user: UserId) -> String {
    format!("O:{user}D:P(A;;GA;;;{user})(A;;GA;;;SY)")
}

/// Waits until one of two can be read or has ended, the first before the second; `None` when `deadline` has passed.
#[expect(clippy::unnecessary_wraps, reason = "on Unix the system may refuse to wait")]
pub(crate) fn wait_any(
    sources: [Option<Awaited<'_>>; 2],
    deadline: Option<Instant>,
) -> io::Result<Option<usize>> {
    let mut places = Vec::with_capacity(2);
    let mut wanted = Vec::with_capacity(2);
    for (place, source) in sources.into_iter().enumerate() {
        wanted.push(match source {
            None => continue,
            Some(Awaited::Input(source)) => Wanted::Input(source),
            Some(Awaited::End(source)) => Wanted::End(source),
        });
        places.push(place);
    }
    let found = wait_for(&wanted, deadline);
    Ok(found.and_then(|found| found.iter().position(|ready| *ready)).map(|at| places[at]))
}
