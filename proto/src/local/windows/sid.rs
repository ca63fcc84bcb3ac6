//! The name of a user.

use std::fmt;

/// Eight bytes and the sub-authorities, four bytes each. The format has room for 15; users and services have up to six.
const MOST_BYTES: usize = 8 + 4 * 8;

/// A security identifier (MS-DTYP 2.4.2): what Windows knows a user by. Displayed as `S-1-5-21-...`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sid([u8; MOST_BYTES]);

impl Sid {
    /// From its binary form; `None` when it is not one, or not a user's.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let parts = usize::from(*bytes.get(1)?);
        let len = 8 + 4 * parts;
        let mut sid = [0; MOST_BYTES];
        sid.get_mut(..len)?.copy_from_slice(bytes.get(..len)?);
        Some(Self(sid))
    }
}

impl Default for Sid {
    /// Nobody.
    fn default() -> Self {
        Self([0; MOST_BYTES])
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0[2..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        write!(f, "S-{}-{authority}", self.0[0])?;
        for part in self.0[8..].chunks_exact(4).take(usize::from(self.0[1])) {
            write!(f, "-{}", part.iter().rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_written_as_windows_writes_it() {
        let bytes = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        assert_eq!(Sid::from_bytes(&bytes).unwrap().to_string(), "S-1-5-32-544");
        assert_eq!(Sid::from_bytes(&bytes[..15]), None);
        assert_eq!(Sid::from_bytes(&[1, 9, 0]), None);
    }
}
