//! Proof key for code exchange (RFC 7636, method S256) and the random values of a login.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// 64 bytes give 86 characters, inside the 43–128 of RFC 7636 §4.1 (WIRE §2.1).
const VERIFIER_BYTES: usize = 64;
/// 256 bits of `state` (WIRE §2.1): nobody guesses one in the five minutes of a login.
const STATE_BYTES: usize = 32;
/// Names a login to its clients; not a secret.
const ID_BYTES: usize = 12;

/// A verifier and what the authorize URL says of it.
#[derive(Debug)]
pub(super) struct Pkce {
    /// Sent with the code exchange only.
    pub(super) verifier: Secret,
    /// base64url(SHA-256(verifier)), 43 characters.
    pub(super) challenge: String,
}

impl Pkce {
    /// A new random pair.
    pub(super) fn generate() -> Self {
        Self::from_verifier(random::<VERIFIER_BYTES>())
    }

    fn from_verifier(verifier: Secret) -> Self {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()));
        Self { verifier, challenge }
    }
}

/// A new `state`, 43 characters.
pub(super) fn random_state() -> Secret {
    random::<STATE_BYTES>()
}

/// A new login id, 16 characters.
pub(super) fn random_id() -> String {
    random::<ID_BYTES>().expose().to_owned()
}

fn random<const N: usize>() -> Secret {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).expect("the operating system has random numbers");
    Secret::new(URL_SAFE_NO_PAD.encode(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let pkce = Pkce::from_verifier(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn random_values_have_the_lengths_of_the_wire_and_differ() {
        let (a, b) = (Pkce::generate(), Pkce::generate());
        assert_eq!(
            (a.verifier.expose().len(), a.challenge.len(), random_state().expose().len()),
            (86, 43, 43)
        );
        assert_ne!(a.verifier, b.verifier);
        assert_ne!(random_state(), random_state());
        assert_ne!(random_id(), random_id());
    }
}
