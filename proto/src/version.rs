//! Which conversation is spoken: a range on each side, and the highest version common to both.

use serde::{Deserialize, Serialize};

/// The product's version, shown to people. It decides nothing: only [`VersionRange`] does.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// What this build speaks: the latest two.
pub const PROTOCOL: VersionRange = VersionRange { min: ProtocolVersion(1), max: ANNOUNCES_SENT };

/// From here on a daemon says `@sent N` to a client of role `mcp` before anything of request `N` goes upstream. Of one that
/// speaks an older version every request may have been sent.
pub const ANNOUNCES_SENT: ProtocolVersion = ProtocolVersion(2);

/// [`BUILD`]. A debug build takes another one from `CODEX_OAUTH_TEST_BUILD`, for tests of version skew.
pub fn build() -> &'static str {
    #[cfg(debug_assertions)]
    if let Some(claimed) = claimed::build() {
        return claimed;
    }
    BUILD
}

/// [`PROTOCOL`]. A debug build takes another one from `CODEX_OAUTH_TEST_PROTOCOL`, such as `2-3`.
pub fn protocol() -> VersionRange {
    #[cfg(debug_assertions)]
    if let Some(claimed) = claimed::protocol() {
        return claimed;
    }
    PROTOCOL
}

/// Whether `build` was released after `than`: three numbers decide, then a pre-release (`-rc1`) is older than its release.
/// False for what cannot be read.
pub fn is_newer(build: &str, than: &str) -> bool {
    let order = |build: &str| {
        // What follows a `+` says how it was made, not when.
        let build = build.split('+').next()?;
        let (numbers, before) = build.split_once('-').map_or((build, None), |(a, b)| (a, Some(b.to_owned())));
        let numbers: Vec<u32> = numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        let is_release = before.is_none();
        (numbers.len() == 3).then_some((numbers, is_release, before))
    };
    build != than && matches!((order(build), order(than)), (Some(build), Some(than)) if build > than)
}

#[cfg(debug_assertions)]
mod claimed {
    use std::sync::LazyLock;

    use super::{ProtocolVersion, VersionRange};

    pub(super) fn build() -> Option<&'static str> {
        static CLAIMED: LazyLock<Option<String>> =
            LazyLock::new(|| std::env::var("CODEX_OAUTH_TEST_BUILD").ok());
        CLAIMED.as_deref()
    }

    pub(super) fn protocol() -> Option<VersionRange> {
        static CLAIMED: LazyLock<Option<VersionRange>> = LazyLock::new(|| {
            let text = std::env::var("CODEX_OAUTH_TEST_PROTOCOL").ok()?;
            let (min, max) = text.split_once('-')?;
            let version = |text: &str| text.parse().map(ProtocolVersion).ok();
            Some(VersionRange { min: version(min)?, max: version(max)? })
        });
        *CLAIMED
    }
}

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
    fn builds_are_ordered_by_their_numbers_and_what_cannot_be_read_is_never_newer() {
        for (newer, older) in
            [("0.2.0", "0.1.9"), ("0.10.0", "0.9.0"), ("1.0.0", "1.0.0-rc1"), ("1.0.0-rc2", "1.0.0-rc1")]
        {
            assert!(is_newer(newer, older) && !is_newer(older, newer), "{newer} {older}");
        }
        for other in ["0.1.0", "0.1.0+made-here", "", "1", "newest", "1.x.0", "1.2.3.4"] {
            assert!(!is_newer(other, "0.1.0") && !is_newer("0.1.0", other), "{other}");
        }
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
