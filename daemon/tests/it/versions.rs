//! Builds and protocol versions side by side: who talks to whom, who makes way, and that nobody fights.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use codex_oauth_proto::hello::Role;
use codex_oauth_rig::scale::rounds;
use codex_oauth_rig::{Home, Lines, Rig, Shim, binary, text_of};
use fake_openai::{Effect, Endpoint};
use serde_json::json;

use crate::support::status_of;

/// What an installed build calls itself and speaks.
#[derive(Clone, Copy)]
struct Build {
    build: &'static str,
    protocol: &'static str,
}

const PREVIOUS: Build = Build { build: "0.1.0", protocol: "1-2" };
const CURRENT: Build = Build { build: "0.2.0", protocol: "2-3" };
const NEXT: Build = Build { build: "0.3.0", protocol: "3-4" };
const ALL: [Build; 3] = [PREVIOUS, CURRENT, NEXT];

/// A home whose programs are found beside each other only.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.home = rig.home.unset("CODEX_OAUTH_DAEMON").spawning();
    rig
}

/// An installation: the real programs, with another idea of their version.
fn install(home: &Home, what: Build) -> PathBuf {
    let folder = home.path().join(format!("install-{}", what.build));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(binary("codex-oauth-mcp"), folder.join("codex-oauth-mcp")).unwrap();
    let script = format!(
        "#!/bin/sh\nexport CODEX_OAUTH_TEST_BUILD={} CODEX_OAUTH_TEST_PROTOCOL={}\nexec {} \"$@\"\n",
        what.build,
        what.protocol,
        binary("codex-oauthd").display()
    );
    home.script(&folder.join("codex-oauthd"), &script);
    folder
}

/// A shim of an installation.
fn shim(home: &Home, folder: &Path, what: Build) -> Shim {
    let claims = [("CODEX_OAUTH_TEST_BUILD", what.build), ("CODEX_OAUTH_TEST_PROTOCOL", what.protocol)];
    Shim::of(home, &folder.join("codex-oauth-mcp"), &claims)
}

#[test]
fn every_pair_of_versions_speaks_the_highest_common_one_or_says_what_to_do() {
    for (d, daemon) in ALL.into_iter().enumerate() {
        let mut rig = Rig::new();
        rig.home = rig
            .home
            .set("CODEX_OAUTH_TEST_BUILD", daemon.build)
            .set("CODEX_OAUTH_TEST_PROTOCOL", daemon.protocol);
        let _daemon = rig.daemon();
        for (c, client) in ALL.into_iter().enumerate() {
            // Ranges 1-2, 2-3, 3-4.
            let common = (d.min(c) + 2 > d.max(c)).then_some(d.min(c) + 2);
            let mut lines = Lines::connect(&rig.home);
            let mut hello = Lines::hello(&rig.home, Role::Api);
            hello["hello"]["protocol"] = json!({"min": c + 1, "max": c + 2});
            hello["hello"]["build"] = json!(client.build);
            lines.send(&hello);
            let answer = lines.receive().unwrap();
            let mut shim = shim(&rig.home, binary("codex-oauth-mcp").parent().unwrap(), client);
            shim.initialize();
            let text = text_of(&shim.request_tool("codex_status", &json!({})));
            if let Some(version) = common {
                assert_eq!(answer["welcome"]["protocol"], version, "{answer}");
                assert!(text.contains("signed out"), "{text}");
            } else {
                assert_eq!(answer["refusal"]["error"]["code"], "unsupported_version", "{answer}");
                let older = if c < d { "the client is older" } else { "the daemon is older" };
                assert!(text.contains(older) && text.contains("\nnext: install the newest"), "{text}");
            }
        }
    }
}

#[test]
fn a_newer_build_gets_its_own_daemon_and_an_older_one_uses_it_or_says_what_to_do() {
    let rig = rig();
    let folders = ALL.map(|what| install(&rig.home, what));
    let ask = |index: usize| {
        let mut shim = shim(&rig.home, &folders[index], ALL[index]);
        shim.initialize();
        text_of(&shim.request_tool("codex_status", &json!({})))
    };
    assert!(ask(0).contains("0.1.0"), "the previous build starts its own");
    // It speaks no version of the next build's: it makes way.
    let text = ask(2);
    assert!(text.contains("0.3.0"), "{text}");
    let text = ask(1);
    assert!(text.contains("0.3.0"), "the older one uses the newer daemon: {text}");
    let text = ask(0);
    assert!(text.contains("the client is older") && text.contains("\nnext: install the newest"), "{text}");
}

