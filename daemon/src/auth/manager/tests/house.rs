//! A manager over a file and an issuer in memory, on a clock that follows tokio's.

use tokio::time::Instant;

use super::*;
use crate::auth::slot::Holder;
use crate::auth::testing::memory::InMemory;

pub(super) const URL: &str = "http://127.0.0.1:9";

/// A folder with a credential file, and what runs on it.
pub(super) struct House {
    pub(super) home: tempfile::TempDir,
    pub(super) issuer: InMemory,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
}

impl House {
    pub(super) fn new(issuer: InMemory) -> Self {
        let limits = Limits { refresh_backoff_first: Duration::from_millis(10), ..quick() };
        Self { home: in_memory_folder(), issuer, clock: virtual_clock(), limits }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    /// A process on this folder. Whoever finds what it leaves finds it dead, unless it is `alive`.
    pub(super) fn process(&self, alive: bool) -> (TokenManager, TaskTracker) {
        let tracker = TaskTracker::new();
        let pid = if alive { std::process::id() } else { 0 };
        let seams = Seams {
            clock: self.clock.clone(),
            holder: Holder { pid, nonce: crate::auth::pkce::random_id() },
            issuer: Some(self.issuer.clone()),
        };
        let config = config(URL, self.file());
        (manager(config, self.limits.clone(), tracker.clone(), seams), tracker)
    }

    /// Our record holds this refresh token, and an access token that ends in so many seconds.
    pub(super) fn sign_in(&self, seconds_left: i64, refresh_token: &str) {
        put_login(&self.file(), &login_at(URL, seconds_left, "old", refresh_token));
    }

    pub(super) fn refresh_token(&self) -> String {
        let document = read_json(&self.file());
        document["openai_codex"]["grant"]["refresh_token"].as_str().unwrap_or_default().to_owned()
    }
}

/// The time of day at the start of the test process, and from there on as tokio tells it.
pub(super) fn virtual_clock() -> Clock {
    let start = Instant::now();
    Clock::of(move || crate::auth::testing::in_seconds(0) + start.elapsed())
}

/// Hundreds of restarts wait for no disk: what a disk does is the tests' own model.
fn in_memory_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
