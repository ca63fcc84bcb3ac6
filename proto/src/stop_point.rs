//! Points of a start or an end at which a test holds a process, where nobody outside could: `CODEX_OAUTH_TEST_STOP_AT` names one.
//! Builds that ship have none of this.

/// Stops this process here, until somebody continues or kills it, if that is the point.
#[cfg(all(unix, debug_assertions))]
pub fn reached(point: &str) {
    if std::env::var_os("CODEX_OAUTH_TEST_STOP_AT").is_some_and(|named| named == point) {
        use rustix::process::{Signal, getpid, kill_process};
        // Who may not stop himself goes on, and the test that waits for it fails.
        let _stopped = kill_process(getpid(), Signal::STOP);
    }
}

/// Nothing.
#[cfg(not(all(unix, debug_assertions)))]
pub const fn reached(_point: &str) {}
