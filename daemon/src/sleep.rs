//! Whether the computer slept: its wall clock went on and the monotonic one stood still. On Windows the monotonic one goes on
//! as well, so the time slept, which the system tells there, is added to the wall clock's.
//!
//! Nothing ticks here. Whoever is about to use what a sleep spoils, or waits in vain, compares two readings.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A wall clock that is set forward by less than this is a correction of the time, and a shorter sleep breaks no
/// connection.
const LEAST: Duration = Duration::from_secs(60);

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    wall: SystemTime,
    awake: Instant,
}

impl Reading {
    /// How long the computer slept since `earlier`; `None`: not for long enough to matter.
    pub fn slept_since(&self, earlier: &Self) -> Option<Duration> {
        // A wall clock that was set back says nothing.
        let wall = self.wall.duration_since(earlier.wall).ok()?;
        wall.checked_sub(self.awake.saturating_duration_since(earlier.awake)).filter(|slept| *slept > LEAST)
    }
}

/// Where readings come from.
#[derive(Clone)]
pub struct Clocks {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Clocks {
    /// With another wall clock.
    pub fn with_wall(wall: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(wall) }
    }

    /// Now.
    pub fn read(&self) -> Reading {
        Reading { wall: (self.wall)(), awake: Instant::now() }
    }
}

impl Default for Clocks {
    /// The system's.
    fn default() -> Self {
        #[cfg(windows)]
        return Self::with_wall(|| SystemTime::now() + crate::windows::sys::slept());
        #[cfg(not(windows))]
        Self::with_wall(SystemTime::now)
    }
}

impl fmt::Debug for Clocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clocks")
    }
}

/// Something that was last heard of at a time.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    since: Reading,
    /// The sleep was noticed at an earlier look.
    noticed: bool,
}

impl Silence {
    /// Heard of just now.
    pub const fn since(since: Reading) -> Self {
        Self { since, noticed: false }
    }

    /// Whether the computer slept meanwhile.
    pub fn slept(&self, now: &Reading) -> Option<Duration> {
        now.slept_since(&self.since)
    }

    /// A look after another span of silence. True: it has lasted such a span since the computer woke.
    pub fn outlasted_a_sleep(&mut self, now: &Reading) -> bool {
        self.slept(now).is_some() && std::mem::replace(&mut self.noticed, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(wall: u64, awake: u64) -> Reading {
        let start = Instant::now();
        Reading {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + wall),
            awake: start + Duration::from_secs(awake),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_wall_clock_more_than_a_minute_ahead_is_a_sleep() {
        let before = reading(0, 0);
        for (wall, awake, slept) in
            [(5, 5, None), (70, 10, None), (71, 10, Some(61)), (9_000, 0, Some(9_000)), (0, 500, None)]
        {
            let found = reading(wall, awake).slept_since(&before);
            assert_eq!(found, slept.map(Duration::from_secs), "{wall}, {awake}");
        }
        let set_back = Reading { wall: SystemTime::UNIX_EPOCH, ..reading(0, 100) };
        assert_eq!(set_back.slept_since(&before), None);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_over_at_the_second_look_after_the_sleep() {
        let mut silence = Silence::since(reading(0, 0));
        let looks = [(10, 10), (20, 20), (3_630, 30), (3_640, 40)].map(|(wall, awake)| reading(wall, awake));
        assert_eq!(looks.map(|now| silence.outlasted_a_sleep(&now)), [false, false, false, true]);
    }
}
