//! Points of a call or a refresh at which a test has the daemon die, where nobody outside could hold it: `CODEX_OAUTH_TEST_KILL_AT` names
//! one. Builds that ship have none of this.

/// Whether this daemon is to die at `point`.
pub(crate) fn is(point: &str) -> bool {
    cfg!(debug_assertions) && std::env::var_os("CODEX_OAUTH_TEST_KILL_AT").is_some_and(|named| named == point)
}

/// Panics here with what is at hand, if that is the point.
pub(crate) fn panics(point: &str, at_hand: &dyn std::fmt::Debug) {
    assert!(!is(point), "a test asked for it, with {at_hand:?}");
}

/// Dies here, without a word, if that is the point.
pub(crate) fn reached(point: &str) {
    if is(point) {
        std::process::abort();
    }
}
