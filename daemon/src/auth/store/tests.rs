use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::*;
#[cfg(unix)]
use crate::auth::testing::hard_link;
use crate::auth::testing::{credentials, put, put_login, read_json, remove};

struct Rig {
    _home: tempfile::TempDir,
    store: Store,
}

fn store(path: PathBuf, reread: Reread) -> Store {
    let journal = Journal::new(path.with_file_name("history.jsonl"));
    Store::new((path, Shelf::First), reread, Clock::system(), journal, Changes::default())
}

impl Rig {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let reread = Reread { tries: 2, pause: Duration::ZERO };
        let store = store(home.path().join("auth.json"), reread);
        Self { _home: home, store }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.store.path()).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        read_json(self.store.path()).as_object().unwrap().keys().cloned().collect()
    }
}

#[tokio::test]
async fn no_file_and_no_record_are_not_signed_in() {
    let rig = Rig::new();
    assert!(rig.store.current().await.unwrap().is_none());
    for text in ["{}", r#"{"other": 1}"#, r#"{"openai_codex": null}"#] {
        put(rig.store.path(), text);
        assert!(rig.store.current().await.unwrap().is_none(), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_credential_file_is_an_error_and_is_never_overwritten() {
    let rig = Rig::new();
    let login = credentials("a", "r");
    for text in ["", " \n", "{\"openai_codex\": {", "[]", "null", "\"rt_SECRET\"", "{} trailing"] {
        put(rig.store.path(), text);
        let store = &rig.store;
        let errors = [
            store.current().await.map(drop),
            store.check().await,
            store.renew(&login.refresh_fingerprint().unwrap(), &login, || ()).await.map(drop),
            store.clear().await.map(drop),
        ];
        for error in errors {
            let error = error.unwrap_err();
            assert!(matches!(error, StoreError::Unreadable { .. }), "{text}: {error:?}");
            assert!(!format!("{error:?}").contains("SECRET"));
            assert!(error.to_string().contains("auth.json"));
        }
        assert_eq!(rig.text(), text);
    }
}

#[tokio::test]
async fn a_login_moves_a_file_that_does_not_parse_aside_and_never_deletes_it() {
    let rig = Rig::new();
    for (number, text) in ["{\"openai_codex\": {", "", "[1]"].into_iter().enumerate() {
        put(rig.store.path(), text);
        rig.store.check_login().await.unwrap();
        rig.store.replace(&credentials("a", "r")).await.unwrap();
        assert!(rig.store.current().await.unwrap().is_some());
        let moved: Vec<_> = rig.store.journal.entries();
        let moved: Vec<_> = moved.iter().filter(|entry| entry.event == journal::Event::MovedAside).collect();
        assert_eq!(moved.len(), number + 1);
        let aside = moved.last().unwrap().detail.clone().unwrap();
        assert!(aside.contains("auth.json.unreadable-"), "{aside}");
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
    }
}

#[tokio::test]
async fn the_copy_follows_every_write_and_goes_with_a_logout() {
    let rig = Rig::new();
    let (old, mut new) = (credentials("a", "r"), credentials("b", "s"));
    rig.store.replace(&old).await.unwrap();
    assert_eq!(rig.store.copy().read().await.as_ref(), Some(&old));
    new.own.as_mut().unwrap().renewals = 1;
    rig.store.renew(&old.refresh_fingerprint().unwrap(), &new, || ()).await.unwrap();
    let copy = rig.store.copy().read().await.unwrap();
    assert!(copy == new && copy.is_newer_than(&old) && !old.is_newer_than(&copy));
    rig.store.clear().await.unwrap();
    let folder = rig.store.path().parent().unwrap();
    let names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "auth.json" || name == "history.jsonl"), "{names:?}");
}

#[tokio::test]
async fn a_bad_record_is_an_error_that_a_login_replaces_and_a_logout_removes() {
    let rig = Rig::new();
    for record in [json!("text"), json!({}), json!({"access_token": 1})] {
        put(rig.store.path(), &json!({"openai_codex": record, "x": 1}).to_string());
        assert!(matches!(rig.store.current().await, Err(StoreError::BadRecord { .. })));
        rig.store.check().await.unwrap();
        rig.store.replace(&credentials("a", "r")).await.unwrap();
        assert!(rig.store.current().await.unwrap().is_some());

        put(rig.store.path(), &json!({"openai_codex": record, "x": 1}).to_string());
        assert!(rig.store.clear().await.unwrap());
        assert_eq!(rig.keys(), ["x"]);
    }
}

#[tokio::test]
async fn foreign_keys_keep_their_values_and_order_in_every_change() {
    let rig = Rig::new();
    let (old, new) = (credentials("a", "r"), credentials("b", "s"));
    let foreign = |document: &Value| (document["zed"].clone(), document["alpha"].clone());
    put_login(rig.store.path(), &old);
    let before = foreign(&read_json(rig.store.path()));

    assert!(matches!(
        rig.store.renew(&old.refresh_fingerprint().unwrap(), &new, || ()).await.unwrap(),
        Renewal::Written
    ));
    assert_eq!(rig.keys(), ["zed", "openai_codex", "alpha", "beta"]);
    rig.store.replace(&old).await.unwrap();
    assert_eq!(rig.keys(), ["zed", "openai_codex", "alpha", "beta"]);
    assert_eq!(foreign(&read_json(rig.store.path())), before);
    assert!(rig.store.clear().await.unwrap());
    assert_eq!(rig.keys(), ["zed", "alpha", "beta"]);
    assert!(!rig.store.clear().await.unwrap());
    rig.store.replace(&new).await.unwrap();
    assert_eq!(rig.keys(), ["zed", "alpha", "beta", "openai_codex"]);
    assert_eq!(**rig.store.current().await.unwrap().as_ref().unwrap(), new);
}

#[tokio::test]
async fn a_login_creates_the_file_and_its_directory() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".claude/auth.json");
    let store = store(path.clone(), Reread { tries: 0, pause: Duration::ZERO });
    store.check().await.unwrap();
    store.replace(&credentials("a", "r")).await.unwrap();
    assert_eq!(read_json(&path)["openai_codex"]["grant"]["refresh_token"], "r");
}

