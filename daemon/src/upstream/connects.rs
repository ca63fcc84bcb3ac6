//! How long connections to the backend take. The HTTP client makes them out of sight, in the middle of a request.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// The connections that were made; every clone counts the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Connects(Arc<Mutex<Made>>);

#[derive(Debug, Default)]
struct Made {
    count: u64,
    /// How long the latest one took: name, TCP, proxy and TLS.
    took: Duration,
}

impl Connects {
    /// One was made.
    pub(super) fn add(&self, took: Duration) {
        let mut made = self.0.lock();
        *made = Made { count: made.count + 1, took };
    }

    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.0.lock().count
    }

    /// How long the latest took, if one was made since there were `before`.
    pub(super) fn since(&self, before: u64) -> Option<Duration> {
        let made = self.0.lock();
        (made.count > before).then_some(made.took)
    }
}
