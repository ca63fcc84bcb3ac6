//! A daemon that is absent, refuses, crashes, or is started by whoever needs it.

use codex_oauth_proto::NextStep;
use codex_oauth_proto::hello::Role;
use codex_oauth_proto::report::StartupReport;
use codex_oauth_rig::{Daemon, Lines, Rig, Shim, text_of};
use fake_openai::{Effect, Endpoint};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn a_shim_starts_the_daemon_when_none_is_there() {
    let rig = Rig::new();
    let home = rig.home.set("CODEX_OAUTH_NO_SPAWN", "0");
    let mut shim = Shim::initialized(&home);
    shim.call(&json!(1), "codex_status", &json!({}));
    assert!(text_of(&shim.answer(&json!(1))["result"]).contains("signed out"));
    let mut lines = Lines::open(&home, Role::Api);
    lines.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    let status = lines.answer(&json!(1))["result"].clone();
    let pid = status["pid"].as_i64().unwrap();
    let parent = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session: i64 = parent.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().parse().unwrap();
    assert_eq!(session, pid, "the daemon leads a session of its own");
    lines.send(&json!({"jsonrpc": "2.0", "id": 2, "method": "daemon/drain", "params": {"reason": "test"}}));
    lines.answer(&json!(2));
    assert_eq!(lines.receive(), None);
}

#[test]
fn without_a_daemon_the_session_lives_and_says_why_then_heals() {
    let rig = Rig::new();
    let mut shim = Shim::initialized(&rig.home);
    assert_eq!(
        shim.request(&json!(1), "tools/list", &json!({}))["result"]["tools"].as_array().unwrap().len(),
        5
    );
    shim.call(&json!(2), "codex_query", &json!({"prompt": "p"}));
    let result = shim.answer(&json!(2))["result"].clone();
    let text = text_of(&result);
    assert!(
        result["isError"] == true && text.contains("CODEX_OAUTH_NO_SPAWN") && text.contains("\nnext: "),
        "{text}"
    );
    let _daemon = rig.signed_in();
    shim.call(&json!(3), "codex_query", &json!({"prompt": "healed"}));
    assert!(text_of(&shim.answer(&json!(3))["result"]).contains("healed"));
}

#[test]
fn a_refusing_daemon_is_quoted_in_the_tools_result() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let other = rig.home.set("CODEX_OAUTH_AUTH_FILE", "/tmp/cxo-another/auth.json");
    let mut shim = Shim::initialized(&other);
    shim.call(&json!(1), "codex_query", &json!({"prompt": "p"}));
    let result = shim.answer(&json!(1))["result"].clone();
    let text = text_of(&result);
    assert!(result["isError"] == true && text.contains("/tmp/cxo-another/auth.json"), "{text}");
}

#[test]
fn a_daemon_that_cannot_start_says_why_in_the_tools_result() {
    let rig = Rig::new();
    let home =
        rig.home.set("CODEX_OAUTH_NO_SPAWN", "0").set("CODEX_OAUTH_BACKEND_URL", "http://backend.example");
    let mut shim = Shim::initialized(&home);
    shim.call(&json!(1), "codex_query", &json!({"prompt": "p"}));
    let text = text_of(&shim.answer(&json!(1))["result"]);
    assert!(text.contains("CODEX_OAUTH_BACKEND_URL") && text.contains("loopback"), "{text}");
}

#[test]
fn a_daemon_killed_in_mid_call_costs_that_call_a_word_and_the_session_nothing() {
    let rig = Rig::new();
    let daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::stall_after(4));
    let mut shim = Shim::initialized(&rig.home);
    shim.call(&json!("lost"), "codex_query", &json!({"prompt": "lost"}));
    rig.fake
        .wait_for(|entries| entries.iter().any(|e| e.endpoint == Endpoint::Responses && e.events >= 4))
        .unwrap();
    daemon.kill();
    let result = shim.answer(&json!("lost"))["result"].clone();
    let text = text_of(&result);
    assert!(result["isError"] == true && text.contains("\nnext: "), "{text}");
    let _next = rig.daemon();
    shim.call(&json!("next"), "codex_query", &json!({"prompt": "found"}));
    assert!(text_of(&shim.answer(&json!("next"))["result"]).contains("found"));
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 2, "the lost question was not sent again");
}

