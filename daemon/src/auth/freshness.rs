//! Renewing the login before a question needs it, while somebody is there to ask one.
//!
//! One task, and only while sessions are connected: an idle daemon has no timer. It goes by the wall clock, looked at every
//! minute: a machine that slept, or whose clock was set, is noticed at the next look.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::manager::Shared;
use crate::task;

/// Between two looks at the wall clock.
const LOOK: Duration = Duration::from_secs(60);
/// A step of the wall clock against the monotonic one that is worth a line in the log: beyond what time servers correct.
const JUMP: Duration = Duration::from_secs(60);
/// Up to so much before a question would renew the login, evenly spread: then no question does, and machines that woke at
/// the same moment do not ask the issuer at the same moment.
const AHEAD: Duration = Duration::from_secs(60);

/// Who is there. The task has a tracker of its own: it holds nothing that a hand-over or the daemon's end must wait for.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    present: Arc<Mutex<Present>>,
    pub(super) tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Present {
    count: usize,
    /// The login is given up: nothing is renewed any more.
    closed: bool,
    /// Ends the task when it is dropped.
    task: Option<DropGuard>,
}

/// Somebody is there; until this is dropped.
#[derive(Debug)]
pub struct KeepFresh(Arc<Mutex<Present>>);

impl Freshness {
    /// Somebody comes.
    #[allow(
        clippy::significant_drop_tightening,
        reason = "the first one starts the task, and only the first"
    )]
    pub(super) fn enter(&self, shared: &Arc<Shared>) -> KeepFresh {
        let mut present = self.present.lock();
        present.count += 1;
        if present.task.is_none() && !present.closed {
            let over = CancellationToken::new();
            present.task = Some(over.clone().drop_guard());
            let keeper = keep(Arc::clone(shared));
            task::spawn(&self.tasks, "freshness", async move {
                // A refresh is a task of its own: nothing is cut here.
                over.run_until_cancelled(keeper).await;
            });
        }
        KeepFresh(Arc::clone(&self.present))
    }

    /// Renews nothing from here on.
    pub(super) fn close(&self) {
        let mut present = self.present.lock();
        (present.closed, present.task) = (true, None);
    }
}

impl Drop for KeepFresh {
    fn drop(&mut self) {
        let mut present = self.0.lock();
        present.count -= 1;
        if present.count == 0 {
            present.task = None;
        }
    }
}

async fn keep(shared: Arc<Shared>) {
    let mut ahead = spread();
    loop {
        let fresh_for = shared.fresh_for(ahead).await;
        if fresh_for == Some(Duration::ZERO) {
            match shared.renew_ahead(ahead).await {
                Ok(()) => ahead = spread(),
                // Told to whoever asks; tried again by the rules of the state machine.
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "not renewed ahead"),
            }
        }
        let (wall, steady) = (shared.clock.now(), Instant::now());
        // Without a floor a login that is due but may not be tried yet would be looked at without a pause.
        let pause = fresh_for.filter(|left| !left.is_zero()).map_or(LOOK, |left| left.min(LOOK));
        tokio::time::sleep(pause).await;
        let gone = shared.clock.now().duration_since(wall).unwrap_or_default();
        if gone.abs_diff(steady.elapsed()) > JUMP {
            tracing::info!(?gone, "the clock jumped: looking at the login again");
        }
    }
}

fn spread() -> Duration {
    // Without random numbers it is merely not spread.
    let share = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    AHEAD.mul_f64(share)
}
