//! What the login is renewed with beside its file: the wall clock, and the name of this process among those that may share the
//! file. A test brings its own.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::slot::Holder;

/// What a test replaces.
#[derive(Clone, Debug)]
pub(super) struct Seams {
    pub(super) clock: Clock,
    pub(super) holder: Holder,
    /// Answers in the place of the issuer, without a connection.
    #[cfg(test)]
    pub(super) issuer: Option<super::testing::memory::InMemory>,
}

impl Default for Seams {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            holder: Holder::this(),
            #[cfg(test)]
            issuer: None,
        }
    }
}

/// Tells the time of day. Deadlines are tokio's; this one is for what is compared with the inside of a token.
#[derive(Clone)]
pub(super) struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The system's.
    pub(super) fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    /// A test's.
    #[cfg(test)]
    pub(super) fn of(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now.
    pub(super) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Holder {
    /// This process.
    pub(super) fn this() -> Self {
        Self { pid: std::process::id(), nonce: super::pkce::random_id() }
    }
}
