//! Pains with questions and answers.

use codex_oauth_rig::{Shim, eventually, text_of};
use fake_openai::{Effect, Endpoint, Script};
use serde_json::json;

use super::house::{House, says};

pub(super) fn an_answer_whose_window_was_closed() {
    let house = House::signed_in();
    house.rig.fake.next(Endpoint::Responses, Effect::hold_after(2, "closed"));
    let mut shim = Shim::initialized(&house.rig.home);
    shim.call(&json!(1), "codex_query", &json!({"prompt": "paid for"}));
    house.rig.fake.wait_for_request(Endpoint::Responses, 1).unwrap();
    drop(shim);
    house.rig.fake.release("closed");
    eventually("the answer is kept", || house.command(&["answers"]).stdout.contains("ago"));
    assert!(house.command(&["answers", "last"]).stdout.contains("paid for"));
    house.is_well();
}

pub(super) fn a_model_that_is_gone() {
    let house = House::signed_in();
    let gone = house.tool("codex_query", &json!({"prompt": "hello", "model": "gpt-0-gone"}));
    says(&gone, &["gpt-0-gone", "next: call codex_models"]);
    house.doctor_names("questions", "warn", &["no model of that name", "codex-oauth explain "]);
    let list = text_of(&house.tool("codex_models", &json!({})));
    let live = list.split_whitespace().next().unwrap();
    let answer = house.tool("codex_query", &json!({"prompt": "hello", "model": live}));
    assert_ne!(answer["isError"], true, "{answer}");
    house.doctor_names("questions", "ok", &["was answered"]);
}

pub(super) fn an_account_that_does_not_exist() {
    let house = House::signed_in();
    let wrong = house.tool("codex_query", &json!({"prompt": "hello", "account": "nobody"}));
    says(&wrong, &["nobody", "`codex-oauth account list`"]);
    house.is_well();
    let list = house.command(&["account", "list"]).stdout;
    assert!(list.contains("default"), "{list}");
    let answer = house.tool("codex_query", &json!({"prompt": "hello", "account": "default"}));
    assert_ne!(answer["isError"], true, "{answer}");
}

pub(super) fn a_stream_that_breaks_off() {
    let house = House::signed_in();
    house.rig.fake.next(Endpoint::Responses, Effect::cut_after(4));
    house.fails(&["next: ask again"]);
    house.doctor_names("questions", "warn", &["the stream was cut", "codex-oauth explain "]);
    house.answers();
    house.doctor_names("questions", "ok", &["was answered"]);
}

pub(super) fn a_parameter_that_the_backend_refuses() {
    let house = House::signed_in();
    let answer = house.tool("codex_query", &json!({"prompt": "hello", "temperature": 0.5}));
    assert!(answer["isError"] != true && text_of(&answer).contains("temperature"), "{answer}");
    let sent = house.rig.fake.requests(Endpoint::Responses).pop().unwrap();
    assert!(sent.body.get("temperature").is_none(), "{:?}", sent.body);
    house.is_well();
}

pub(super) fn a_client_that_stops_waiting() {
    let house = House::signed_in();
    house.rig.fake.next(Endpoint::Responses, Effect::hold_after(2, "slow"));
    let mut shim = Shim::initialized(&house.rig.home);
    shim.call(&json!(1), "codex_query", &json!({"prompt": "slow"}));
    house.rig.fake.wait_for_request(Endpoint::Responses, 1).unwrap();
    let params = json!({"requestId": 1, "reason": "MCP error -32001: Request timed out"});
    shim.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    house.rig.fake.release("slow");
    let again = shim.request_tool("codex_query", &json!({"prompt": "slow"}));
    assert!(again["isError"] != true && text_of(&again).contains("slow"), "{again}");
    assert_eq!(house.rig.fake.requests(Endpoint::Responses).len(), 1, "asked and paid for once");
    house.is_well();
}

