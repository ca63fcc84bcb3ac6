//! A daemon killed in the middle of a refresh, and the next one: the login is there, but for the one window that nobody can
//! close, and that is told as what it is.

use std::os::unix::fs::PermissionsExt as _;

use codex_oauth_rig::{Rig, eventually};
use fake_openai::{Effect, Endpoint};
use serde_json::{Value, json};

use crate::support::{answer, ask, call, end_token, mcp};

/// Where the daemon is when it is killed.
#[derive(Clone, Copy, Debug)]
enum At {
    /// At a point of its own.
    Own(&'static str),
    /// The issuer has the request and has not looked at it.
    Sent,
    /// The issuer has spent the token; its answer is on the way.
    Spent,
}

/// A signed-in house whose token ends in so many seconds, after its daemon was killed at the point.
fn killed(at: At, seconds_left: i64) -> Rig {
    let rig = Rig::new();
    drop(rig.signed_in());
    end_token(&rig, seconds_left);
    rig.fake.clear_journal();
    match at {
        At::Own(_) => {}
        At::Sent => rig.fake.next(Endpoint::Refresh, Effect::hold("never opened")),
        At::Spent => rig.fake.next(Endpoint::Refresh, Effect::hold_answer("never opened")),
    }
    let point = match at {
        At::Own(point) => point,
        At::Sent | At::Spent => "",
    };
    let Rig { fake, home } = rig;
    let rig = Rig { fake, home: home.set("CODEX_OAUTH_TEST_KILL_AT", point) };
    let mut daemon = rig.daemon();
    let mut lines = mcp(&rig.home);
    call(&mut lines, &json!("q"), "codex_query", &json!({"prompt": "who dies"}));
    if let At::Own(_) = at {
        daemon.wait();
    } else {
        rig.fake.wait_for_request(Endpoint::Refresh, 1).unwrap();
        daemon.kill();
    }
    let Rig { fake, home } = rig;
    Rig { fake, home: home.unset("CODEX_OAUTH_TEST_KILL_AT") }
}

/// How many refreshes the issuer was asked for.
fn refreshes(rig: &Rig) -> usize {
    rig.fake.requests(Endpoint::Refresh).len()
}

fn nothing_is_left_behind(rig: &Rig, at: At) {
    let file = rig.home.auth_file();
    let record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(record["openai_codex"]["grant"]["refresh_token"].is_string(), "{at:?}: {record}");
    // Who asks goes on before the last of it is written.
    eventually("the record of the refresh goes", || !file.with_file_name(".auth.json.refresh").exists());
    for entry in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.contains("auth.json") {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{at:?}: {name}");
        }
    }
}

#[test]
fn a_daemon_killed_in_mid_refresh_leaves_a_login_that_the_next_one_finishes_or_renews() {
    // (where, refreshes that the issuer is asked for in all)
    for (at, asked) in [
        (At::Own("refresh announced"), 1),
        (At::Sent, 2),
        (At::Own("refresh kept"), 1),
        (At::Own("refresh served"), 1),
        (At::Own("refresh written"), 1),
    ] {
        let rig = killed(at, -60);
        let _daemon = rig.daemon();
        assert!(answer(&mut mcp(&rig.home), "who lives").contains("who lives"), "{at:?}");
        assert_eq!(refreshes(&rig), asked, "{at:?}: {:?}", rig.fake.journal());
        nothing_is_left_behind(&rig, at);
        // And it lives on: what is in the file can be renewed.
        end_token(&rig, -60);
        assert!(answer(&mut mcp(&rig.home), "who lives on").contains("who lives on"), "{at:?}");
        assert_eq!(refreshes(&rig), asked + 1, "{at:?}");
    }
}

#[test]
fn what_was_spent_and_not_answered_is_told_as_interrupted_after_one_more_try() {
    for at in [At::Spent, At::Own("refresh answered")] {
        let rig = killed(at, -60);
        for _ in 0..2 {
            let _daemon = rig.daemon();
            let mut lines = mcp(&rig.home);
            for _ in 0..3 {
                let refused = ask(&mut lines, "who lives");
                assert_eq!(refused["isError"], true, "{at:?}: {refused}");
                let text = refused.to_string();
                assert!(text.contains("interrupted") && text.contains("codex-config"), "{at:?}: {text}");
            }
        }
        assert_eq!(refreshes(&rig), 2, "{at:?}: one more try, and none by the daemon after that");
        nothing_is_left_behind(&rig, at);
    }
}

#[test]
fn while_the_old_token_is_good_nobody_notices_that_a_refresh_was_killed() {
    let rig = killed(At::Spent, 200);
    let _daemon = rig.daemon();
    for question in ["one", "two"] {
        assert!(answer(&mut mcp(&rig.home), question).contains(question));
    }
    assert_eq!(refreshes(&rig), 1, "the token may be spent, and there is something to lose");
}
