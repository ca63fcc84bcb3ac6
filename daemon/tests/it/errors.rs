//! Errors as they cross the socket.

use codex_oauth_proto::hello::Role;
use codex_oauth_rig::{Lines, Rig};
use fake_openai::{Effect, Endpoint, Script};
use serde_json::{Value, json};

/// The `http_status` and the retry class of an error.
fn status(error: &Value) -> (Option<u64>, &str) {
    (error["http_status"].as_u64(), error["retry"]["kind"].as_str().unwrap_or_default())
}

/// Asks, and returns the error with which the turn ends.
fn asked(lines: &mut Lines) -> Value {
    let input = json!([{"type": "text", "text": "hello"}]);
    let params = json!({"input": input});
    lines.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "turn/start", "params": params}));
    loop {
        let mut line = lines.receive().expect("the end of the turn");
        assert!(line.get("error").is_none(), "{line}");
        if line["method"] == "turn/completed" {
            return line["params"]["error"].take();
        }
    }
}

#[test]
fn every_error_on_the_socket_carries_the_status_for_whoever_puts_it_behind_http() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut lines = Lines::open(&rig.home, Role::Api);
    lines.send(&json!({"jsonrpc": "2.0", "id": 7, "method": "model/buy"}));
    assert_eq!(status(&lines.answer(&json!(7))["error"]["data"]), (Some(404), "never"));
    lines.send(&json!({"jsonrpc": "2.0", "id": 8, "method": "turn/start", "params": {"input": 1}}));
    assert_eq!(status(&lines.answer(&json!(8))["error"]["data"]), (Some(400), "never"));
    assert_eq!(status(&asked(&mut lines)), (Some(401), "never"));
    rig.sign_in();
    rig.fake.script(Script::always(Endpoint::Responses, Effect::too_many_requests(Some(3_600))));
    let limited = asked(&mut lines);
    assert_eq!(status(&limited), (Some(429), "after"), "{limited}");
    assert!(limited["retry"]["seconds"].as_u64().is_some_and(|seconds| seconds > 3_000), "{limited}");
    let mut strange = Lines::connect(&rig.home);
    strange.send(&json!({"hello": 1}));
    let refusal = strange.receive().expect("a refusal");
    assert_eq!(status(&refusal["refusal"]["error"]), (Some(400), "never"), "{refusal}");
}
