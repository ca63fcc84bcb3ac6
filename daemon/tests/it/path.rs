//! One question, from an MCP client to the backend and back.

use codex_oauth_proto::api::turn;
use codex_oauth_rig::{McpClient, Rig};
use fake_openai::Endpoint;
use serde_json::json;

#[tokio::test]
async fn a_question_travels_through_shim_socket_daemon_and_sse_and_back() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mcp = McpClient::connect(&rig.home).await;
    let tools = mcp.client.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 5);
    let result =
        mcp.call("codex_query", json!({"prompt": "What is Python?", "reasoning_effort": "low"})).await;
    let blocks: Vec<_> = result.content.iter().map(|block| block.as_text().unwrap().text.clone()).collect();
    assert!(blocks[0].contains("What is Python?"), "{blocks:?}");
    assert!(blocks[1].starts_with("gpt-6.1-sol · low · "), "{blocks:?}");
    assert_ne!(result.is_error, Some(true));
    let sent = &rig.fake.requests(Endpoint::Responses)[0];
    assert_eq!(sent.status, Some(200));
    assert_eq!(sent.body["store"], false);
}

#[tokio::test]
async fn over_tls_all_sessions_share_one_http2_connection() {
    let rig = Rig::over_tls();
    let _daemon = rig.signed_in();
    let (one, two) = (McpClient::connect(&rig.home).await, McpClient::connect(&rig.home).await);
    for (mcp, prompt) in [(&one, "first"), (&two, "second"), (&one, "third")] {
        let result = mcp.call("codex_query", json!({"prompt": prompt})).await;
        assert!(result.content[0].as_text().unwrap().text.contains(prompt));
    }
    let sent = rig.fake.requests(Endpoint::Responses);
    assert!(sent.iter().all(|entry| entry.tls && entry.http_version == "HTTP/2.0"), "{sent:?}");
    assert!(sent.iter().all(|entry| entry.connection == sent[0].connection));
}

#[test]
fn the_api_streams_the_answer_in_pieces_that_add_up_to_it() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut api = rig.api();
    let input = vec![turn::InputItem::Text { text: "Tell me in pieces".to_owned() }];
    let started = api.call::<turn::Start>(&turn::StartParams { input, ..Default::default() }).unwrap();
    let mut pieces = String::new();
    let completed: turn::Completed = loop {
        let incoming = api.notification().unwrap();
        assert_eq!(incoming.params["turnId"], started.turn_id.as_str());
        match incoming.method.as_str() {
            turn::DELTA => pieces.push_str(incoming.params["delta"].as_str().unwrap()),
            turn::COMPLETED => break serde_json::from_value(incoming.params).unwrap(),
            other => assert_eq!(other, turn::PROGRESS),
        }
    };
    assert_eq!(completed.status, turn::TurnStatus::Completed);
    assert_eq!(completed.answer.as_deref(), Some(pieces.as_str()));
    assert!(pieces.contains("Tell me in pieces"));
    assert!(completed.usage.unwrap().total_tokens > 0);
}

#[test]
fn what_is_asked_for_reaches_the_backend_and_what_it_refuses_is_left_out_with_a_word() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut lines = crate::support::mcp(&rig.home);
    let arguments = json!({
        "prompt": "p", "model": "gpt-5.5", "system_prompt": "Be brief.", "temperature": 0.2, "reasoning_effort": "high"
    });
    crate::support::call(&mut lines, &json!(1), "codex_query", &arguments);
    let result = &lines.answer(&json!(1))["result"];
    assert!(codex_oauth_rig::text_of(result).contains("temperature was left out"), "{result}");
    let body = &rig.fake.requests(Endpoint::Responses)[0].body;
    assert_eq!((&body["model"], &body["instructions"]), (&json!("gpt-5.5"), &json!("Be brief.")));
    assert_eq!(body["reasoning"]["effort"], "high");
    assert!(body.get("temperature").is_none());
}

#[test]
fn an_unknown_model_or_effort_is_answered_with_what_there_is_and_costs_nothing() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let mut lines = crate::support::mcp(&rig.home);
    for (arguments, expected) in [
        (json!({"prompt": "p", "model": "gpt-6.1-sool"}), "nearest: gpt-6.1-sol"),
        (json!({"prompt": "p", "model": "gpt-5.5", "reasoning_effort": "ultra"}), "gpt-5.5 knows low"),
        (json!({"prompt": "  "}), "prompt is required"),
        (json!({"prompt": "p", "modle": "x"}), "modle"),
        (json!({}), "prompt"),
    ] {
        crate::support::call(&mut lines, &json!(1), "codex_query", &arguments);
        let result = lines.answer(&json!(1))["result"].clone();
        let text = codex_oauth_rig::text_of(&result);
        assert!(result["isError"] == true && text.contains(expected), "{text}");
        assert!(text.contains("\nnext: "), "{text}");
    }
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 0);
}

#[test]
fn a_probe_tells_login_token_and_backend_apart_without_a_paid_turn() {
    use codex_oauth_proto::api::account::{Read, ReadParams};
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut api = rig.api();
    let mut probe = || api.call::<Read>(&ReadParams { probe: true, account: None }).unwrap().probe.unwrap();
    let seen = probe();
    assert_eq!((seen.authenticated, seen.token_valid, seen.backend_reachable), (false, false, false));
    rig.sign_in();
    let seen = probe();
    assert_eq!(
        (seen.authenticated, seen.token_valid, seen.backend_reachable),
        (true, true, true),
        "{seen:?}"
    );
    rig.fake.next(Endpoint::Usage, fake_openai::Effect::gateway_error(502));
    let seen = probe();
    assert_eq!((seen.token_valid, seen.backend_reachable), (true, true), "{seen:?}");
    rig.fake.revoke_everything();
    let seen = probe();
    assert_eq!(
        (seen.authenticated, seen.token_valid, seen.backend_reachable),
        (true, false, true),
        "{seen:?}"
    );
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 0);
}
