//! The access token that the backend refused and for which there is no other: what a refresh token's end is to the
//! [journal](super::journal), this is for a login that has none of ours.
//!
//! Not kept over a restart: the next question learns it again, at no cost. A new login has another token.

use std::time::SystemTime;

use parking_lot::Mutex;

use crate::secret::Secret;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RefusedToken(Mutex<Option<(Secret, SystemTime)>>);

impl RefusedToken {
    /// `token` was refused, and could not be replaced.
    pub(super) fn remember(&self, token: &Secret, at: SystemTime) {
        *self.0.lock() = Some((token.clone(), at));
    }

    /// The backend takes `token` after all.
    pub(super) fn forget(&self, token: &Secret) {
        let mut refused = self.0.lock();
        if refused.as_ref().is_some_and(|(refused, _)| refused == token) {
            *refused = None;
        }
    }

    /// When `token` was refused, if it was.
    pub(super) fn since(&self, token: &Secret) -> Option<SystemTime> {
        self.0.lock().as_ref().filter(|(refused, _)| refused == token).map(|(_, at)| *at)
    }
}
