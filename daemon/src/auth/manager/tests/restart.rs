//! What a process that was killed leaves to the next one.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::auth::journal::{Event, Evidence};

fn events(tokens: &TokenManager) -> Vec<Event> {
    tokens.history().iter().map(|entry| entry.event).collect()
}

/// Kills the process at the moment when its `count`th request is on the wire.
async fn killed_in_mid_refresh(rig: &Rig, count: usize) {
    tokio::select! {
        grant = rig.tokens.grant() => panic!("{grant:?}"),
        () = rig.issuer.reached(count) => {}
    }
}

#[tokio::test]
async fn the_record_of_a_refresh_is_there_while_it_runs_and_gone_after_it() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let rig = Rig::new(move |_| Reply::When(Arc::clone(&held), 200, pair(1))).await;
    rig.sign_in(-10);
    killed_in_mid_refresh(&rig, 1).await;
    let mode = std::fs::metadata(rig.slot()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(rig.slot()).unwrap();
    assert!(text.contains(&rig.login(-10).refresh_fingerprint().unwrap().to_string()));
    assert!(!text.contains("rt_old"), "no token in it before the answer");
    gate.notify_one();
    rig.renewed().await;
    assert!(!rig.slot().exists());
    assert_eq!(events(&rig.tokens), [Event::Renewed]);
}

#[tokio::test]
async fn a_pair_that_was_not_written_to_the_file_is_written_at_the_next_start() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let unwritable = rig.file();
    // The swap fails and the process is killed before it can try again.
    let watch = crate::fsx::hook(rig.home.path(), move |op| match op {
        crate::fsx::Op::Rename(_, to) if *to == unwritable => Err(std::io::Error::other("no")),
        _ => Ok(()),
    });
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::NotSaved { .. })));
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_old");
    drop(watch);

    let next = rig.restart();
    next.begin().await;
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_new_1");
    assert!(!rig.slot().exists());
    assert_eq!(next.grant().await.unwrap().access_token, access_token(86_400, "new-1"));
    assert_eq!(events(&next), [Event::Recovered]);
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_pair_that_was_left_behind_gives_way_to_a_newer_login_and_is_revoked() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let unwritable = rig.file();
    let watch = crate::fsx::hook(rig.home.path(), move |op| match op {
        crate::fsx::Op::Rename(_, to) if *to == unwritable => Err(std::io::Error::other("no")),
        _ => Ok(()),
    });
    rig.tokens.grant().await.unwrap_err();
    drop(watch);
    let mut newer = login_at(&rig.issuer.url, 3600, "newer", "rt_newer");
    newer.own.as_mut().unwrap().obtained_at = Some(SystemTime::now());
    put_login(&rig.file(), &newer);

    let next = rig.restart();
    assert_eq!(next.grant().await.unwrap().access_token, newer.access_token);
    next.begin().await;
    rig.issuer.reached(2).await;
    assert_eq!(rig.issuer.seen()[1].json()["token"], "rt_new_1");
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_newer");
    assert!(!rig.slot().exists());
    assert_eq!(events(&next), [Event::Discarded]);
}