#[tokio::test]
async fn a_renewal_keeps_what_a_newer_version_put_into_the_record() {
    let rig = Rig::new();
    let (old, new) = (credentials("a", "r"), credentials("b", "s"));
    put_login(rig.store.path(), &old);
    let mut document = read_json(rig.store.path());
    document["openai_codex"]["grant"]["future"] = json!(7);
    put(rig.store.path(), &document.to_string());
    rig.store.renew(&old.refresh_fingerprint().unwrap(), &new, || ()).await.unwrap();
    let record = &read_json(rig.store.path())["openai_codex"];
    assert_eq!((&record["grant"]["future"], &record["access_token"]), (&json!(7), &json!("b")));
}

#[tokio::test]
async fn a_renewal_leaves_a_newer_login_and_a_logout_alone() {
    let rig = Rig::new();
    let (old, new, newer) = (credentials("a", "r"), credentials("b", "s"), credentials("c", "t"));
    put_login(rig.store.path(), &newer);
    let before = rig.text();
    match rig.store.renew(&old.refresh_fingerprint().unwrap(), &new, || ()).await.unwrap() {
        Renewal::Kept(Some(kept)) => assert_eq!(*kept, newer),
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.text(), before);
    put(rig.store.path(), r#"{"zed":1}"#);
    assert!(matches!(
        rig.store.renew(&old.refresh_fingerprint().unwrap(), &new, || ()).await.unwrap(),
        Renewal::Kept(None)
    ));
    assert_eq!(rig.text(), r#"{"zed":1}"#);
    remove(rig.store.path());
    assert!(matches!(
        rig.store.renew(&old.refresh_fingerprint().unwrap(), &new, || ()).await.unwrap(),
        Renewal::Kept(None)
    ));
    assert!(!rig.store.path().exists());
}

#[tokio::test]
async fn a_change_by_another_program_is_seen_at_the_next_look() {
    let rig = Rig::new();
    for number in 0..20 {
        let login = credentials(&format!("access-{number}"), "r");
        rig.store.replace(&login).await.unwrap();
        assert_eq!(**rig.store.current().await.unwrap().as_ref().unwrap(), login);
        let theirs = credentials(&format!("their-access-{number}"), "r");
        put_login(rig.store.path(), &theirs);
        assert_eq!(**rig.store.current().await.unwrap().as_ref().unwrap(), theirs);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_hard_linked_file_is_refused_before_and_at_the_write() {
    let rig = Rig::new();
    put_login(rig.store.path(), &credentials("a", "r"));
    hard_link(rig.store.path());
    assert!(matches!(rig.store.check_writable(), Err(StoreError::Unwritable { .. })));
    assert!(matches!(rig.store.check().await, Err(StoreError::Unwritable { .. })));
    let before = rig.text();
    assert!(rig.store.replace(&credentials("b", "s")).await.is_err());
    assert_eq!(rig.text(), before);
}

/// Another program writes the file during each of our first `times` tries.
fn busy(rig: &Rig, times: usize) -> impl Drop {
    let (path, left) = (rig.store.path().to_owned(), AtomicUsize::new(times));
    fsx::hook(rig.store.path().parent().unwrap(), move |op| {
        let one_less = |left: usize| left.checked_sub(1);
        if matches!(op, fsx::Op::CreateTemp(_))
            && let Ok(left) = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
        {
            // Never the same length twice: a stamp may be no finer than a clock tick.
            put(&path, &json!({"other": "x".repeat(left - 1)}).to_string());
        }
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn a_new_login_is_written_however_often_another_program_writes_at_that_moment() {
    let rig = Rig::new();
    put(rig.store.path(), "{}");
    let busy = busy(&rig, 30);
    rig.store.replace(&credentials("a", "r")).await.unwrap();
    drop(busy);
    assert_eq!(**rig.store.current().await.unwrap().as_ref().unwrap(), credentials("a", "r"));
    assert_eq!(read_json(rig.store.path())["other"], "", "the other program's last word is kept");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_never_rests_ends_a_login_within_seconds_and_is_left_alone() {
    let rig = Rig::new();
    put(rig.store.path(), "{}");
    let busy = busy(&rig, 1_000);
    let began = tokio::time::Instant::now();
    let error = rig.store.replace(&credentials("a", "r")).await.unwrap_err();
    drop(busy);
    assert!(matches!(error, StoreError::Unwritable { source: FsError::Changed { .. }, .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(rig.keys(), ["other"]);
}
