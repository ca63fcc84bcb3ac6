//! When the callers of a refresh get its token: the pair is on the disk and in the file; what else is written is not waited for.

#[cfg(unix)]
use std::io;
use std::sync::mpsc;

use parking_lot::Mutex;

use super::*;
use crate::auth::journal::Event;
use crate::fsx::{self, Hook, Op};

/// Longer than any machine takes; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Holds the disk before the first operation that fits, until the sender is dropped; what was done before it.
fn held(
    rig: &Rig,
    fits: impl Fn(&Op) -> bool + Send + Sync + 'static,
) -> (mpsc::Sender<()>, Arc<Mutex<Vec<Op>>>, Hook) {
    let (go_on, held) = mpsc::channel::<()>();
    let held = Mutex::new(Some(held));
    let done = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&done);
    let watch = fsx::hook(rig.home.path(), move |op| {
        let first = fits(op).then(|| held.lock().take()).flatten();
        if let Some(held) = first {
            // Nothing is ever sent: the end of the sender is the end of the wait.
            let _ended = held.recv_timeout(PATIENCE);
        }
        log.lock().push(op.clone());
        Ok(())
    });
    (go_on, done, watch)
}

fn is_copy(path: &Path) -> bool {
    path.ends_with(".auth.json.copy")
}

#[tokio::test]
async fn the_new_pair_is_on_disk_before_anybody_gets_it() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let (file, slot) = (rig.file(), rig.slot());
    let replaced = Mutex::new(false);
    // Right after the file is replaced, before its folder is synced, where folders are.
    let (go_on, done, _watch) = held(&rig, move |op| {
        let replaces = matches!(op, Op::Rename(_, to) if *to == file);
        std::mem::replace(&mut *replaced.lock(), replaces)
    });
    let grant = rig.tokens.grant().await.unwrap();
    let done = done.lock().clone();
    assert_eq!(rig.record()["access_token"], grant.access_token.expose());
    assert_eq!(
        done.last().map(|op| matches!(op, Op::Rename(_, to) if *to == rig.file())),
        Some(true),
        "{done:?}"
    );
    let filled = done.iter().position(|op| matches!(op, Op::Write(path, at, _) if *path == slot && *at > 0));
    let synced = done.iter().rposition(|op| matches!(op, Op::Sync(path) if *path == slot));
    assert!(filled.is_some() && synced > filled, "a power cut now would lose it: {done:?}");
    drop(go_on);
    rig.tokens.refresh_ended().await;
    assert!(!slot.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_pair_that_has_no_second_place_is_not_given_out_before_a_power_cut_leaves_its_file() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let (file, slot) = (rig.file(), rig.slot());
    let replaced = Mutex::new(false);
    let _watch = fsx::hook(rig.home.path(), move |op| match op {
        Op::Write(path, at, _) if *path == slot && *at > 0 => Err(io::Error::other("full")),
        Op::Rename(_, to) if *to == file => {
            *replaced.lock() = true;
            Ok(())
        }
        Op::SyncDir(_) if *replaced.lock() => Err(io::Error::other("broken")),
        _ => Ok(()),
    });
    let grant = rig.tokens.grant().await;
    assert!(matches!(grant, Err(AuthError::NotSaved { .. })), "{grant:?}");
}

#[tokio::test]
async fn who_comes_while_the_rest_is_written_gets_the_new_token_and_nobody_else_is_blamed_for_it() {
    let rig = Rig::new(pairs()).await;
    rig.tokens.0.store.replace(&rig.login(-10)).await.unwrap();
    let (go_on, _, _watch) = held(&rig, |op| matches!(op, Op::Rename(_, to) if is_copy(to)));
    let first = rig.tokens.grant().await.unwrap();
    assert_eq!(rig.tokens.grant().await.unwrap().access_token, first.access_token);
    drop(go_on);
    rig.tokens.refresh_ended().await;
    rig.tokens.grant().await.unwrap();
    let events: Vec<_> = rig.tokens.history().iter().map(|entry| entry.event).collect();
    assert_eq!(events, [Event::SignedIn, Event::Renewed], "no line that another program wrote it");
}

#[tokio::test]
async fn a_file_that_is_put_back_while_the_rest_is_written_gets_the_new_pair_again() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let before = std::fs::read_to_string(rig.file()).unwrap();
    let (go_on, _, _watch) = held(&rig, |op| matches!(op, Op::Rename(_, to) if is_copy(to)));
    let grant = rig.tokens.grant().await.unwrap();
    put(&rig.file(), &before);
    let mut again = Box::pin(rig.tokens.grant());
    assert!(futures_util::poll!(&mut again).is_pending(), "there is no copy yet, and no second request");
    drop(go_on);
    assert_eq!(again.await.unwrap().access_token, grant.access_token);
    assert_eq!(rig.record()["access_token"], grant.access_token.expose());
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_logout_while_the_rest_is_written_leaves_no_token_on_the_disk() {
    let rig = Rig::with(
        quick(),
        |_| {},
        |seen| match seen.path.as_str() {
            "/oauth/revoke" => Reply::Now(200, String::new()),
            _ => Reply::Now(200, pair(1)),
        },
    )
    .await;
    rig.sign_in(-10);
    let (go_on, _, _watch) = held(&rig, |op| matches!(op, Op::Rename(_, to) if is_copy(to)));
    rig.tokens.grant().await.unwrap();
    let mut logout = Box::pin(rig.tokens.logout());
    tokio::select! {
        report = &mut logout => panic!("before the copy is written: {report:?}"),
        () = rig.issuer.reached(2) => {}
    }
    drop(go_on);
    assert!(matches!(logout.await.unwrap().revocation, Revocation::Done));
    rig.tokens.refresh_ended().await;
    for entry in std::fs::read_dir(rig.home.path()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("rt_") && !text.contains("eyJ"), "{}: {text}", path.display());
    }
}
