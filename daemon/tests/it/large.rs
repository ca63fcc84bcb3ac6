//! Large answers: what they take is given back, whether or not anybody reads them.

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::daemon::Status;
use codex_oauth_rig::scale::figure;
use codex_oauth_rig::{Lines, Rig, eventually};
use serde_json::json;

use crate::limits::held_by;
use crate::support::{answer, call, mcp};

const MIB: u64 = 1024 * 1024;

/// An answer of 6 MB.
const PROMPT: &str = "[[repeat 1500 4000]]";
const BYTES: usize = 1_500 * 4_000;
const QUESTIONS: usize = 4;

/// What buffers of usual size, connections and the database's cache may have grown by.
const GROWTH: u64 = 12 * MIB;

fn ask_much(lines: &mut Lines) {
    for n in 0..QUESTIONS {
        call(lines, &json!(n), "codex_query", &json!({"prompt": PROMPT}));
    }
}

#[test]
fn what_large_answers_took_is_given_back_when_they_are_read_and_when_they_are_not() {
    let rig = Rig::new().limits(&[("write_stall_ms", 5_000)]);
    let daemon = rig.signed_in();
    let mut api = rig.api();
    let mut reads = mcp(&rig.home);
    answer(&mut reads, "short");
    let before = held_by(&daemon);
    // The database writes an answer behind its end.
    let is_given_back = |when: &str| {
        let grown = || held_by(&daemon).saturating_sub(before);
        eventually("what they took is given back", || grown() <= GROWTH);
        let measured = format!("{} MiB more", grown() / MIB);
        figure(&format!("large answers: held {when}"), &measured, "12 MiB", true);
    };
    ask_much(&mut reads);
    for n in 0..QUESTIONS {
        let answer = reads.answer(&json!(n))["result"]["content"][0]["text"].as_str().map(str::len);
        assert_eq!(answer, Some(BYTES));
    }
    is_given_back("after they were read");

    let sessions = api.call::<Status>(&Empty {}).unwrap().sessions;
    let mut unread = mcp(&rig.home);
    ask_much(&mut unread);
    let mut status = || api.call::<Status>(&Empty {}).unwrap();
    eventually("it is closed at its bound", || status().sessions == sessions);
    eventually("its turns go on to their end", || status().turns_ended == 2 * QUESTIONS as u64 + 1);
    is_given_back("after nobody read them");
}
