use std::path::Path;

use codex_oauth_proto::Nonce;
use codex_oauth_proto::api::turn::{Completed, TurnStatus};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(dir: &Path) -> State {
    State::open(dir.join("state.sqlite")).unwrap()
}

fn key(n: u64) -> Key {
    Key { nonce: Nonce::from("client"), n }
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

fn trace(id: String) -> Trace {
    Trace {
        turn_id: id,
        began_at: 7,
        status: TurnStatus::Completed,
        account: None,
        model: None,
        effort: None,
        question_bytes: 1,
        answer_bytes: 2,
        usage: None,
        phases: codex_oauth_proto::api::trace::Phases::default(),
        attempts: Vec::new(),
        error: None,
    }
}

/// The database's files, in the order of their names.
fn files(dir: &Path) -> Vec<String> {
    let listed = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

async fn found(state: &State, n: u64) -> Option<Completed> {
    state.find(key(n)).await.unwrap()
}

#[tokio::test]
async fn what_was_kept_outlives_its_daemon() {
    let dir = folder();
    let first = open(dir.path());
    first.end(Some(key(1)), answer("a", "42"), false);
    assert_eq!(found(&first, 1).await, Some(answer("a", "42")));
    // It is not closed: a killed daemon does not close its database either.
    let second = open(dir.path());
    assert_eq!(found(&second, 1).await, Some(answer("a", "42")));
    assert_eq!(found(&second, 2).await, None);
    // The one that hands over still ends its turns.
    first.end(Some(key(2)), answer("b", "late"), false);
    first.end(None, answer("c", "nobody's"), false);
    first.close().await;
    assert_eq!(found(&second, 2).await, Some(answer("b", "late")));
    let kept = second.outcomes().await.unwrap();
    let ids: Vec<&str> = kept.iter().map(|kept| kept.outcome.turn_id.as_str()).collect();
    assert_eq!(ids, ["c", "b", "a"]);
    assert_eq!(second.outcome("b".to_owned()).await.unwrap().unwrap().outcome, answer("b", "late"));
    assert_eq!(second.outcome("d".to_owned()).await.unwrap(), None);
}

#[tokio::test]
async fn the_last_one_to_close_the_database_leaves_one_file() {
    const ALL: [&str; 3] = ["state.sqlite", "state.sqlite-shm", "state.sqlite-wal"];
    let dir = folder();
    let first = open(dir.path());
    assert_eq!(found(&first, 1).await, None);
    first.end(Some(key(1)), answer("a", "42"), false);
    let second = open(dir.path());
    assert_eq!(found(&second, 2).await, None);
    first.close().await;
    assert_eq!(files(dir.path()), ALL, "another daemon has it open");
    second.end(Some(key(2)), answer("b", "42"), false);
    // Nobody waited for it.
    second.close().await;
    assert_eq!(files(dir.path()), ALL[..1]);
    let third = open(dir.path());
    assert_eq!(
        (found(&third, 1).await, found(&third, 2).await),
        (Some(answer("a", "42")), Some(answer("b", "42")))
    );
}

#[tokio::test]
async fn a_database_that_one_daemon_closes_while_the_next_one_opens_it_keeps_everything() {
    let dir = folder();
    let mut before = open(dir.path());
    for n in 0..100 {
        before.end(Some(key(n)), answer("a", "42"), false);
        let (after, ()) = if n % 2 == 0 {
            let after = open(dir.path());
            (after, before.close().await)
        } else {
            tokio::join!(async { open(dir.path()) }, before.close())
        };
        for n in 0..=n {
            assert_eq!(found(&after, n).await, Some(answer("a", "42")), "{n}");
        }
        assert_eq!(after.fault(), None);
        before = after;
    }
}

#[tokio::test]
async fn daemons_that_make_the_database_in_the_same_instant_all_use_it() {
    for _ in 0..50 {
        let dir = folder();
        let together = std::sync::Barrier::new(4);
        let opened = std::thread::scope(|scope| {
            let opening = [(); 4].map(|()| {
                scope.spawn(|| {
                    together.wait();
                    open(dir.path())
                })
            });
            opening.map(|opened| opened.join().unwrap())
        });
        for (n, state) in (0..).zip(&opened) {
            state.end(Some(key(n)), answer("a", "42"), false);
            assert_eq!((found(state, n).await, state.fault()), (Some(answer("a", "42")), None));
        }
    }
}

#[tokio::test]
async fn answers_that_an_earlier_schema_kept_are_found() {
    let dir = folder();
    let connection = Connection::open(dir.path().join("state.sqlite")).unwrap();
    connection.execute_batch(schema::STEPS[0]).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    let ended = now();
    for (id, n, ended, outcome) in [("a", 1, Some(ended), Some("42")), ("b", 2, None, None)] {
        let outcome = outcome.map(|text| serde_json::to_string(&answer(id, text)).unwrap());
        connection
            .execute(
                "INSERT INTO turns VALUES (?1, 'client', ?2, 'run', 'gpt', 1, ?3, '42', ?4, 2)",
                rusqlite::params![id, n, ended, outcome],
            )
            .unwrap();
    }
    let state = open(dir.path());
    assert_eq!((found(&state, 1).await, found(&state, 2).await), (Some(answer("a", "42")), None));
    assert_eq!(state.fault(), None);
}

#[tokio::test]
async fn a_database_of_a_newer_build_is_left_alone() {
    let dir = folder();
    let path = dir.path().join("state.sqlite");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let state = open(dir.path());
    state.end(Some(key(1)), answer("a", "42"), false);
    assert!(state.find(key(1)).await.is_err());
    let fault = state.fault().unwrap();
    assert!(fault.contains("state.sqlite") && fault.contains("schema 99 of a newer build"), "{fault}");
    let version: i64 =
        Connection::open(&path).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!((version, std::fs::read_dir(dir.path()).unwrap().count()), (99, 1));
}

#[tokio::test]
async fn a_broken_database_is_set_aside() {
    let dir = folder();
    let path = dir.path().join("state.sqlite");
    for broken in
        ["this is no database, though it is long enough to look like one: ".repeat(64), String::new()]
    {
        let first = open(dir.path());
        first.end(Some(key(1)), answer("a", "42"), false);
        first.close().await;
        crate::fsx::write_durable(&path, broken.as_bytes()).unwrap();
        let second = open(dir.path());
        assert_eq!((found(&second, 1).await, second.fault()), (None, None));
        second.close().await;
    }
    let aside: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("state.sqlite.corrupt-"))
        .collect();
    assert_eq!(aside.len(), 1, "an empty file is a new database: {aside:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_that_breaks_while_it_is_used_is_replaced() {
    let dir = folder();
    let state = open(dir.path());
    state.end(Some(key(1)), answer("a", "42"), false);
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
    let other = open(dir.path());
    assert!(matches!(other.find(key(1)).await, Ok(None) | Err(_)));
    other.end(Some(key(2)), answer("b", "42"), false);
    assert_eq!(found(&other, 2).await, Some(answer("b", "42")));
}

#[tokio::test]
async fn a_full_disk_costs_an_answer_and_is_over_when_there_is_room() {
    let dir = folder();
    let state = open(dir.path());
    state.end(Some(key(1)), answer("a", "42"), false);
    // By itself: a full disk may undo all that is committed together.
    state.committed().await;
    state.run(|db| db.connection.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))).await.unwrap();
    state.end(Some(key(2)), answer("b", &"long ".repeat(100_000)), false);
    state.committed().await;
    assert!(state.fault().unwrap().contains("full"), "{:?}", state.fault());
    assert_eq!((found(&state, 1).await, found(&state, 2).await), (Some(answer("a", "42")), None));
    state.run(|db| db.connection.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(()))).await.unwrap();
    state.end(Some(key(3)), answer("c", "room"), false);
    assert_eq!(found(&state, 3).await, Some(answer("c", "room")));
    assert_eq!(state.fault(), None);
}