#[test]
fn a_second_daemon_does_not_start_and_the_first_is_not_disturbed() {
    let rig = Rig::new();
    let first = rig.daemon();
    let (mut second, report) = Daemon::launch(&rig.home);
    assert!(matches!(report, Some(StartupReport::AlreadyRunning { .. })), "{report:?}");
    assert_eq!(second.wait().code(), Some(75));
    let other = rig.home.path().join("run2");
    let Rig { home, .. } = rig;
    let elsewhere = home.set("CODEX_OAUTH_RUNTIME_DIR", other.to_str().unwrap());
    let (mut third, report) = Daemon::launch(&elsewhere);
    let Some(StartupReport::Failed(error)) = report else { panic!("{report:?}") };
    assert!(
        error.message.contains("owns this login") && error.message.contains(&first.pid().to_string()),
        "{error}"
    );
    assert_eq!(third.wait().code(), Some(1));
}

#[test]
fn a_daemon_whose_runtime_folder_was_removed_is_told_from_one_of_another_place() {
    let rig = Rig::new();
    let first = rig.daemon();
    let socket = rig.home.endpoint().socket();
    // So that it cannot look at its socket in between.
    first.signal(Signal::STOP);
    std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
    let (mut second, report) = Daemon::launch(&rig.home);
    let Some(StartupReport::Failed(error)) = report else { panic!("{report:?}") };
    let lost = format!("has lost its socket `{}`", socket.display());
    assert!(error.message.contains(&lost), "{error}");
    assert!(error.message.contains(&format!("`kill {}` ends it at once", first.pid())), "{error}");
    assert_eq!(error.next_step, Some(NextStep::RetryIn { seconds: 60 }));
    assert_eq!(second.wait().code(), Some(1));
}

#[test]
fn a_credential_file_with_an_odd_name_is_not_taken_for_its_lock() {
    let rig = Rig::new();
    let odd = rig.home.path().join("home/my.lock");
    rig.home.script(&odd, "{\"precious\": 1}");
    let home = rig.home.set("CODEX_OAUTH_AUTH_FILE", odd.to_str().unwrap());
    let (_daemon, report) = Daemon::launch(&home);
    assert!(matches!(report, Some(StartupReport::Ready { .. })), "{report:?}");
    assert_eq!(std::fs::read_to_string(&odd).unwrap(), "{\"precious\": 1}");
}

#[test]
fn a_dead_socket_is_replaced_and_anything_else_in_its_place_is_left_alone() {
    let rig = Rig::new();
    rig.daemon().kill();
    let socket = rig.home.endpoint().socket();
    assert!(socket.exists(), "a killed daemon leaves its socket");
    rig.daemon().kill();
    let moved = socket.with_extension("old");
    std::process::Command::new("mv").args([&socket, &moved]).status().unwrap();
    std::fs::File::create(&socket).unwrap();
    let (_failed, report) = Daemon::launch(&rig.home);
    assert!(
        matches!(&report, Some(StartupReport::Failed(error)) if error.message.contains("not a socket")),
        "{report:?}"
    );
    assert!(socket.is_file(), "the file is still there");
}

#[test]
fn a_shim_that_ends_before_its_first_line_has_done_nothing() {
    let rig = Rig::new();
    let home = rig.home.set("CODEX_OAUTH_NO_SPAWN", "0");
    let mut shim = Shim::spawn(&home);
    shim.close_input();
    assert!(shim.wait().success());
    assert!(!home.endpoint().dir.exists() && !home.path().join("state").exists());
}
