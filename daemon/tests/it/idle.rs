//! A daemon that nobody needs ends, and the call that comes in the very instant is answered.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::daemon::Status;
use codex_oauth_rig::scale::{Seeded, figure, rounds};
use codex_oauth_rig::{Rig, Shim, eventually, text_of};
use fake_openai::{Endpoint, MintRequest};
use rustix::process::Signal;
use serde_json::{Value, json};

#[test]
fn calls_at_the_edge_of_the_idle_time_are_all_answered() {
    // Longer than a loaded machine lets a client wait between welcome and call: that is no use of the daemon either.
    const IDLE: u64 = 100;
    let mut seeded = Seeded::new("calls_at_the_edge_of_the_idle_time_are_all_answered");
    let mut rig = Rig::new().limits(&[("idle_ms", IDLE)]);
    rig.home = rig.home.spawning();
    let mut daemons = std::collections::BTreeSet::new();
    let rounds = rounds(500);
    for round in 0..rounds {
        let status = rig.api().call::<Status>(&Empty {});
        let status = status.unwrap_or_else(|error| panic!("round {round}: {}", error.message));
        daemons.insert(status.pid);
        // From 5 ms before the edge to 5 ms behind it.
        let pause = Duration::from_micros((IDLE - 5) * 1_000 + seeded.below(10_000));
        #[expect(clippy::disallowed_methods, reason = "the distance between two calls is what is tested")]
        std::thread::sleep(pause);
    }
    let measured = format!("{rounds} calls, {} daemons, 0 failures", daemons.len());
    figure("idle edge at 100 ms: calls of a client without a shim", &measured, "0 failures", true);
    assert!(daemons.len() > 1, "none ever ended");
    eventually("the last one ends as well", || !rig.home.endpoint().socket().exists());
}

/// Asks, and gives the id of the question, which is in its text.
fn ask(shim: &mut Shim, question: usize) -> Value {
    let id = json!(format!("question {question}."));
    shim.call(&id, "codex_query", &json!({"prompt": id}));
    id
}

#[test]
fn questions_at_the_edge_of_the_idle_time_are_answered_and_each_goes_upstream_once() {
    const IDLE: u64 = 20;
    let mut seeded = Seeded::new("questions_at_the_edge_of_the_idle_time");
    let rig = Rig::new();
    let mut first = rig.signed_in();
    first.signal(Signal::TERM);
    assert!(first.wait().success());
    let mut rig = rig.limits(&[("idle_ms", IDLE)]);
    rig.home = rig.home.spawning().set("CODEX_OAUTH_LOG", "info");
    let mut kept = Shim::initialized(&rig.home);
    let (rounds, mut asked) = (rounds(500), 0);
    for round in 0..rounds {
        // A session that lost its daemon, one that begins, or both at once.
        let kind = seeded.below(3);
        let mut new = (kind > 0).then(|| Shim::spawn(&rig.home));
        let mut sessions = Vec::new();
        if let Some(new) = &mut new {
            new.initialize();
            sessions.push(new);
        }
        if kind != 1 {
            sessions.push(&mut kept);
        }
        // From 5 ms before the edge to 5 ms behind it.
        let pause = Duration::from_micros((IDLE - 5) * 1_000 + seeded.below(10_000));
        #[expect(clippy::disallowed_methods, reason = "the distance between two calls is what is tested")]
        std::thread::sleep(pause);
        let ids: Vec<Value> = (asked..).zip(&mut sessions).map(|(n, shim)| ask(shim, n)).collect();
        for (id, shim) in ids.iter().zip(&mut sessions) {
            let result = shim.answer(id)["result"].clone();
            let text = text_of(&result);
            let is_its_own = result["isError"] == false && text.contains(id.as_str().unwrap());
            assert!(is_its_own, "round {round} after {pause:?}: {result}");
        }
        asked += ids.len();
        assert_eq!(rig.fake.requests(Endpoint::Responses).len(), asked, "round {round}: one each, all told");
    }
    let log = std::fs::read_to_string(rig.home.path().join("state/daemon.log")).unwrap();
    let daemons = log.matches(": ready ").count();
    let measured = format!("{asked} in {rounds} rounds, {daemons} daemons, 0 failures, 0 duplicates");
    figure("idle edge at 20 ms: questions", &measured, "0 failures, 0 duplicates", true);
    assert!(daemons > 1, "none ever ended");
    eventually("the last one ends as well", || !rig.home.endpoint().socket().exists());
}

#[test]
fn a_daemon_that_shares_a_login_stays_for_it_though_nobody_asks() {
    let rig = Rig::new().limits(&[("idle_ms", 20)]);
    let Rig { fake, home } = rig;
    let rig = Rig { fake, home: home.set("CODEX_OAUTH_LOG", "debug") };
    let put = |path: &Path, document: Value| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(path).unwrap().write_all(document.to_string().as_bytes()).unwrap();
    };
    let login = rig.fake.mint(&MintRequest::default());
    let theirs = rig.home.path().join("codex-auth.json");
    let tokens = json!({
        "id_token": login.id_token, "access_token": login.access_token, "refresh_token": login.refresh_token,
        "account_id": login.account_id,
        "oauth_provenance": {"issuer": rig.fake.issuer_url(), "client_id": "app_EMoamEEZ73f0CkXaXp7hrann"},
    });
    put(&theirs, json!({"auth_mode": "chatgpt", "tokens": tokens}));
    let shared = json!({"codex": {"codex_file": theirs, "mode": "share"}});
    put(&rig.home.auth_file(), json!({"openai_codex_accounts": {"logins": shared}}));
    let daemon = rig.daemon();
    let log = || daemon.log().matches("the login that is shared has to be renewed").count();
    eventually("the idle time has passed more than once", || log() > 1);
    assert_eq!(rig.api().call::<Status>(&Empty {}).unwrap().pid, daemon.pid());
}

#[test]
fn a_daemon_whose_socket_was_taken_away_makes_way_for_another() {
    let mut rig = Rig::new().limits(&[("self_check_ms", 20)]);
    let mut daemon = rig.daemon();
    std::process::Command::new("rm").arg(rig.home.endpoint().socket()).status().unwrap();
    assert!(daemon.wait().success());
    assert!(daemon.log().contains("the socket was removed or replaced"));
    rig.home = rig.home.spawning();
    assert_ne!(rig.api().call::<Status>(&Empty {}).unwrap().pid, daemon.pid());
}

#[test]
fn what_listens_is_touched_so_that_cleaners_of_old_files_leave_it() {
    let rig = Rig::new().limits(&[("self_check_ms", 20)]);
    let _daemon = rig.daemon();
    let socket = rig.home.endpoint().socket();
    let old = |path: &Path| {
        std::process::Command::new("touch").args(["-d", "2001-01-01"]).arg(path).status().unwrap();
    };
    for path in [socket.as_path(), socket.parent().unwrap()] {
        old(path);
        let year_ago = std::time::SystemTime::now() - Duration::from_secs(365 * 24 * 3_600);
        eventually("it is new again", || path.metadata().unwrap().modified().unwrap() > year_ago);
    }
}
