use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use super::*;
use crate::auth::refresh::Refusal;
use crate::auth::testing::{credentials, put};
use crate::secret::Secret;

fn token(text: &str) -> Fingerprint {
    Secret::new(text).fingerprint()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn renewed(from: &str, to: &str, seconds: u64) -> Entry {
    let entry = Entry::new(Event::Renewed, at(seconds)).about(Some(token(from)), "acct");
    entry.followed_by(&credentials("at", to))
}

#[tokio::test]
async fn lines_are_read_back_by_the_next_process_and_hold_no_token() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("history.jsonl");
    let journal = Journal::new(path.clone());
    let refusal = Refusal {
        status: 401,
        code: Some("refresh_token_reused".to_owned()),
        message: "it: was used".to_owned(),
        interrupted: true,
        evidence: Evidence::None,
    };
    let refused = Entry::new(Event::Refused, at(3)).about(Some(token("rt_2")), "acct");
    let entries = [
        renewed("rt_1", "rt_2", 1).detail("proactive_expiry"),
        Entry::new(Event::SignedOut, at(2)),
        refused.detail(refusal_detail(&refusal)),
    ];
    for entry in &entries {
        journal.record(entry.clone()).await;
    }
    assert_eq!(Journal::new(path.clone()).entries(), entries);
    assert_eq!(
        Journal::new(path.clone()).ends(),
        [(token("rt_1"), End::Spent { at: at(1) }), (token("rt_2"), End::Refused(refusal))]
    );
    assert!(!std::fs::read_to_string(path).unwrap().contains("rt_"));
}

#[tokio::test]
async fn a_line_that_was_cut_short_spoils_no_other() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("history.jsonl");
    Journal::new(path.clone()).record(renewed("a", "b", 1)).await;
    let whole = std::fs::read(&path).unwrap();
    for cut in 1..whole.len() {
        put(&path, "");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&[&whole, &whole[..cut]].concat()).unwrap();
        Journal::new(path.clone()).record(renewed("b", "c", 2)).await;
        let entries = Journal::new(path.clone()).entries();
        assert_eq!(entries.first(), Some(&renewed("a", "b", 1)), "{cut}");
        assert_eq!(entries.last(), Some(&renewed("b", "c", 2)), "{cut}");
    }
}

#[tokio::test]
async fn the_file_is_bounded_and_keeps_the_latest_lines() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("history.jsonl");
    let journal = Journal::new(path.clone());
    let long = "x".repeat(2_000);
    for number in 0..200 {
        journal
            .record(renewed(&format!("t{number}"), &format!("t{}", number + 1), number).detail(&long))
            .await;
        assert!(std::fs::metadata(&path).unwrap().len() < MAX_BYTES + 512 * 1_024);
    }
    assert_eq!(Journal::new(path).entries().last().unwrap().at, at(199));
}

#[tokio::test]
async fn only_the_first_failure_in_a_row_is_a_line() {
    let home = tempfile::tempdir().unwrap();
    let journal = Journal::new(home.path().join("history.jsonl"));
    let failed = |text: &str| Entry::new(Event::Failed, at(1)).about(Some(token(text)), "acct");
    for text in ["a", "a", "a", "b", "b", "a"] {
        journal.record(failed(text)).await;
    }
    assert_eq!(journal.entries(), [failed("a"), failed("b"), failed("a")]);
}
