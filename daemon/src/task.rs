//! The only place that spawns: every task has a name, is tracked, and a panic in it is logged instead of lost.

use std::future::Future;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::debug;

/// Spawns `future` on `tracker`; a panic ends this task alone and is logged under `name`. Whoever listens to the task that
/// spawns listens to this one.
pub fn spawn<F>(tracker: &TaskTracker, name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // A task is moved into its place and once more when it ends; what is in a box is not.
    let future = Box::pin(debug::scope(debug::listener(), future));
    tracker.spawn(async move {
        let output = std::panic::AssertUnwindSafe(future).catch_unwind().await;
        if output.is_err() {
            tracing::error!(task = name, "a task panicked; only its own work is lost");
        }
        output.ok()
    })
}
