use std::path::Path;

use codex_oauth_proto::api::turn::{Completed, TurnStatus};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(dir: &Path, run: &str) -> State {
    State::open(dir.join("state.sqlite"), Nonce::from(run)).unwrap()
}

fn key(n: u64) -> Key {
    Key { nonce: Nonce::from("client"), n, since: 0 }
}

fn turn(id: &str, key: Option<Key>) -> Begin {
    Begin { id: id.to_owned(), key, model: "gpt".to_owned(), at: now() }
}

fn answer(id: &str, text: &str) -> Completed {
    Completed {
        turn_id: id.to_owned(),
        status: TurnStatus::Completed,
        answer: Some(text.to_owned()),
        error: None,
        model: Some("gpt".to_owned()),
        effort: None,
        usage: None,
        duration_ms: 7,
        notes: vec!["a note".to_owned()],
        summary: Some("gpt · 7 ms".to_owned()),
        account: None,
    }
}

async fn found(state: &State, n: u64, to: &str) -> Found {
    state.find(key(n), Some(Nonce::from(to))).await.unwrap()
}

fn ended(outcome: &Completed) -> Found {
    Found::Ended(Box::new(outcome.clone()))
}

#[tokio::test]
async fn what_was_recorded_outlives_its_daemon() {
    let dir = folder();
    let first = open(dir.path(), "first");
    assert_eq!(first.begin(turn("a", Some(key(1)))).await, Begun::Recorded);
    assert_eq!(first.begin(turn("b", Some(key(2)))).await, Begun::Recorded);
    first.end(answer("a", "42"));
    assert_eq!(found(&first, 1, "first").await, ended(&answer("a", "42")));
    // It is not closed: a killed daemon does not close its database either.
    let second = open(dir.path(), "second");
    assert_eq!(found(&second, 1, "first").await, ended(&answer("a", "42")));
    assert_eq!(found(&second, 2, "first").await, Found::Unknown, "it was sent, and nobody knows its end");
    assert_eq!(found(&second, 3, "first").await, Found::NeverSent);
    assert_eq!(found(&second, 3, "another").await, Found::Unknown, "nobody recorded what that one sent");
    assert_eq!(second.find(key(3), None).await.unwrap(), Found::Unknown);
    // The one that hands over still ends its turns.
    first.end(answer("b", "late"));
    first.close().await;
    assert_eq!(found(&second, 2, "first").await, ended(&answer("b", "late")));
    let kept = second.outcomes().await.unwrap();
    let ids: Vec<&str> = kept.iter().map(|kept| kept.outcome.turn_id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
    assert_eq!(second.outcome("b".to_owned()).await.unwrap().unwrap().outcome, answer("b", "late"));
    assert_eq!(second.outcome("c".to_owned()).await.unwrap(), None);
}

#[tokio::test]
async fn a_request_that_a_later_session_took_over_is_not_sent() {
    let dir = folder();
    let (old, new) = (open(dir.path(), "old"), open(dir.path(), "new"));
    let since = now();
    assert_eq!(new.begin(turn("taken", Some(Key { since, ..key(1) }))).await, Begun::Recorded);
    assert_eq!(old.begin(turn("late", Some(Key { since: since - 1, ..key(1) }))).await, Begun::TakenOver);
    // A client that counts from 1 again begins a session of its own.
    let again = Key { since: now() + 1, ..key(1) };
    assert_eq!(old.begin(turn("again", Some(again))).await, Begun::Recorded);
    assert_eq!(old.begin(turn("nobody's", None)).await, Begun::Recorded);
}

#[tokio::test]
async fn a_database_of_a_newer_build_is_left_alone_and_turns_are_asked_unrecorded() {
    let dir = folder();
    let path = dir.path().join("state.sqlite");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let state = open(dir.path(), "run");
    assert_eq!(state.begin(turn("a", Some(key(1)))).await, Begun::Unrecorded);
    state.end(answer("a", "42"));
    assert!(state.find(key(1), Some(Nonce::from("run"))).await.is_err());
    let fault = state.fault().unwrap();
    assert!(fault.contains("state.sqlite") && fault.contains("schema 99 of a newer build"), "{fault}");
    let version: i64 =
        Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!((version, std::fs::read_dir(dir.path()).unwrap().count()), (99, 1));
}

#[tokio::test]
async fn a_broken_database_is_set_aside_and_a_new_one_vouches_for_nothing_before_it() {
    let dir = folder();
    let path = dir.path().join("state.sqlite");
    for broken in
        ["this is no database, though it is long enough to look like one: ".repeat(64), String::new()]
    {
        let first = open(dir.path(), "first");
        assert_eq!(first.begin(turn("a", Some(key(1)))).await, Begun::Recorded);
        first.close().await;
        drop(first);
        // The last one to close it takes the log away.
        while dir.path().join("state.sqlite-wal").exists() {
            std::thread::yield_now();
        }
        crate::fsx::write_durable(&path, broken.as_bytes()).unwrap();
        let second = open(dir.path(), "second");
        assert_eq!(found(&second, 1, "first").await, Found::Unknown);
        assert_eq!((found(&second, 1, "second").await, second.fault()), (Found::NeverSent, None));
        drop(second);
        while dir.path().join("state.sqlite-wal").exists() {
            std::thread::yield_now();
        }
    }
    let aside: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("state.sqlite.corrupt-"))
        .collect();
    assert_eq!(aside.len(), 1, "an empty file is a new database: {aside:?}");
}