#[tokio::test]
async fn after_a_kill_in_mid_refresh_a_valid_token_is_used_and_nothing_is_sent() {
    let rig = Rig::new(|_| Reply::Never).await;
    rig.sign_in(200);
    killed_in_mid_refresh(&rig, 1).await;
    let next = rig.restart();
    for _ in 0..3 {
        assert_eq!(next.grant().await.unwrap().access_token, rig.login(200).access_token);
    }
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn after_a_kill_in_mid_refresh_one_more_try_is_made_and_its_refusal_is_called_interrupted() {
    let count = AtomicUsize::new(0);
    let rig = Rig::new(move |seen| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Never,
        _ => refused(seen),
    })
    .await;
    rig.sign_in(-10);
    killed_in_mid_refresh(&rig, 1).await;
    for next in [rig.restart(), rig.restart()] {
        match next.grant().await {
            Err(AuthError::Refused(refusal)) => assert!(refusal.interrupted),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rig.issuer.seen().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_not_sent_again_by_any_later_process() {
    let rig = Rig::new(refused).await;
    rig.sign_in(-10);
    for next in [rig.tokens.clone(), rig.restart(), rig.restart()] {
        match next.grant().await {
            Err(AuthError::Refused(refusal)) => {
                assert_eq!(refusal.code.as_deref(), Some("refresh_token_reused"));
                assert_eq!((refusal.status, refusal.message.as_str()), (401, "used"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_put_back_to_an_older_state_gets_the_live_login_again() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let before = std::fs::read_to_string(rig.file()).unwrap();
    rig.renewed().await;
    for next in [rig.tokens.clone(), rig.restart()] {
        put(&rig.file(), &before);
        assert_eq!(next.grant().await.unwrap().access_token, access_token(86_400, "new-1"));
        assert_eq!(rig.record()["grant"]["refresh_token"], "rt_new_1");
        assert_eq!(events(&next).last(), Some(&Event::Restored));
    }
    assert_eq!(rig.issuer.seen().len(), 1, "the spent token was not sent again");
}

#[tokio::test]
async fn a_spent_token_without_a_newer_copy_is_explained_and_not_sent() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let before = std::fs::read_to_string(rig.file()).unwrap();
    rig.renewed().await;
    remove(&rig.home.path().join(".auth.json.copy"));
    put(&rig.file(), &before);
    for next in [rig.tokens.clone(), rig.restart()] {
        assert!(matches!(next.grant().await, Err(AuthError::Spent { .. })));
        assert!(matches!(next.status().await.state, AuthState::Expired));
    }
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_says_what_the_history_proves() {
    let rig = Rig::new(refused).await;
    rig.sign_in(-10);
    let evidence = |error: AuthError| match error {
        AuthError::Refused(refusal) => refusal.evidence,
        other => panic!("{other:?}"),
    };
    assert_eq!(evidence(rig.tokens.grant().await.unwrap_err()), Evidence::None);
    put_login(&rig.file(), &login_at(&rig.issuer.url, -10, "old", "rt_other"));
    let theirs = evidence(rig.tokens.grant().await.unwrap_err());
    assert!(matches!(theirs, Evidence::WrittenByOther { .. }), "{theirs:?}");
    assert_eq!(events(&rig.tokens), [Event::Refused, Event::Found, Event::Refused]);

    let count = AtomicUsize::new(0);
    let expired = json!({"access_token": access_token(-10, "short").expose(), "refresh_token": "rt_2"});
    let rig = Rig::new(move |seen| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Now(200, expired.to_string()),
        _ => refused(seen),
    })
    .await;
    rig.sign_in(3600);
    let first = rig.tokens.grant().await.unwrap();
    let second = rig.tokens.recover(&first).await.unwrap();
    let mut next = login_at(&rig.issuer.url, -10, "short", "rt_2");
    next.own.as_mut().unwrap().renewals = 1;
    put_login(&rig.file(), &next);
    let ours = evidence(rig.tokens.recover(&second).await.unwrap_err());
    assert!(matches!(ours, Evidence::NeverSentHere { .. }), "{ours:?}");
}

#[tokio::test]
async fn signing_out_leaves_no_token_on_the_disk() {
    let count = AtomicUsize::new(0);
    let rig = Rig::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Now(200, pair(1)),
        1 => Reply::Never,
        _ => Reply::Now(200, String::new()),
    })
    .await;
    rig.sign_in(-10);
    rig.renewed().await;
    let mut again = login_at(&rig.issuer.url, 200, "old", "rt_again");
    again.own.as_mut().unwrap().renewals = 2;
    put_login(&rig.file(), &again);
    tokio::select! {
        grant = rig.tokens.grant() => panic!("{grant:?}"),
        () = rig.issuer.reached(2) => {}
    }
    rig.restart().logout().await.unwrap();
    for entry in std::fs::read_dir(rig.home.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("rt_") && !text.contains("eyJ"), "{}: {text}", path.display());
    }
}

#[tokio::test]
async fn a_copy_that_a_killed_process_did_not_write_is_written_by_the_next() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let before = std::fs::read_to_string(rig.file()).unwrap();
    // Killed between the write of the file and that of its copy: the record of the refresh stays.
    let watch = crate::fsx::hook(rig.home.path(), |op| match op {
        crate::fsx::Op::Rename(_, to) if to.ends_with(".auth.json.copy") => Err(std::io::Error::other("no")),
        crate::fsx::Op::Remove(_) => Err(std::io::Error::other("no")),
        _ => Ok(()),
    });
    rig.renewed().await;
    drop(watch);
    assert!(rig.slot().exists() && !rig.home.path().join(".auth.json.copy").exists());

    let next = rig.restart();
    next.begin().await;
    put(&rig.file(), &before);
    assert_eq!(next.grant().await.unwrap().access_token, access_token(86_400, "new-1"));
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_newer_login_put_over_an_older_one_inherits_nothing_that_makes_it_look_newer_still() {
    let rig = Rig::new(pairs()).await;
    let mut older = rig.login(3600);
    older.own.as_mut().unwrap().renewals = 7;
    put_login(&rig.file(), &older);
    let mut newer = login_at(&rig.issuer.url, 3600, "newer", "rt_newer");
    newer.own.as_mut().unwrap().obtained_at = Some(SystemTime::now());
    rig.tokens.0.store.replace(&newer).await.unwrap();
    // Put back to before the signing in: the newer login is restored, and renewed.
    put_login(&rig.file(), &older);
    let first = rig.tokens.grant().await.unwrap();
    rig.tokens.recover(&first).await.unwrap();
    rig.tokens.refresh_ended().await;
    assert_eq!(rig.record()["grant"]["renewals"], Value::Null);
    let restored = std::fs::read_to_string(rig.file()).unwrap();
    let second = rig.tokens.grant().await.unwrap();
    rig.tokens.recover(&second).await.unwrap();
    rig.tokens.refresh_ended().await;
    // Put back to before that renewal: the copy is the newer one.
    for next in [rig.tokens.clone(), rig.restart()] {
        put(&rig.file(), &restored);
        let spent = next.grant().await.unwrap();
        assert_eq!(next.recover(&spent).await.unwrap().access_token, access_token(86_400, "new-1"));
        assert_eq!(rig.record()["grant"]["refresh_token"], "rt_new_1");
    }
    assert_eq!(rig.issuer.seen().len(), 1, "no spent token was sent");
}
