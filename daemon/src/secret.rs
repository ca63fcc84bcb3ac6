//! Text that must not be seen: tokens, codes, verifiers.
//!
//! A [`Secret`] has no `Display` and no `Serialize`; its `Debug` is redacted; its memory is wiped on drop. Reading
//! it takes a visible [`Secret::expose`], so that every place where a token leaves this type can be found by name.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// An access token, refresh token, authorization code or PKCE verifier.
///
/// A clone is the same text in memory.
#[derive(Clone)]
pub struct Secret(Arc<Kept>);

struct Kept {
    text: Zeroizing<String>,
    // Both are asked for with every question, of the same token for days.
    fingerprint: OnceLock<Fingerprint>,
    bearer: OnceLock<HeaderValue>,
}

impl Secret {
    /// Takes the text over; the caller keeps no copy.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Kept {
            text: Zeroizing::new(text.into()),
            fingerprint: OnceLock::new(),
            bearer: OnceLock::new(),
        }))
    }

    /// The text itself: for a request header, a request body or the credential file, nothing else.
    pub fn expose(&self) -> &str {
        &self.0.text
    }

    /// The text as the credentials of a request (RFC 6750 §2.1): `Bearer` and the token, marked as sensitive. Every copy is
    /// the same bytes, wiped with the last of them.
    ///
    /// # Errors
    /// When no header can carry it.
    pub fn bearer(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        if let Some(made) = self.0.bearer.get() {
            return Ok(made.clone());
        }
        let bytes = Zeroizing::new(["Bearer ", self.expose()].concat().into_bytes());
        let mut bearer = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes))?;
        bearer.set_sensitive(true);
        Ok(self.0.bearer.get_or_init(|| bearer).clone())
    }

    /// The first 12 hex digits of SHA-256: enough to tell two tokens apart in a log, useless to spend one.
    pub fn fingerprint(&self) -> Fingerprint {
        let name = || {
            let digest = Sha256::digest(self.expose().as_bytes());
            let bytes = digest.iter().take(Fingerprint::LEN / 2);
            let start = bytes.fold(0_u64, |start, byte| start << 8 | u64::from(*byte));
            Fingerprint(format!("{start:0width$x}", width = Fingerprint::LEN))
        };
        self.0.fingerprint.get_or_init(name).clone()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.fingerprint())
    }
}

/// Names a token without revealing it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    const LEN: usize = 12;

    /// The name as [`Display`](fmt::Display) wrote it; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == Self::LEN && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_its_text() {
        let secret = Secret::new("rt_FAKE_never_print_me");
        assert!(!format!("{secret:?} {secret:#?}").contains("never_print_me"));
        assert_eq!(secret.expose(), "rt_FAKE_never_print_me");
    }

    #[test]
    fn a_token_is_carried_by_a_header_that_does_not_print_it() {
        let secret = Secret::new("at_FAKE_never_print_me");
        for bearer in [secret.bearer().unwrap(), secret.bearer().unwrap()] {
            assert_eq!(bearer.as_bytes(), b"Bearer at_FAKE_never_print_me");
            assert!(!format!("{bearer:?} {secret:?}").contains("never_print_me"));
        }
        assert!(Secret::new("a\nb").bearer().is_err());
    }

    #[test]
    fn different_tokens_have_different_fingerprints() {
        assert_ne!(Secret::new("a").fingerprint(), Secret::new("b").fingerprint());
        assert_eq!(Secret::new("a").fingerprint().to_string().len(), 12);
    }

    #[test]
    fn a_fingerprint_is_read_back_and_a_token_is_none() {
        let fingerprint = Secret::new("a").fingerprint();
        assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
        for text in ["", "rt_FAKE_12_ch", "0123456789AB", "0123456789abc"] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
