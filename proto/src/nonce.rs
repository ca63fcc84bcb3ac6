//! A name for one run of a program that no other run will have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 128 random bits in hex: one per shim process, one per daemon process. An identity, not a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Nonce(String);

impl Nonce {
    /// A new one from the operating system.
    ///
    /// # Errors
    /// When the system has no randomness to give, which no supported system does after boot.
    pub fn random() -> std::io::Result<Self> {
        Ok(Self(format!("{:032x}", Self::random_bits()?)))
    }

    /// The bits of one.
    ///
    /// # Errors
    /// As [`Self::random`].
    pub fn random_bits() -> std::io::Result<u128> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(u128::from_be_bytes(bytes))
    }
}

impl From<&str> for Nonce {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
