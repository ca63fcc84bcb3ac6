//! Waiting for several buffers at once.

use std::thread;
use std::time::Instant;

use super::{Inlet, Outlet};

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'s> {
    /// Something to read, be it the end.
    Input(&'s Inlet),
    /// The end alone. It is not seen while as much lies unread as the inlet holds.
    End(&'s Inlet),
    /// Room to write, or nobody to write to.
    Room(&'s Outlet),
}

impl Wanted<'_> {
    /// Whether it is there; if not, this thread is woken when something changes.
    fn ready(self) -> bool {
        match self {
            Self::Input(inlet) => inlet.is_ready(false),
            Self::End(inlet) => inlet.is_ready(true),
            Self::Room(outlet) => outlet.has_room(),
        }
    }
}

/// Waits until at least one of `wanted` is there, and says which are; `None` when `deadline` has passed.
pub fn wait_for(wanted: &[Wanted<'_>], deadline: Option<Instant>) -> Option<Vec<bool>> {
    loop {
        let ready: Vec<bool> = wanted.iter().map(|wanted| wanted.ready()).collect();
        if ready.contains(&true) {
            return Some(ready);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(left) if left.is_zero() => return None,
            Some(left) => thread::park_timeout(left),
            None => thread::park(),
        }
    }
}
