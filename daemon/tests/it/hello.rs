//! The opening of a session: who is let in, and what is said to those who are not.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use codex_oauth_proto::MAX_LINE_BYTES;
use codex_oauth_proto::hello::Role;
use codex_oauth_rig::scale::figure;
use codex_oauth_rig::{Lines, Rig, eventually};
use serde_json::{Value, json};

use crate::support::status_of;

/// A user that every Debian machine has and that owns nothing.
const NOBODY: u32 = 65_534;

/// What the daemon says to an opening, and whether it then ends the connection.
fn opened_with(rig: &Rig, bytes: &[u8]) -> Option<Value> {
    let mut lines = Lines::connect(&rig.home);
    lines.send_bytes(bytes);
    lines.finish();
    let said = lines.receive();
    assert_eq!(lines.receive(), None, "the connection ends after a refusal");
    said
}

#[test]
fn junk_is_refused_with_a_code_and_the_daemon_lives() {
    let rig = Rig::new().limits(&[("hello_ms", 60_000)]);
    let _daemon = rig.daemon();
    let mut long = vec![b'x'; MAX_LINE_BYTES + 1];
    long.push(b'\n');
    let rows: [(&[u8], &str); 7] = [
        (b"GET / HTTP/1.1\r\n\r\n", "malformed"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}\n", "malformed"),
        (b"[]\n", "malformed"),
        (b"{\"hello\":{}}\n", "malformed"),
        (b"\xff\xfe\x00\n", "malformed"),
        (b"{\"hello\":", "malformed"),
        (&long, "line_too_long"),
    ];
    for (bytes, code) in rows {
        let said = opened_with(&rig, bytes).expect("a refusal");
        assert_eq!(said["refusal"]["error"]["code"], code, "{said}");
        assert!(said["refusal"]["protocol"]["max"].is_number());
    }
    assert_eq!(opened_with(&rig, b""), None, "who says nothing is told nothing");
    Lines::open(&rig.home, Role::Api);
}

#[test]
fn who_says_nothing_is_closed_at_the_deadline() {
    let rig = Rig::new().limits(&[("hello_ms", 50)]);
    let _daemon = rig.daemon();
    let mut lines = Lines::connect(&rig.home);
    assert_eq!(lines.receive().expect("a refusal")["refusal"]["error"]["code"], "malformed");
    assert_eq!(lines.receive(), None);
}

#[test]
fn another_version_role_or_credential_file_is_refused_with_the_next_step() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let rows: [(&str, Value, &str, &str); 4] = [
        ("protocol", json!({"min": 7, "max": 9}), "unsupported_version", "upgrade"),
        ("protocol", json!({"min": 0, "max": 0}), "unsupported_version", "upgrade"),
        ("role", json!("carpenter"), "unsupported_version", "upgrade"),
        ("auth_file", json!("/elsewhere/auth.json"), "other_credential_store", "fix_configuration"),
    ];
    for (field, value, code, step) in rows {
        let mut hello = Lines::hello(&rig.home, Role::Api);
        hello["hello"][field] = value;
        let said = opened_with(&rig, format!("{hello}\n").as_bytes()).expect("a refusal");
        let error = &said["refusal"]["error"];
        assert_eq!((&error["code"], &error["next_step"]["do"]), (&json!(code), &json!(step)), "{said}");
    }
}

#[test]
fn a_session_over_the_bound_is_turned_away_with_a_word() {
    let rig = Rig::new().limits(&[("sessions", 2)]);
    let _daemon = rig.daemon();
    let _both = (Lines::open(&rig.home, Role::Api), Lines::open(&rig.home, Role::Mcp));
    let mut third = Lines::connect(&rig.home);
    third.send(&Lines::hello(&rig.home, Role::Api));
    assert_eq!(third.receive().expect("a refusal")["refusal"]["error"]["code"], "overloaded");
    assert_eq!(third.receive(), None);
}

/// What a stranger says, which nobody is to read.
const STRANGE: &str = "what a stranger says";

/// Opens every door, connects as another user and says something. The bytes that come back, and the milliseconds until the
/// connection is closed.
fn stranger(rig: &Rig) -> (usize, f64) {
    assert!(rustix::process::geteuid().is_root(), "a second user takes root: the test machines run as root");
    let socket = rig.home.endpoint().socket();
    for path in [rig.home.path(), socket.parent().unwrap(), &socket] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let script = "import socket, sys, time\n\
        s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect(sys.argv[1]); began = time.monotonic()\n\
        try: s.sendall(sys.argv[2].encode() + b'\\n')\n\
        except BrokenPipeError: pass\n\
        try: got = len(s.recv(1000))\n\
        except ConnectionResetError: got = 0\n\
        print(got, (time.monotonic() - began) * 1000)\n";
    let output = std::process::Command::new("python3")
        .args(["-c", script])
        .arg(&socket)
        .arg(STRANGE)
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let (got, took) = said.trim().split_once(' ').unwrap();
    (got.parse().unwrap(), took.parse().unwrap())
}

