//! Unix: `poll`.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::{Found, LinkWanted, Ready, Wanted};

/// A descriptor in one of these states has something to say even if it was not asked.
const OVER: PollFlags = PollFlags::HUP.union(PollFlags::ERR).union(PollFlags::NVAL);

/// Waits; `None` when the deadline has passed.
pub(crate) fn poll<'w>(wanted: &'w Wanted<'w>) -> io::Result<Option<Ready>> {
    // The standard output comes first, always.
    let mut fds = vec![PollFd::new(wanted.stdout, flags(false, wanted.writes))];
    fds.extend(wanted.stdin.map(|stdin| PollFd::from_borrowed_fd(stdin, flags(wanted.reads, false))));
    let first_link = fds.len();
    let link =
        |wanted: &'w LinkWanted<'w>| PollFd::new(wanted.link.stream(), flags(wanted.reads, wanted.writes));
    fds.extend(wanted.links.iter().map(link));
    if !poll_until(&mut fds, wanted.deadline)? {
        return Ok(None);
    }
    let stdout = fds[0].revents();
    let stdin = if wanted.stdin.is_some() { fds[1].revents() } else { PollFlags::empty() };
    let found = wanted.links.iter().zip(fds[first_link..].iter().map(PollFd::revents));
    Ok(Some(Ready {
        stdout: Found { ready: stdout.contains(PollFlags::OUT), over: stdout.intersects(OVER) },
        stdin: Found { ready: stdin.intersects(PollFlags::IN | OVER), over: stdin.intersects(OVER) },
        links: found
            .filter(|(_, found)| found.intersects(PollFlags::IN | OVER))
            .map(|(wanted, _)| wanted.link.id)
            .collect(),
    }))
}

fn flags(reads: bool, writes: bool) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, reads);
    flags.set(PollFlags::OUT, writes);
    flags
}

/// False when the deadline has passed.
fn poll_until(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(false);
        }
        let timeout = left.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        match rustix::event::poll(fds, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}
