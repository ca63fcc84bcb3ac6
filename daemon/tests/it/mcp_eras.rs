//! Both protocol eras over the real shim: `initialize` of the older revisions, stateless requests of 2026-07-28.

use codex_oauth_proto::tools::TOOLS_JSON;
use codex_oauth_rig::{Rig, Shim, text_of};
use serde_json::{Value, json};

fn modern(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "it", "version": "1"}
    });
    params
}

/// The tools of this build.
fn tools() -> Value {
    serde_json::from_str(TOOLS_JSON).unwrap()
}

#[test]
fn every_older_revision_is_negotiated_as_asked() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut shim = Shim::spawn(&rig.home);
        let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
        let result = shim.request(&json!(0), "initialize", &params)["result"].clone();
        assert_eq!(result["protocolVersion"], revision);
        assert_eq!(result["serverInfo"]["name"], "codex-oauth");
        shim.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        let listed = shim.request(&json!(1), "tools/list", &json!({}))["result"].clone();
        assert_eq!(listed["tools"], tools());
        assert!(listed.get("resultType").is_none(), "older peers know no resultType: {listed}");
        assert_eq!(shim.request(&json!(2), "ping", &json!({}))["result"], json!({}));
        shim.call(&json!(3), "codex_query", &json!({"prompt": revision}));
        assert!(text_of(&shim.answer(&json!(3))["result"]).contains(revision));
    }
}

#[test]
fn an_unknown_revision_is_answered_with_one_that_is_spoken() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut shim = Shim::spawn(&rig.home);
    let params = json!({"protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
    let result = shim.request(&json!(0), "initialize", &params)["result"].clone();
    assert_eq!(result["protocolVersion"], "2025-11-25");
}

#[test]
fn a_probe_then_stateless_requests_as_claude_code_sends_them() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut shim = Shim::spawn(&rig.home);
    let probe = shim.request(&json!("server-discover-probe-1"), "server/discover", &modern(json!({})));
    let result = &probe["result"];
    assert!(result["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{probe}");
    let listed = shim.request(&json!(0), "tools/list", &modern(json!({})))["result"].clone();
    assert_eq!((&listed["resultType"], &listed["tools"]), (&json!("complete"), &tools()));
    assert!(listed["ttlMs"].is_number() && listed["cacheScope"].is_string(), "{listed}");
    let params = modern(json!({"name": "codex_query", "arguments": {"prompt": "stateless"}}));
    let result = shim.request(&json!(1), "tools/call", &params)["result"].clone();
    assert_eq!(result["resultType"], "complete");
    assert!(text_of(&result).contains("stateless"));
}

/// What a client sees of an answer, without the line that tells how long it took.
fn shape(result: &Value) -> (Vec<&String>, &Value, usize) {
    let content = result["content"].as_array().unwrap();
    (result.as_object().unwrap().keys().collect(), &content[0], content.len())
}

#[test]
fn a_question_is_answered_alike_whether_the_sdk_passes_it_on_or_not() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let plain = json!({"name": "codex_query", "arguments": {"prompt": "alike"}});
    // The first request of a session goes by way of the SDK, which learns from it how the client speaks.
    let mut stateless = Shim::spawn(&rig.home);
    let [by_sdk, at_once] = [1, 2]
        .map(|id| stateless.request(&json!(id), "tools/call", &modern(plain.clone()))["result"].clone());
    assert_eq!(shape(&by_sdk), shape(&at_once));
    assert_eq!((&by_sdk["resultType"], &at_once["resultType"]), (&json!("complete"), &json!("complete")));
    // So does one that names an older version by itself.
    let mut named = plain.clone();
    named["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2025-11-25"});
    let mut negotiated = Shim::initialized(&rig.home);
    let [by_sdk, at_once] =
        [&named, &plain].map(|params| negotiated.request(&json!(1), "tools/call", params)["result"].clone());
    assert_eq!(shape(&by_sdk), shape(&at_once));
    assert!(at_once.get("resultType").is_none(), "{at_once}");
    // What cannot be understood is refused in the same words, wherever it comes.
    for (faulty, code) in [("2099-01-01", -32022), ("2026-07-28", -32602)] {
        let mut params = plain.clone();
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": faulty});
        for shim in [&mut stateless, &mut negotiated] {
            assert_eq!(shim.request(&json!(1), "tools/call", &params)["error"]["code"], code, "{faulty}");
        }
    }
    assert_eq!(stateless.request(&json!(1), "tools/call", &plain)["error"]["code"], -32602);
}

#[test]
fn a_probe_of_a_version_that_does_not_exist_leaves_the_way_open_to_initialize() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut shim = Shim::spawn(&rig.home);
    let mut params = modern(json!({}));
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let refused = shim.request(&json!(0), "server/discover", &params);
    assert_eq!(refused["error"]["code"], -32022, "{refused}");
    let refused = shim.request(&json!(1), "server/discover", &json!({}));
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}});
    assert!(shim.request(&json!(2), "initialize", &params).get("result").is_some());
}

#[test]
fn faulty_lines_get_an_error_each_and_the_session_goes_on() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    shim.send_bytes(b"junk\n");
    assert_eq!(shim.receive().unwrap()["error"]["code"], -32700);
    shim.send_bytes(b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]\n");
    assert_eq!(shim.receive().unwrap()["error"]["code"], -32600);
    let huge = "x".repeat(codex_oauth_proto::MAX_LINE_BYTES);
    shim.call(&json!("huge"), "codex_query", &json!({"prompt": huge}));
    assert_eq!(shim.answer(&json!("huge"))["error"]["code"], -32600);
    for (method, params, code) in [
        ("no/such", json!({}), -32601),
        ("tools/call", json!({"name": 5}), -32602),
        ("tools/call", json!({"name": "codex_dance", "arguments": {}}), -32602),
    ] {
        let refused = shim.request(&json!("faulty"), method, &params);
        assert_eq!(refused["error"]["code"], code, "{refused}");
    }
    for method in ["no/such", "resources/list"] {
        let refused = shim.request(&json!("unknown"), method, &json!({}));
        assert_eq!(refused["error"]["code"], -32601, "{refused}");
        assert_eq!(refused["error"]["message"], format!("unknown method: {method}"));
    }
    shim.send_bytes(
        b"{\"jsonrpc\":\"1.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"codex_models\"}}\n",
    );
    let refused = shim.receive().unwrap();
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(9), &json!(-32600)), "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("its `jsonrpc` is \"1.0\""), "{refused}");
    shim.call(&json!("after"), "codex_query", &json!({"prompt": "still here"}));
    assert!(text_of(&shim.answer(&json!("after"))["result"]).contains("still here"));
}