#[tokio::test]
async fn a_disk_that_was_full_is_shown_until_an_answer_fits_again() {
    let dir = folder();
    let state = open(dir.path());
    let pages = |state: State, pragma: String| async move {
        state.run(move |db| db.connection.query_row(&pragma, [], |row| row.get::<_, i64>(0))).await.unwrap()
    };
    let count = pages(state.clone(), "PRAGMA page_count".to_owned()).await;
    // Room for what is small.
    pages(state.clone(), format!("PRAGMA max_page_count = {}", count + 4)).await;
    state.end(Some(key(1)), answer("a", &"long ".repeat(100_000)), false);
    state.committed().await;
    let fault = state.fault().unwrap();
    assert!(fault.contains("full"), "{fault}");
    state.keep_trace(trace("trace".to_owned()));
    assert_eq!(state.traces(String::new(), 9).await.unwrap().len(), 1, "the trace found room");
    assert_eq!((found(&state, 1).await, state.fault()), (None, Some(fault)));
    state.end(Some(key(2)), answer("b", "short"), false);
    assert_eq!((found(&state, 2).await, state.fault()), (Some(answer("b", "short")), None));
}

#[tokio::test]
async fn a_folder_in_the_databases_place_costs_the_history_only() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("state.sqlite")).unwrap();
    let state = open(dir.path());
    state.end(None, answer("a", "42"), false);
    assert!(state.outcomes().await.is_err());
    assert!(state.fault().unwrap().contains("unable to open"), "{:?}", state.fault());
}

