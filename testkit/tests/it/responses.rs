//! Turns: what is refused, and what a whole answer looks like.

use fake_openai::{Endpoint, MintRequest};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};

use crate::rig::{Rig, events, json_of, signed, text_of, turn_body, types};

async fn answer(rig: &Rig, body: &Value) -> Vec<Value> {
    let response = rig.turn(&rig.login(), body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    events(&response.text().await.unwrap())
}

#[tokio::test]
async fn every_known_refusal_has_the_words_of_the_backend() {
    let rig = Rig::start();
    let login = rig.login();
    let with = |name: &str, value: Value| {
        let mut body = turn_body("hi");
        body[name] = value;
        body
    };
    let without = |name: &str| {
        let mut body = turn_body("hi");
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let unsupported_model =
        |name: &str| format!("The '{name}' model is not supported when using Codex with a ChatGPT account.");
    let mut rows = vec![
        (without("store"), "Store must be set to false".to_owned()),
        (with("store", json!(true)), "Store must be set to false".to_owned()),
        (without("stream"), "Stream must be set to true".to_owned()),
        (with("stream", json!(false)), "Stream must be set to true".to_owned()),
        (without("instructions"), "Instructions are required".to_owned()),
        (with("instructions", json!("")), "Instructions are required".to_owned()),
        (with("input", json!("hi")), "Input must be a list".to_owned()),
        (
            with("input", json!([{"role": "system", "content": "x"}, {"role": "user", "content": "y"}])),
            "System messages are not allowed".to_owned(),
        ),
        (with("model", json!("gpt-5")), unsupported_model("gpt-5")),
        (with("model", json!("")), unsupported_model("")),
    ];
    for name in [
        "max_output_tokens",
        "temperature",
        "top_p",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "metadata",
        "top_logprobs",
        "truncation",
        "user",
        "context_management",
        "response_format",
        "messages",
        "previous_response_id",
    ] {
        rows.push((with(name, json!(1)), format!("Unsupported parameter: {name}")));
    }
    for (body, detail) in rows {
        let answer = json_of(rig.turn(&login, &body).send().await.unwrap()).await;
        assert_eq!(answer, (400, json!({"detail": detail})));
    }
}

#[tokio::test]
async fn a_body_like_the_official_cli_s_is_accepted() {
    let rig = Rig::start();
    // WIRE §7.2: no `instructions`; the base prompt is a developer message, or the model is lite.
    let mut body = turn_body("hi");
    body.as_object_mut().unwrap().remove("instructions");
    body["input"].as_array_mut().unwrap().insert(
        0,
        json!({"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be Codex."}]}),
    );
    body["service_tier"] = json!("priority");
    body["client_metadata"] = json!({"session_id": "s"});
    answer(&rig, &body).await;
    let mut lite = turn_body("hi");
    lite.as_object_mut().unwrap().remove("instructions");
    lite["model"] = json!("gpt-6.1-sol");
    answer(&rig, &lite).await;
}

#[tokio::test]
async fn the_bearer_must_be_live_and_the_account_its_own() {
    let rig = Rig::start();
    let login = rig.login();
    let stale = rig.fake.mint(&MintRequest { access_token_life_secs: Some(0), ..MintRequest::default() });
    let url = format!("{}/codex/responses", rig.fake.backend_url());
    let bearer = |token: &str, account: &str| {
        let request = rig.http.post(&url).header("authorization", format!("Bearer {token}"));
        request.header("chatgpt-account-id", account)
    };
    let account = login.account_id.as_str();
    for (request, status, code) in [
        (rig.http.post(&url), 401, json!(null)),
        (bearer(&stale.access_token, account), 401, json!("token_expired")),
        (bearer("never-made", account), 401, json!("token_invalidated")),
        (bearer(login.refresh(), account), 401, json!("token_invalidated")),
        (bearer(&login.id_token, account), 401, json!("token_invalidated")),
        (bearer(&login.access_token, "another-account"), 403, json!(null)),
    ] {
        let (seen, body) = json_of(request.send().await.unwrap()).await;
        assert_eq!((seen, &body["error"]["code"]), (status, &code));
    }
    rig.fake.invalidate_access_tokens();
    let (_, body) = json_of(rig.turn(&login, &turn_body("hi")).send().await.unwrap()).await;
    assert_eq!(body["error"]["code"], "token_invalidated");
}

