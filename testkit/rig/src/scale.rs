//! How much a long test does: a twentieth by default, everything with `CODEX_OAUTH_TESTS=full`; and its seed, printed, so
//! that a failure can be repeated with `CODEX_OAUTH_TEST_SEED`. `testkit/full` runs all of them and collects what they print.

use std::time::Duration;

/// What a usual run does of a long test's rounds, so that the whole suite stays a matter of minutes.
const USUAL_SHARE: u32 = 20;

/// What a usual run does of a test that is as long as one likes.
const USUAL_SHARE_OF_TIME: u32 = 100;

/// `full` rounds with `CODEX_OAUTH_TESTS=full`, else a twentieth, at least one. Prints how many.
#[track_caller]
pub fn rounds(full: u32) -> u32 {
    let rounds = if everything() { full } else { full.div_ceil(USUAL_SHARE) };
    size(&format!("{rounds} of {full} rounds"));
    rounds
}

/// How long a test goes on that has no natural end: `full` with `CODEX_OAUTH_TESTS=full`, else a hundredth. Prints it.
#[track_caller]
pub fn lasting(full: Duration) -> Duration {
    let time = if everything() { full } else { full / USUAL_SHARE_OF_TIME };
    size(&format!("{time:?} of {full:?}"));
    time
}

/// Prints a figure that a test has measured, beside what was promised on a machine that does nothing else, as the benchmarks do.
/// A missed time is a row, not a failure.
#[expect(clippy::print_stderr, reason = "the measured figure")]
pub fn figure(what: &str, measured: &str, target: &str, is_met: bool) {
    eprintln!("figure: {what} | {measured} | {target} | {}", if is_met { "ok" } else { "MISS" });
}

/// With the place in the test, whose thread has not always its name.
#[expect(clippy::print_stderr, reason = "shown by `testkit/full`")]
#[track_caller]
fn size(size: &str) {
    eprintln!("size: {}: {size}", std::panic::Location::caller());
}

fn everything() -> bool {
    std::env::var("CODEX_OAUTH_TESTS").is_ok_and(|value| value == "full")
}

/// Pseudo-random numbers for choosing test cases (`SplitMix64`): repeatable, not secret.
#[derive(Clone, Debug)]
pub struct Seeded {
    state: u64,
}

impl Seeded {
    /// From `CODEX_OAUTH_TEST_SEED`, else from the clock. Prints the seed with the test's name.
    pub fn new(test: &str) -> Self {
        let given = std::env::var("CODEX_OAUTH_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |since| u64::from(since.subsec_nanos()) ^ since.as_secs())
        });
        #[expect(clippy::print_stderr, reason = "shown with a failed test, to repeat it")]
        {
            eprintln!("seed: {test}: CODEX_OAUTH_TEST_SEED={seed}");
        }
        Self { state: seed }
    }

    /// The sequence of a seed that another sequence gave.
    pub const fn from(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// Changes `bytes` in one place: cut, drop, flip, repeat a piece, or put in one of `words`, which mean something to the
    /// reader.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, words: &[&str]) {
        let mut place = |bytes: &[u8]| self.index(bytes.len() + 1);
        let (from, to) = (place(bytes), place(bytes));
        let (from, to) = (from.min(to), from.max(to));
        match self.below(5) {
            0 => bytes.truncate(from),
            1 => drop(bytes.drain(from..to.min(from + 8))),
            2 if from < bytes.len() => bytes[from] ^= 1 << self.below(8),
            3 => {
                let word = words[self.index(words.len())];
                bytes.splice(from..from, word.bytes());
            }
            _ => {
                let piece: Vec<u8> = bytes[from..to.min(from + 32)].to_vec();
                bytes.splice(to..to, piece);
            }
        }
    }

    /// An index into `length` things, of which there is at least one.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (mut one, mut other) = (Seeded { state: 7 }, Seeded { state: 7 });
        assert_eq!(
            [one.number(), one.number(), one.below(10)],
            [other.number(), other.number(), other.below(10)]
        );
    }
}
