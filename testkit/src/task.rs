//! The only place that starts tasks.

use std::future::Future;

/// Runs a future on the fake's own runtime; it ends with the runtime, that is, with the fake.
#[expect(
    clippy::disallowed_methods,
    reason = "the one spawner; the fake owns its whole runtime and drops it"
)]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}
