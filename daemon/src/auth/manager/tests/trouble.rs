//! An issuer that is unwell for a minute, on a paused clock.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::house::{House, URL};
use super::*;
use crate::auth::issuer::IssuerError;
use crate::auth::testing::memory::{InMemory, no_answer};
use crate::network::Fault;

/// A minute of an issuer that answers so (`None`: never), with a caller every 100 ms: how many requests it got, and how the
/// calls ended.
async fn a_minute_of(
    answer: Option<(u16, &'static str)>,
    seconds_left: i64,
) -> (usize, Vec<Result<Grant, AuthError>>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let issuer = InMemory::new(move |_, _, timeout| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if let Some((status, body)) = answer {
                return Ok((status, body.to_owned()));
            }
            tokio::time::sleep(timeout).await;
            Err(no_answer())
        })
    });
    let mut house = House::new(issuer);
    house.limits = Limits::default();
    put_login(&house.file(), &login_at(URL, seconds_left, "old", "rt_old"));
    let (tokens, _) = house.process(false);
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut results = Vec::new();
    while tokio::time::Instant::now() < end {
        results.push(tokens.grant().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (count.load(Ordering::Relaxed), results)
}

const HTML: &str = "<html><title>Attention Required!</title></html>";
const TROUBLES: [Option<(u16, &str)>; 6] =
    [Some((429, "{}")), Some((500, "{}")), Some((503, HTML)), Some((403, HTML)), Some((200, "{}")), None];

#[tokio::test(start_paused = true)]
async fn an_issuer_in_trouble_gets_at_most_eight_calls_a_minute_and_the_old_token_serves() {
    for trouble in TROUBLES {
        let (calls, results) = a_minute_of(trouble, 200).await;
        assert!((1..=8).contains(&calls), "{trouble:?}: {calls} calls");
        assert!(
            results.len() > 50,
            "{trouble:?}: nobody waits long for a token that is good: {}",
            results.len()
        );
        for result in results {
            assert_eq!(result.unwrap().access_token, access_token(200, "old"), "{trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_in_trouble_is_not_pressed_by_callers_without_a_token_either() {
    for trouble in TROUBLES {
        let (calls, results) = a_minute_of(trouble, -10).await;
        assert!((1..=8).contains(&calls), "{trouble:?}: {calls} calls");
        for result in results {
            let error = result.unwrap_err();
            let told = matches!(error, AuthError::Unavailable { .. } | AuthError::OutcomeUnknown { .. });
            assert!(told, "{trouble:?}: {error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_without_a_network_the_login_is_renewed_within_a_pause_of_its_return() {
    /// The first pause with its jitter, and the caller's own.
    const SOON: Duration = Duration::from_millis(1_300);
    for seconds_left in [200, -10] {
        let is_back = Arc::new(AtomicBool::new(false));
        let (back, count) = (Arc::clone(&is_back), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&count);
        let issuer = InMemory::new(move |_, _, _| {
            let answer = if back.load(Ordering::Relaxed) {
                Ok((200, pair(1)))
            } else {
                counted.fetch_add(1, Ordering::Relaxed);
                Err(IssuerError::Connect(Fault::Other("the network is down".into())))
            };
            Box::pin(async move { answer })
        });
        let mut house = House::new(issuer);
        house.limits = Limits::default();
        put_login(&house.file(), &login_at(URL, seconds_left, "old", "rt_old"));
        let (tokens, _) = house.process(false);
        let began = tokio::time::Instant::now();
        while began.elapsed() < Duration::from_secs(600) {
            let is_good = Duration::from_secs(seconds_left.try_into().unwrap_or(0)) > began.elapsed();
            match tokens.grant().await {
                Ok(grant) => assert!(is_good && grant.access_token == access_token(seconds_left, "old")),
                // Told as what it is, with the time of the next try.
                Err(AuthError::Unavailable { source, .. }) => {
                    assert!(!is_good && matches!(*source, IssuerError::Connect(_)), "{source:?}");
                }
                Err(error) => panic!("{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let tries = count.load(Ordering::Relaxed);
        assert!((350..770).contains(&tries), "about one a second, and no more: {tries}");
        is_back.store(true, Ordering::Relaxed);
        let returned = tokio::time::Instant::now();
        while tokens
            .grant()
            .await
            .ok()
            .is_none_or(|grant| grant.access_token != access_token(86_400, "new-1"))
        {
            assert!(returned.elapsed() < SOON, "not renewed {:?} after the return", returned.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