#[tokio::test]
async fn answers_are_kept_for_ten_minutes_and_64_mib() {
    let dir = folder();
    let state = open(dir.path());
    for n in 1..=9 {
        let outcome = answer(&format!("t{n}"), &"x".repeat(8 * 1024 * 1024));
        state.end(Some(key(n)), outcome.clone(), false);
        assert_eq!(found(&state, n).await, Some(outcome));
    }
    // The ninth was over the bound; the oldest went.
    assert_eq!(found(&state, 1).await, None);
    assert!(found(&state, 9).await.is_some());
    let bytes = |state: State| async move {
        state
            .run(|db| db.connection.query_row("SELECT sum(bytes) FROM turns", [], |row| row.get::<_, i64>(0)))
            .await
    };
    assert!(bytes(state.clone()).await.unwrap() <= 64 * 1024 * 1024);
    // Eleven minutes later.
    state.run(|db| db.connection.execute("UPDATE turns SET ended = ended - 660000000", [])).await.unwrap();
    let later = open(dir.path());
    assert_eq!(later.outcomes().await.unwrap(), []);
    assert_eq!(found(&later, 9).await, None);
}

#[tokio::test]
async fn a_burst_is_kept_whole_and_what_is_asked_afterwards_sees_it() {
    let dir = folder();
    let state = open(dir.path());
    for n in 0..200 {
        let id = format!("t{n}");
        state.end(Some(key(n)), answer(&id, &id), false);
    }
    for n in 0..200 {
        let id = format!("t{n}");
        assert_eq!(found(&state, n).await, Some(answer(&id, &id)));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    let state = open(dir.path());
    state.end(None, answer("a", "42"), false);
    state.committed().await;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

#[tokio::test]
async fn the_last_two_hundred_traces_are_kept_latest_first_and_found_by_the_beginning_of_their_id() {
    let dir = folder();
    let state = open(dir.path());
    for n in 0..205 {
        state.keep_trace(trace(format!("{n:03}abc")));
    }
    let all = state.traces(String::new(), 1_000).await.unwrap();
    assert_eq!((all.len(), all[0].turn_id.as_str(), all[199].turn_id.as_str()), (200, "204abc", "005abc"));
    let one = state.traces("100".to_owned(), 5).await.unwrap();
    assert_eq!(one, [trace("100abc".to_owned())]);
    assert_eq!(state.traces("004".to_owned(), 5).await.unwrap(), []);
}