#[tokio::test]
async fn a_zstd_body_is_decoded() {
    let rig = Rig::start();
    let login = rig.login();
    let plain = turn_body(&format!("a compressed prompt {}", "again ".repeat(5_000))).to_string();
    let wire = compress_to_vec(plain.as_bytes(), CompressionLevel::Fastest);
    let sent = wire.len();
    let request = signed(rig.http.post(format!("{}/codex/responses", rig.fake.backend_url())), &login);
    let request =
        request.header("content-type", "application/json").header("content-encoding", "zstd").body(wire);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(text_of(&events(&response.text().await.unwrap())).contains("a compressed prompt"));
    let entry = rig.fake.requests(Endpoint::Responses).pop().unwrap();
    assert_eq!((entry.wire_len, entry.encoding.as_deref()), (sent, Some("zstd")));
    assert_eq!(entry.body["model"], "gpt-5.5");

    let request = signed(rig.http.post(format!("{}/codex/responses", rig.fake.backend_url())), &login);
    let broken = request.header("content-encoding", "zstd").body("no zstd").send().await.unwrap();
    assert_eq!(broken.status(), 400);
}

#[tokio::test]
async fn a_websocket_handshake_is_answered_426() {
    let rig = Rig::start();
    let login = rig.login();
    let upgrade =
        rig.get("/codex/responses", &login).header("connection", "upgrade").header("upgrade", "websocket");
    assert_eq!(json_of(upgrade.send().await.unwrap()).await, (426, json!({"detail": "Upgrade Required"})));
    assert_eq!(rig.get("/codex/responses", &login).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn events_come_in_the_order_of_the_backend() {
    let rig = Rig::start();
    let events = answer(&rig, &turn_body("what is 6 * 7?")).await;
    let types = types(&events);
    let deltas = types.iter().filter(|kind| **kind == "response.output_text.delta").count();
    assert!(deltas > 1);
    let mut expected = vec![
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ];
    expected.extend(std::iter::repeat_n("response.output_text.delta", deltas));
    expected.extend([
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]);
    assert_eq!(types, expected);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let text = text_of(&events);
    assert!(text.ends_with("to: what is 6 * 7?"), "{text}");
    let done = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap();
    assert_eq!(done("response.output_text.done")["text"], text.as_str());
    assert_eq!(done("response.content_part.done")["part"]["text"], text.as_str());
    assert_eq!(done("response.output_item.done")["item"]["content"][0]["text"], text.as_str());
    let usage = &done("response.completed")["response"]["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap()
    );
}

#[tokio::test]
async fn an_effort_brings_a_reasoning_item_first() {
    let rig = Rig::start();
    let mut body = turn_body("think");
    body["reasoning"] = json!({"effort": "high"});
    let events = answer(&rig, &body).await;
    assert_eq!(
        types(&events)[2..9],
        [
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
        ]
    );
    let reasoning = &events[8]["item"];
    assert_eq!(reasoning["type"], "reasoning");
    assert!(reasoning["encrypted_content"].as_str().unwrap().starts_with("FAKE-"));
    let delta = events.iter().find(|event| event["type"] == "response.output_text.delta").unwrap();
    assert_eq!(delta["output_index"], 1);
}

#[tokio::test]
async fn the_answer_follows_from_the_prompt() {
    let rig = Rig::start();
    let text = |prompt: &'static str| {
        let rig = &rig;
        async move { text_of(&answer(rig, &turn_body(prompt)).await) }
    };
    assert_eq!(text("one").await, text("one").await);
    assert_ne!(text("one").await, text("two").await);
    assert_eq!(text("please [[say exactly: this ü]]").await, "exactly: this ü");
    assert_eq!(text("").await.lines().count(), 1);
}

#[tokio::test]
async fn repeat_makes_as_many_deltas_of_that_size() {
    let rig = Rig::start();
    let events = answer(&rig, &turn_body("[[repeat 2000 300]]")).await;
    let deltas: Vec<&str> = events
        .iter()
        .filter(|e| e["type"] == "response.output_text.delta")
        .map(|e| e["delta"].as_str().unwrap())
        .collect();
    assert_eq!(deltas.len(), 2000);
    assert!(deltas.iter().all(|delta| delta.len() == 300));
    assert!(deltas[1999].starts_with("0001999 "));
    assert_eq!(rig.fake.requests(Endpoint::Responses)[0].events, 2000 + 8);
}

#[tokio::test]
async fn a_turn_s_headers_echo_the_model_and_tell_the_limits() {
    let rig = Rig::start();
    let login = rig.login();
    let response = rig.turn(&login, &turn_body("hi")).send().await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["openai-model"], "gpt-5.5");
    assert_eq!(headers["x-codex-primary-used-percent"], "12.5");
    assert_eq!(headers["x-codex-secondary-window-minutes"], "10080");
    assert!(headers.contains_key("x-request-id") && headers.contains_key("x-models-etag"));
    let state = headers["x-codex-turn-state"].clone();
    let second =
        rig.turn(&login, &turn_body("hi")).header("x-codex-turn-state", &state).send().await.unwrap();
    assert_eq!(second.headers()["x-codex-turn-state"], state);
}
