//! On a terminal there are progress, the cost and no control characters of others; elsewhere there are none of the first two.

mod import;
mod pasted;
pub(crate) mod pty;
mod rows;

use codex_oauth_proto::{ErrorCode, Retry, WireError};
use serde_json::json;

use self::pty::{Shown, Streams, on_terminal};
use crate::rig::{Daemon, Place, replies, script};

/// Wide enough for everything that is said here.
const WIDE: u16 = 80;

/// A question whose answer takes a while.
fn daemon(place: &Place, progress: &'static str, answer: &'static str) -> Daemon {
    place.daemon(vec![script(move |mut session| {
        session.turn();
        session.notify("turn/progress", json!({ "turnId": "t", "message": progress, "elapsedMs": 4_000 }));
        session.delta(answer);
        session.notify("turn/progress", json!({ "turnId": "t", "message": "writing", "elapsedMs": 5_000 }));
        session.complete(&json!({ "answer": answer }));
    })])
}

fn asked(streams: Streams, columns: u16, progress: &'static str, answer: &'static str) -> Shown {
    let place = Place::new();
    let daemon = daemon(&place, progress, answer);
    let shown = on_terminal(place.command(&["ask", "x"]), streams, columns);
    daemon.done();
    shown
}

#[test]
fn a_person_sees_progress_then_the_answer_then_its_cost() {
    let shown = asked(Streams { stdout: true, stderr: true }, WIDE, "thinking 4 s", "one");
    let screen = "asking\r        \rthinking 4 s\r              \rone\ngpt-6.1-sol · low · 1 s\n";
    assert_eq!((shown.ran.code(), shown.screen.as_str()), (0, screen));
}

#[test]
fn progress_and_cost_stay_out_of_a_file_that_gets_the_answer() {
    let shown = asked(Streams { stdout: false, stderr: true }, WIDE, "thinking 4 s", "one");
    assert_eq!(shown.ran.stdout, "one\n");
    let screen =
        "asking\r        \rthinking 4 s\r              \rwriting\r         \rgpt-6.1-sol · low · 1 s\n";
    assert_eq!(shown.screen, screen);
}

#[test]
fn a_file_that_gets_standard_error_holds_neither() {
    let shown = asked(Streams { stdout: true, stderr: false }, WIDE, "thinking 4 s", "one");
    assert_eq!((shown.screen.as_str(), shown.ran.stderr.as_str()), ("one\n", ""));
}

#[test]
fn the_answer_cannot_drive_the_terminal() {
    let answer = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31mred\rover\tthere";
    let shown = asked(Streams { stdout: true, stderr: true }, WIDE, "\u{1b}[31mthinking", answer);
    let screen = "asking\r        \r[31mthinking\r              \r]0;title[2J31mredover\tthere\ngpt-6.1-sol · low · 1 s\n";
    assert_eq!(shown.screen, screen);
}

#[test]
fn an_error_cannot_drive_the_terminal_either() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        let request = session.request("turn/start");
        session
            .fail(&request, &WireError::daemon(ErrorCode::Internal, Retry::Never, "could not: \u{1b}[2Jno"));
    })]);
    let shown = on_terminal(place.command(&["ask", "x"]), Streams { stdout: true, stderr: true }, WIDE);
    assert_eq!(shown.screen, "asking\r        \rerror: could not: [2Jno\n");
    daemon.done();
}

#[test]
fn a_progress_line_never_fills_a_row_of_the_terminal() {
    let progress = "retry 2/5 in 3 s: the server is overloaded";
    let shown = asked(Streams { stdout: true, stderr: true }, 20, progress, "one");
    let cut = "retry 2/5 in 3 s:";
    let screen = format!("asking\r        \r{cut}\r{:19}\rone\ngpt-6.1-sol · low ·\n1 s\n", "");
    assert_eq!(shown.screen, screen);
}

#[test]
fn what_a_logout_could_not_do_is_broken_between_words() {
    let place = Place::new();
    let note =
        "the issuer could not be told and may keep the login until it ends: could not connect to the issuer";
    let result = json!({ "wasSignedIn": true, "revoked": false, "note": note });
    let daemon =
        place.daemon(replies(vec![("account/logout", result), ("account/list", json!({ "accounts": [] }))]));
    let shown = on_terminal(place.command(&["logout"]), Streams { stdout: true, stderr: true }, WIDE);
    let said = "signed out here; the issuer could not be told and may keep the login until it\n\
                ends: could not connect to the issuer\n";
    assert!(shown.screen.ends_with(&format!("\r{said}")), "{}", shown.screen);
    daemon.done();
}

#[test]
fn help_is_as_narrow_as_the_terminal() {
    let place = Place::new();
    for (columns, widest) in [(60, 60), (200, 80)] {
        let shown =
            on_terminal(place.command(&["ask", "--help"]), Streams { stdout: true, stderr: true }, columns);
        let (described, _) = shown.screen.split_once("Examples:").unwrap();
        let found = described.lines().map(|line| line.chars().count()).max().unwrap();
        assert!((widest - 15..=widest).contains(&found), "{columns}: {found}\n{described}");
    }
}
