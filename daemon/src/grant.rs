//! What a request upstream needs of a login: the shared word between `auth`, which hands it out, and `upstream`, which
//! spends it. Neither names the other.

use std::time::SystemTime;

use crate::secret::{Fingerprint, Secret};

/// A usable access token and the account that it belongs to.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Bearer token for the backend.
    pub access_token: Secret,
    /// `chatgpt_account_id` of the token's claims (WIRE §5.6), sent as `chatgpt-account-id`.
    pub account_id: String,
    /// The token's `exp`; `None` when the claim could not be read.
    pub expires_at: Option<SystemTime>,
}

impl Grant {
    /// Names the token, to tell a renewed grant from the rejected one.
    pub fn fingerprint(&self) -> Fingerprint {
        self.access_token.fingerprint()
    }
}
