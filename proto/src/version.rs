//! Which conversation is spoken: a range on each side, and the highest version common to both.

use serde::{Deserialize, Serialize};

/// The product's version, shown to people. It decides nothing: only [`VersionRange`] does.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// What this build speaks.
pub const PROTOCOL: VersionRange = VersionRange { min: ProtocolVersion(1), max: ProtocolVersion(1) };

/// A version of the socket's conversation. It rises when a peer that knows only the older one would misunderstand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProtocolVersion(pub u16);

/// The versions that one side speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRange {
    /// The oldest.
    pub min: ProtocolVersion,
    /// The newest.
    pub max: ProtocolVersion,
}

impl VersionRange {
    /// The highest version that both sides speak, or `None` when the ranges do not meet.
    pub fn common(self, other: Self) -> Option<ProtocolVersion> {
        let highest = self.max.min(other.max);
        (highest >= self.min && highest >= other.min).then_some(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(min: u16, max: u16) -> VersionRange {
        VersionRange { min: ProtocolVersion(min), max: ProtocolVersion(max) }
    }

    #[test]
    fn the_highest_common_version_is_chosen() {
        for (a, b, expected) in [
            (range(1, 1), range(1, 1), Some(1)),
            (range(1, 3), range(2, 5), Some(3)),
            (range(2, 5), range(1, 3), Some(3)),
            (range(1, 5), range(2, 2), Some(2)),
            (range(1, 1), range(2, 3), None),
            (range(4, 5), range(1, 3), None),
            // A range that is upside down meets nothing.
            (range(3, 1), range(1, 3), None),
        ] {
            assert_eq!(a.common(b), expected.map(ProtocolVersion), "{a:?} with {b:?}");
            assert_eq!(b.common(a), expected.map(ProtocolVersion), "{b:?} with {a:?}");
        }
    }
}