#[test]
fn another_user_gets_not_a_byte_even_when_every_door_is_open() {
    let rig = Rig::new();
    let daemon = rig.daemon();
    let (got, took) = stranger(&rig);
    let measured = format!("{got} bytes, closed after {took:.1} ms");
    figure("another user with every door open", &measured, "0 bytes, 100 ms", got == 0 && took <= 100.0);
    assert_eq!(got, 0, "the stranger was sent something");
    assert!(took < 1_000.0, "the promise is 100 ms on a quiet machine");
    let refused = status_of(&rig.home)["peersRefused"].clone();
    assert_eq!(refused, 1);
    eventually("it is logged", || daemon.log().contains("another user"));
    let log = daemon.log();
    let lines = log.lines().filter(|line| line.contains("another user"));
    assert_eq!(lines.count(), 1, "{log}");
    assert!(log.contains(&format!("Some({NOBODY})")) && !log.contains(STRANGE), "{log}");
}

#[test]
fn junk_after_the_welcome_ends_that_session_alone() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut other = Lines::open(&rig.home, Role::Api);
    for role in [Role::Api, Role::Mcp] {
        let mut lines = Lines::open(&rig.home, role);
        lines.send_bytes(b"this is not JSON\n");
        let said = lines.receive().expect("an error");
        assert_eq!((&said["error"]["code"], said.get("id")), (&json!(-32700), Some(&Value::Null)), "{said}");
        assert_eq!(lines.receive(), None);
        let mut lines = Lines::open(&rig.home, role);
        lines.send_bytes(b"{\"jsonrpc\":\"2.0\",\"id\":1,");
        lines.finish();
        let said = lines.receive().expect("an error");
        assert!(said["error"]["message"].as_str().unwrap().contains("middle"), "{said}");
        assert_eq!(lines.receive(), None);
    }
    other.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    assert_eq!(other.answer(&json!(1))["result"]["sessions"], 1);
}

#[test]
fn an_unknown_method_and_wrong_parameters_are_named() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut lines = Lines::open(&rig.home, Role::Api);
    for (method, params, code, named) in [
        ("turn/strat", json!({}), -32601, "turn/strat"),
        ("turn/start", json!({"input": "text"}), -32602, "turn/start"),
        ("turn/interrupt", json!({}), -32602, "turnId"),
        ("turn/interrupt", json!({"turnId": "none"}), -32602, "none"),
        ("account/login/cancel", json!({"loginId": "none"}), -32602, "none"),
    ] {
        lines.send(&json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": params}));
        let error = lines.answer(&json!("x"))["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
    }
}

#[test]
fn another_user_is_told_nothing_when_the_daemon_is_full_either() {
    let rig = Rig::new().limits(&[("sessions", 1)]);
    let daemon = rig.daemon();
    let _only = Lines::open(&rig.home, Role::Api);
    assert_eq!(stranger(&rig).0, 0, "{}", daemon.log());
}

#[test]
fn a_client_that_is_gone_holds_no_place_and_one_that_only_finished_speaking_gets_its_answer() {
    let rig = Rig::new().limits(&[("sessions", 2)]);
    let _daemon = rig.daemon();
    for _ in 0..4 {
        let mut waiting = Lines::open(&rig.home, Role::Api);
        waiting.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "account/login/start"}));
        waiting.answer(&json!(1));
        // It waits for the login's end; then its client is gone.
        drop(waiting);
        eventually("its place is free", || {
            let mut lines = Lines::connect(&rig.home);
            lines.send(&Lines::hello(&rig.home, Role::Api));
            let welcomed = lines.receive().is_some_and(|said| said.get("welcome").is_some());
            lines.send(&json!({"jsonrpc": "2.0", "id": null, "method": "daemon/status"}));
            lines.finish();
            welcomed && lines.answer(&Value::Null)["result"]["sessions"] == 1
        });
    }
}

#[test]
fn a_message_that_is_json_and_no_request_is_answered_by_its_id_and_the_session_goes_on() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut lines = Lines::open(&rig.home, Role::Api);
    lines.send(&json!({"jsonrpc": "2.0", "id": 5}));
    assert_eq!(lines.answer(&json!(5))["error"]["code"], -32600);
    lines.send(&json!({"jsonrpc": "2.0", "id": 6, "method": "daemon/status"}));
    assert!(lines.answer(&json!(6)).get("result").is_some());
}