#[test]
fn two_builds_in_turn_restart_the_daemon_once_at_most() {
    let rig = rig();
    let builds = [Build { build: "0.1.0", protocol: "1-1" }, Build { build: "0.2.0", protocol: "1-1" }];
    let folders = builds.map(|what| install(&rig.home, what));
    let mut daemons = BTreeSet::new();
    for call in 0..rounds(200) as usize {
        let which = call % 2;
        let mut shim = shim(&rig.home, &folders[which], builds[which]);
        shim.initialize();
        let text = text_of(&shim.request_tool("codex_status", &json!({})));
        assert!(text.contains("signed out"), "{text}");
        daemons.insert(status_of(&rig.home)["pid"].as_u64().unwrap());
    }
    assert!(daemons.len() <= 2, "{} daemons", daemons.len());
    assert_eq!(status_of(&rig.home)["build"], "0.2.0");
    // When none runs, the older build starts the newer daemon.
    let pid = i32::try_from(*daemons.last().unwrap()).unwrap();
    let running = i32::try_from(status_of(&rig.home)["pid"].as_u64().unwrap()).unwrap();
    for pid in [pid, running] {
        // The first of the two has ended.
        let _ended = rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        );
    }
    let mut older = shim(&rig.home, &folders[0], builds[0]);
    older.initialize();
    older.request_tool("codex_status", &json!({}));
    assert_eq!(status_of(&rig.home)["build"], "0.2.0");
}

/// Ends the daemon that serves, in an instant.
fn kill_daemon(home: &Home) {
    let pid = i32::try_from(status_of(home)["pid"].as_u64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_session_whose_programs_were_replaced_or_removed_starts_the_daemon_that_there_is() {
    let rig = rig();
    let builds = [Build { build: "0.1.0", protocol: "1-1" }, Build { build: "0.2.0", protocol: "1-1" }];
    let folders = builds.map(|what| install(&rig.home, what));
    let run = |program: &str, paths: [&Path; 2]| {
        assert!(std::process::Command::new(program).args(paths).status().unwrap().success());
    };
    let mut session = shim(&rig.home, &folders[0], builds[0]);
    session.initialize();
    let mut served_by = |build: &str| {
        assert!(text_of(&session.request_tool("codex_status", &json!({}))).contains(&format!("{build} up")));
    };
    served_by("0.1.0");
    let program = folders[0].join("codex-oauth-mcp");
    run("mv", [&folders[1].join("codex-oauth-mcp"), &program]);
    kill_daemon(&rig.home);
    served_by("0.1.0");

    run("cp", [&program, &folders[1].join("codex-oauth-mcp")]);
    let mut other = shim(&rig.home, &folders[1], builds[1]);
    other.initialize();
    other.request_tool("codex_status", &json!({}));
    run("rm", [Path::new("-r"), &folders[0]]);
    kill_daemon(&rig.home);
    served_by("0.2.0");
}

#[test]
fn an_upgrade_during_a_stream_drops_nothing_however_long_it_takes() {
    // A drain of this length is over long before the new daemon has answered: nobody waits for this end.
    let rig = rig().limits(&[("drain_ms", 1)]);
    let builds = [Build { build: "0.1.0", protocol: "1-1" }, Build { build: "0.2.0", protocol: "1-1" }];
    let folders = builds.map(|what| install(&rig.home, what));
    let mut old = shim(&rig.home, &folders[0], builds[0]);
    old.initialize();
    rig.sign_in();
    rig.fake.next(Endpoint::Responses, Effect::hold_after(4, "gate"));
    old.call(&json!("long"), "codex_query", &json!({"prompt": "long"}));
    rig.fake
        .wait_for(|entries| entries.iter().any(|e| e.endpoint == Endpoint::Responses && e.events >= 4))
        .unwrap();
    let before = status_of(&rig.home);
    let mut new = shim(&rig.home, &folders[1], builds[1]);
    new.initialize();
    assert!(text_of(&new.request_tool("codex_query", &json!({"prompt": "new"}))).contains("new"));
    let after = status_of(&rig.home);
    assert_eq!((&before["build"], &after["build"]), (&json!("0.1.0"), &json!("0.2.0")));
    rig.fake.release("gate");
    let long = old.answer(&json!("long"))["result"].clone();
    assert!(text_of(&long).contains("long") && long["isError"] != true, "{long}");
    assert!(text_of(&old.request_tool("codex_query", &json!({"prompt": "again"}))).contains("again"));
}
