//! Whether anybody needs the daemon: what keeps it busy is counted, and a wait tells when nothing has for long enough.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// What keeps the daemon busy; every clone counts the same.
#[derive(Clone, Debug)]
pub(crate) struct Idle(Arc<Mutex<Use>>);

#[derive(Debug)]
struct Use {
    /// Guards that are held.
    busy: usize,
    /// When there was last one, or a touch.
    last: Instant,
}

/// As long as it is held, the daemon is not idle.
#[derive(Debug)]
pub(crate) struct Busy(Idle);

impl Idle {
    /// In use just now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Use { busy: 0, last: Instant::now() })))
    }

    /// Something begins that the daemon must not end under.
    pub(crate) fn busy(&self) -> Busy {
        self.0.lock().busy += 1;
        Busy(self.clone())
    }

    /// Counts as a use that is over at once.
    pub(crate) fn touch(&self) {
        self.0.lock().last = Instant::now();
    }

    /// Returns when nothing was busy for `time`; never when that is zero.
    ///
    /// It sleeps and looks, once per `time` at most: nothing that begins or ends has to wake it.
    pub(crate) async fn lasted(&self, time: Duration) {
        if time.is_zero() {
            return std::future::pending().await;
        }
        loop {
            let now = Instant::now();
            let over = {
                let used = self.0.lock();
                if used.busy > 0 { now + time } else { used.last + time }
            };
            if over <= now {
                return;
            }
            sleep_until(over).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut used = self.0.0.lock();
        used.busy -= 1;
        used.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn idle_is_counted_from_the_end_of_the_last_use() {
        let idle = Idle::new();
        let began = Instant::now();
        let (first, second) = (idle.busy(), idle.busy());
        let user = async {
            tokio::time::sleep(Duration::from_millis(80)).await;
            drop(first);
            tokio::time::sleep(Duration::from_millis(75)).await;
            drop(second);
        };
        tokio::join!(user, idle.lasted(TIME));
        assert_eq!(began.elapsed(), Duration::from_millis(155) + TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_touch_begins_the_time_anew_and_zero_never_ends() {
        let idle = Idle::new();
        let began = Instant::now();
        let user = async {
            tokio::time::sleep(Duration::from_millis(49)).await;
            idle.touch();
        };
        tokio::join!(user, idle.lasted(TIME));
        assert_eq!(began.elapsed(), Duration::from_millis(49) + TIME);
        let never = idle.lasted(Duration::ZERO);
        assert!(tokio::time::timeout(Duration::from_secs(1_000_000), never).await.is_err());
    }

    /// Uses at random distances around the edge: the wait never ends within one, and never before its time.
    #[tokio::test(start_paused = true)]
    async fn ten_thousand_uses_at_the_edge_are_never_cut() {
        let mut random = 0x1234_5678_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 33
        };
        let idle = Idle::new();
        let mut ended = 0;
        for _ in 0..10_000 {
            // Within 2 ms of the edge, on either side, in steps of 0.1 ms.
            let pause = Duration::from_micros(48_000 + next() % 41 * 100);
            let since = Instant::now();
            tokio::select! {
                biased;
                () = idle.lasted(TIME) => {
                    ended += 1;
                    assert_eq!(since.elapsed(), TIME);
                    idle.touch();
                }
                () = tokio::time::sleep(pause) => {
                    assert!(pause <= TIME, "idle for {pause:?} and still there");
                    let busy = idle.busy();
                    let held = Duration::from_micros(next() % 200_000);
                    assert!(tokio::time::timeout(held, idle.lasted(TIME)).await.is_err(), "cut in a use");
                    drop(busy);
                }
            }
        }
        assert!((1_000..9_000).contains(&ended), "{ended} of 10000 were past the edge");
    }
}
