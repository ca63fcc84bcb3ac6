//! Renewing ahead of the questions, on a paused clock.

use std::sync::atomic::AtomicI64;

use super::house::{House, virtual_clock};
use super::*;
use crate::auth::testing::memory::Strict;

async fn hours(hours: u64) {
    // In steps, so that tasks run in between as they would.
    for _ in 0..hours * 60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

fn house(issuer: &Strict, seconds_left: i64) -> House {
    let house = House::new(issuer.in_memory(|| ()));
    house.sign_in(seconds_left, &issuer.grant(7));
    house
}

#[tokio::test(start_paused = true)]
async fn while_somebody_is_there_the_login_is_renewed_five_to_six_minutes_before_its_end() {
    for _ in 0..20 {
        let issuer = Strict::new(86_400 * 9, Duration::from_millis(50));
        let house = house(&issuer, 7_200);
        let (tokens, _) = house.process(false);
        let fresh = tokens.keep_fresh();
        let began = tokio::time::Instant::now();
        while issuer.posts().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(7_200), "never renewed");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let left = 7_200 - began.elapsed().as_secs();
        assert!((299..=361).contains(&left), "{left} s before the end");
        drop(fresh);
    }
}

#[tokio::test(start_paused = true)]
async fn without_anybody_there_nothing_is_renewed_and_no_task_is_left() {
    let issuer = Strict::new(86_400, Duration::ZERO);
    let house = house(&issuer, 1_200);
    let (tokens, drained) = house.process(false);
    let tracker = tokens.0.freshness.tasks.clone();
    let (one, other) = (tokens.keep_fresh(), tokens.keep_fresh());
    assert_eq!(tracker.len(), 1, "one task for all");
    assert!(drained.is_empty(), "nothing that the end of the daemon waits for");
    drop(one);
    assert_eq!(tracker.len(), 1);
    drop(other);
    tracker.close();
    tracker.wait().await;
    hours(2).await;
    assert!(issuer.posts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_question_after_the_renewal_waits_for_nothing() {
    let issuer = Strict::new(86_400, Duration::from_secs(5));
    let house = house(&issuer, 600);
    let (tokens, _) = house.process(false);
    let _fresh = tokens.keep_fresh();
    tokio::time::sleep(Duration::from_secs(400)).await;
    let before = tokio::time::Instant::now();
    assert_eq!(tokens.grant().await.unwrap().access_token, access_token(86_400, "rt_7_1"));
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(issuer.posts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_is_noticed_within_a_minute_by_its_wall_clock() {
    let issuer = Strict::new(86_400 * 9, Duration::ZERO);
    let mut house = house(&issuer, 4 * 3_600);
    let (steady, slept) = (virtual_clock(), Arc::new(AtomicI64::new(0)));
    let jumped = Arc::clone(&slept);
    house.clock = Clock::of(move || {
        steady.now() + Duration::from_secs(u64::try_from(jumped.load(Ordering::Relaxed)).unwrap())
    });
    let (tokens, _) = house.process(false);
    let _fresh = tokens.keep_fresh();
    hours(1).await;
    assert!(issuer.posts().is_empty());
    slept.store(3 * 3_600, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(issuer.posts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_is_asked_once_a_minute_at_most() {
    let issuer = crate::auth::testing::memory::InMemory::new({
        let count = Arc::new(AtomicUsize::new(0));
        move |_, _, _| {
            assert!(count.fetch_add(1, Ordering::Relaxed) < 8, "the issuer is pressed");
            Box::pin(async { Ok((503, "busy".to_owned())) })
        }
    });
    let house = House::new(issuer);
    house.sign_in(310, "rt_old");
    let (tokens, _) = house.process(false);
    let _fresh = tokens.keep_fresh();
    tokio::time::sleep(Duration::from_secs(300)).await;
}
