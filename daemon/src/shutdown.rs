//! Serving, handing over, draining, closing: one direction, for everybody to see.

use tokio::sync::watch;

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Takes sessions and turns.
    Serving,
    /// Takes nothing new; a successor serves, nobody waits for this daemon's end, and running turns finish, however long they
    /// take: the bounds of a turn are theirs.
    HandingOver,
    /// Takes nothing new; running turns finish within the drain's bound: whoever asked for the end waits for it.
    Draining,
    /// Whatever still runs ends now.
    Closing,
}

impl Phase {
    /// As it is shown in `daemon/status`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::HandingOver | Self::Draining => "draining",
            Self::Closing => "closing",
        }
    }
}

/// A handle to the phase; every clone is the same phase.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    phase: watch::Sender<Phase>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving) }
    }
}

impl Shutdown {
    /// The phase now.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Goes to `phase` unless it is there or further already. True: this call did it.
    pub(crate) fn advance(&self, phase: Phase) -> bool {
        self.phase.send_if_modified(|current| {
            let moved = *current < phase;
            *current = phase.max(*current);
            moved
        })
    }

    /// Returns when the phase is `phase` or later.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut watched = self.phase.subscribe();
        // The sender lives in `self`, so the wait ends only by the phase.
        let _reached = watched.wait_for(|current| *current >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_never_goes_back() {
        let shutdown = Shutdown::default();
        assert!(shutdown.advance(Phase::Closing));
        assert!(!shutdown.advance(Phase::Draining));
        assert_eq!(shutdown.phase(), Phase::Closing);
    }

    #[tokio::test]
    async fn a_waiter_sees_a_later_phase_too() {
        let shutdown = Shutdown::default();
        shutdown.advance(Phase::Closing);
        shutdown.reached(Phase::Draining).await;
    }
}