pub(super) fn an_answer_that_is_longer_than_claude_code_takes_by_itself() {
    // Without more ado a client puts a result of 55 000 characters into a file.
    const CHARACTERS: usize = 200_000;
    let house = House::signed_in();
    let mut shim = Shim::initialized(&house.rig.home);
    let tools = shim.request(&json!(9), "tools/list", &json!({}));
    let tools = tools["result"]["tools"].as_array().unwrap();
    let query = tools.iter().find(|tool| tool["name"] == "codex_query").unwrap();
    let most = query["_meta"]["anthropic/maxResultSizeChars"].as_u64().unwrap();
    assert!(most > CHARACTERS as u64, "{query}");
    let answer = shim.request_tool("codex_query", &json!({"prompt": "[[repeat 2000 100]]"}));
    assert!(answer["isError"] != true && text_of(&answer).chars().count() >= CHARACTERS, "whole");
    // Where a client cuts it all the same, the whole is kept here.
    let kept = || house.command(&["answers", "last"]).stdout;
    eventually("the answer is kept", || kept().chars().count() >= CHARACTERS);
    house.is_well();
}

pub(super) fn a_wait_of_which_nothing_is_seen() {
    let house = House::signed_in();
    house.rig.fake.next(Endpoint::Responses, Effect::hold("gate"));
    let mut shim = Shim::initialized(&house.rig.home);
    let params = json!({
        "name": "codex_query", "arguments": {"prompt": "slowly"}, "_meta": {"progressToken": 7}
    });
    shim.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}));
    let told = shim.receive().unwrap();
    assert_eq!(told["method"], "notifications/progress", "{told}");
    let text = told["params"]["message"].as_str().unwrap();
    assert!(text.starts_with("thinking"), "{text}");
    let status = house.command(&["status"]).stdout;
    assert!(status.contains("1 running"), "{status}");
    house.rig.fake.release("gate");
    assert!(text_of(&shim.answer(&json!(1))["result"]).contains("slowly"));
    house.is_well();
}

pub(super) fn a_plan_that_is_nearly_used_up() {
    let house = House::signed_in();
    house.rig.fake.configure(|behaviour| behaviour.rate_limits.secondary_used_percent = 96.0);
    house.answers();
    let status = text_of(&house.tool("codex_status", &json!({})));
    assert!(status.contains("week 96 % (!)"), "{status}");
    house.doctor_names("limits", "warn", &["week 96 % (!), starts anew in", "look at your plan"]);
    house.rig.fake.configure(|behaviour| behaviour.rate_limits.secondary_used_percent = 1.0);
    house.doctor_names("limits", "ok", &["week 1 %"]);
}

pub(super) fn too_many_requests() {
    let house = House::signed_in();
    house.rig.fake.script(Script::always(Endpoint::Responses, Effect::too_many_requests(Some(1))));
    house.fails(&["429", "next: try again"]);
    house.doctor_names("questions", "warn", &["HTTP 429", "codex-oauth explain "]);
    house.rig.fake.clear_scripts();
    house.answers_in_the_end();
}

pub(super) fn a_plan_that_is_used_up() {
    let house = House::signed_in();
    house.rig.fake.configure(|behaviour| {
        behaviour.rate_limits.primary_used_percent = 100.0;
        behaviour.rate_limits.primary_reset_after_secs = 2;
        behaviour.rate_limits.limit_reached = true;
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let resets = i64::try_from(now).unwrap() + 2;
    house.rig.fake.script(Script::always(Endpoint::Responses, Effect::usage_limit("plus", resets)));
    house.fails(&["limit", "next: "]);
    let report = house.doctor_names("limits", "fail", &["5h 100 %", "wait"]);
    assert!(report["next"].as_str().unwrap().contains("look at your plan"), "{report}");
    // The step is to wait.
    house.rig.fake.clear_scripts();
    house.rig.fake.configure(|behaviour| behaviour.rate_limits = fake_openai::RateLimits::default());
    house.answers_in_the_end();
    house.is_well();
}