#[tokio::test]
async fn a_database_that_breaks_while_it_is_used_is_replaced() {
    let dir = folder();
    let state = open(dir.path(), "run");
    assert_eq!(state.begin(turn("a", Some(key(1)))).await, Begun::Recorded);
    // As bad as a lost sector in the schema: the table is there and its pages are not.
    state
        .run(|db| {
            db.connection.execute_batch(
                "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 99 WHERE name = 'turns'; \
                 PRAGMA writable_schema = RESET",
            )
        })
        .await
        .ok();
    let other = open(dir.path(), "other");
    assert!(matches!(other.find(key(1), Some(Nonce::from("run"))).await, Ok(Found::Unknown) | Err(_)));
    assert_eq!(other.begin(turn("b", Some(key(2)))).await, Begun::Recorded);
    other.end(answer("b", "42"));
    assert_eq!(found(&other, 2, "other").await, ended(&answer("b", "42")));
}

#[tokio::test]
async fn a_full_disk_costs_the_record_and_nothing_else_and_is_over_when_there_is_room() {
    let dir = folder();
    let state = open(dir.path(), "run");
    assert_eq!(state.begin(turn("a", Some(key(1)))).await, Begun::Recorded);
    state.run(|db| db.connection.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))).await.unwrap();
    state.end(answer("a", &"long ".repeat(100_000)));
    // By itself: a full disk may undo all that is committed together.
    state.close().await;
    assert_eq!(found(&state, 1, "run").await, Found::Unknown, "the answer found no room");
    let mut begun = Begun::Recorded;
    for n in 2..500 {
        begun = state.begin(turn(&format!("t{n}"), Some(key(n)))).await;
        if begun != Begun::Recorded {
            break;
        }
    }
    assert_eq!(begun, Begun::Unrecorded);
    assert!(state.fault().unwrap().contains("full"), "{:?}", state.fault());
    state.run(|db| db.connection.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(()))).await.unwrap();
    assert_eq!(state.begin(turn("room", Some(key(1000)))).await, Begun::Recorded);
    assert_eq!(state.fault(), None);
}

#[tokio::test]
async fn a_folder_in_the_databases_place_costs_the_history_only() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("state.sqlite")).unwrap();
    let state = open(dir.path(), "run");
    assert_eq!(state.begin(turn("a", Some(key(1)))).await, Begun::Unrecorded);
    assert!(state.fault().unwrap().contains("unable to open"), "{:?}", state.fault());
}

#[tokio::test]
async fn answers_are_kept_for_ten_minutes_and_64_mib_and_their_requests_are_never_taken_for_new_ones() {
    let dir = folder();
    let state = open(dir.path(), "run");
    for n in 1..=9 {
        let id = format!("t{n}");
        assert_eq!(state.begin(turn(&id, Some(key(n)))).await, Begun::Recorded);
        state.end(answer(&id, &"x".repeat(8 * 1024 * 1024)));
        assert_eq!(found(&state, n, "run").await, ended(&answer(&id, &"x".repeat(8 * 1024 * 1024))));
    }
    // The ninth was over the bound; the oldest went.
    assert_eq!(found(&state, 1, "run").await, Found::Unknown);
    assert!(matches!(found(&state, 9, "run").await, Found::Ended(_)));
    let bytes = |state: State| async move {
        state
            .run(|db| db.connection.query_row("SELECT sum(bytes) FROM turns", [], |row| row.get::<_, i64>(0)))
            .await
    };
    assert!(bytes(state.clone()).await.unwrap() <= 64 * 1024 * 1024);
    // Eleven minutes later.
    state
        .run(|db| {
            db.connection.execute("UPDATE turns SET ended = ended - 660000000, began = began - 660000000", [])
        })
        .await
        .unwrap();
    let later = open(dir.path(), "later");
    assert_eq!(later.outcomes().await.unwrap(), []);
    assert_eq!(found(&later, 9, "run").await, Found::NeverSent, "nobody waits as long as that");
}

#[tokio::test]
async fn a_burst_is_committed_in_few_transactions_and_in_its_order() {
    let dir = folder();
    let state = open(dir.path(), "run");
    let turns = (0..200).map(|n| {
        let state = state.clone();
        async move {
            let id = format!("t{n}");
            assert_eq!(state.begin(turn(&id, Some(key(n)))).await, Begun::Recorded);
            state.end(answer(&id, &id));
        }
    });
    futures_util::future::join_all(turns).await;
    for n in 0..200 {
        let id = format!("t{n}");
        assert_eq!(found(&state, n, "run").await, ended(&answer(&id, &id)));
    }
}

#[tokio::test]
async fn the_files_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    let state = open(dir.path(), "run");
    assert_eq!(state.begin(turn("a", None)).await, Begun::Recorded);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}
