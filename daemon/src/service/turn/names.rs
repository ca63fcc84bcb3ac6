//! What turns are called.

use std::sync::atomic::{AtomicU64, Ordering};

/// Names that no other turn has: the first one is random, each further one is computed, which costs a question no system call.
/// An identity, not a credential: it says nothing that the account does not say as well.
#[derive(Debug)]
pub(crate) struct Names {
    first: u128,
    given: AtomicU64,
}

impl Names {
    /// `first`: 128 random bits.
    pub(crate) const fn new(first: u128) -> Self {
        Self { first, given: AtomicU64::new(0) }
    }

    /// The next conversation's name upstream: 32 hex digits.
    pub(super) fn conversation(&self) -> String {
        /// 2^128 over the golden ratio, so that neighbours lie far apart. It is odd, so no two of 2^48 names end in the same
        /// [`ID_DIGITS`].
        const STEP: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
        let n = u128::from(self.given.fetch_add(1, Ordering::Relaxed));
        format!("{:032x}", self.first.wrapping_add(n.wrapping_mul(STEP)))
    }
}

/// As many digits of a conversation's name, its last ones, name the turn to people.
const ID_DIGITS: usize = 12;

/// What people call the turn of this conversation.
pub(super) fn id_of(conversation: &str) -> &str {
    &conversation[conversation.len() - ID_DIGITS..]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_turns_share_a_name_or_an_id_and_few_share_its_beginning() {
        let names = Names::new(u128::MAX - 5);
        let given: Vec<String> = (0..10_000).map(|_| names.conversation()).collect();
        assert!(given.iter().all(|name| name.len() == 32));
        assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len());
        assert_eq!(given.iter().map(|name| id_of(name)).collect::<HashSet<_>>().len(), given.len());
        // People type four digits of it.
        let latest = &given[given.len() - 200..];
        assert!(latest.iter().map(|name| &id_of(name)[..4]).collect::<HashSet<_>>().len() > 190);
    }
}
