//! A full disk, a forbidden or a read-only one, at every operation of a refresh.

use std::io;
use std::sync::atomic::AtomicBool;

use super::house::House;
use super::*;
use crate::auth::login::chain;
use crate::auth::testing::memory::Strict;
use crate::fsx::{self, Op};

/// From which operation on, and for how many of them, `error` is the answer.
struct Fault {
    error: i32,
    from: usize,
    count: usize,
}

const OLD: &str = "rt_7_0";
const NEW: &str = "rt_7_1";

fn house() -> (House, Strict) {
    let issuer = Strict::new(86_400, Duration::ZERO);
    issuer.grant(7);
    let mut house = House::new(issuer.in_memory(|| ()));
    // What could not be written is written as soon as somebody asks.
    house.limits.refresh_backoff_first = Duration::ZERO;
    house.sign_in(-10, OLD);
    (house, issuer)
}

async fn operations() -> usize {
    let (house, _) = house();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let _watch = fsx::hook(house.home.path(), move |op| {
        counted.fetch_add(usize::from(!matches!(op, Op::Created(_))), Ordering::Relaxed);
        Ok(())
    });
    let (tokens, _) = house.process(false);
    tokens.grant().await.unwrap();
    tokens.refresh_ended().await;
    count.load(Ordering::Relaxed)
}

async fn check(fault: Fault) {
    let (house, issuer) = house();
    let (seen, lifted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counter, over, errno) = (Arc::clone(&seen), Arc::clone(&lifted), fault.error);
    let _watch = fsx::hook(house.home.path(), move |op| {
        if matches!(op, Op::Created(_)) || over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let fails = (fault.from..fault.from.saturating_add(fault.count)).contains(&number);
        if fails { Err(io::Error::from_raw_os_error(errno)) } else { Ok(()) }
    });
    let (tokens, _) = house.process(false);
    let grant = tokens.grant().await;
    tokens.refresh_ended().await;
    let posts = issuer.posts();
    let place =
        format!("{} at operations {} + {}", io::Error::from_raw_os_error(errno), fault.from, fault.count);
    let spent = posts.contains_key(OLD);
    match &grant {
        Ok(_) => assert_eq!(house.refresh_token(), NEW, "{place}"),
        Err(error @ (AuthError::Store(_) | AuthError::NotSaved { .. })) => {
            assert_eq!(matches!(error, AuthError::NotSaved { .. }), spent, "{place}: {error:?}");
            assert!([OLD, NEW].contains(&house.refresh_token().as_str()), "{place}");
            let text = chain(error);
            let step = ["create", "write", "sync", "replace", "remove"]
                .iter()
                .any(|step| text.contains(&format!("could not {step}")));
            assert!(step && text.contains(house.home.path().to_str().unwrap()), "{place}: {text}");
            assert!(text.contains(&io::Error::from_raw_os_error(errno).to_string()), "{place}: {text}");
        }
        Err(error) => panic!("{place}: {error:?}"),
    }
    lifted.store(true, Ordering::Relaxed);
    // By the same process, and by one that finds what it left behind.
    let next = if fault.from.is_multiple_of(2) { tokens } else { house.process(false).0 };
    next.begin().await;
    let grant = next.grant().await;
    let in_memory_only = spent && grant.is_err();
    if in_memory_only {
        // Its only copy was in a process that is gone, on a disk that took nothing: the one thing that cannot be mended.
        assert!(matches!(grant, Err(AuthError::Refused(refusal)) if refusal.interrupted), "{place}");
        assert!(fault.count > 1 && !fault.from.is_multiple_of(2), "{place}");
        return;
    }
    assert_eq!(grant.unwrap().access_token, access_token(86_400, NEW), "{place}");
    assert_eq!((house.refresh_token().as_str(), issuer.reused().len()), (NEW, 0), "{place}");
    assert_eq!(issuer.posts()[OLD], 1, "{place}");
}

#[tokio::test]
async fn a_disk_error_at_any_operation_spends_nothing_or_loses_nothing() {
    let operations = operations().await;
    assert!(operations > 15, "{operations}");
    for error in [rustix::io::Errno::NOSPC, rustix::io::Errno::ACCESS, rustix::io::Errno::ROFS] {
        for from in 0..operations {
            for count in [1, usize::MAX] {
                check(Fault { error: error.raw_os_error(), from, count }).await;
            }
        }
    }
}
