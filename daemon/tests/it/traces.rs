//! The flight recorder: what became of a question, told afterwards, also by the next daemon, and without its words.

use codex_oauth_proto::api::account::Logout;
use codex_oauth_proto::api::trace::{List, ListParams, Trace};
use codex_oauth_proto::api::turn::TurnStatus;
use codex_oauth_proto::{ErrorCode, NextStep};
use codex_oauth_rig::{Rig, Shim, binary, eventually, text_of};
use fake_openai::{Effect, Endpoint};
use serde_json::json;

/// What is in the questions, and what the backend quotes of them.
const CANARY: &str = "CANARY-3c77";

fn ask(shim: &mut Shim, prompt: &str) -> String {
    shim.call(&json!(1), "codex_query", &json!({"prompt": prompt, "system_prompt": CANARY}));
    text_of(&shim.answer(&json!(1))["result"])
}

fn traces(rig: &Rig, params: &ListParams) -> Vec<Trace> {
    rig.api().call::<List>(params).unwrap().traces
}

fn latest(rig: &Rig) -> Trace {
    traces(rig, &ListParams { limit: Some(1), ..ListParams::default() }).remove(0)
}

fn explain(rig: &Rig, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = rig.home.command(&binary("codex-oauth")).arg("explain").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn an_answer_leaves_its_phases_in_order_and_each_of_its_attempts() {
    let rig = Rig::new().limits(&[("backoff_first_ms", 1), ("turn_retries", 2)]);
    let _daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    rig.fake.next(Endpoint::Responses, Effect::gateway_error(502));
    let answer = ask(&mut shim, "twice");
    let trace = latest(&rig);
    let phases = trace.phases;
    let order = [
        phases.queued_ms,
        phases.token_ms,
        phases.sent_ms,
        phases.first_byte_ms,
        phases.first_token_ms,
        phases.done_ms,
    ];
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}");
    let [first, second] = &trace.attempts[..] else { panic!("{trace:?}") };
    assert_eq!((first.status, first.failure.as_deref()), (Some(502), Some("the backend failed")));
    assert!(first.wait_ms.is_some() && second.failure.is_none(), "{trace:?}");
    assert!(second.request_id.as_ref().is_some_and(|id| id.starts_with("req_")), "{trace:?}");
    assert_eq!((second.status, second.connect_ms), (Some(200), None), "an open connection served");
    assert_eq!(trace.question_bytes, ("twice".len() + CANARY.len()) as u64);
    assert!(trace.answer_bytes > 0 && answer.contains("twice") && trace.usage.is_some());
    assert_eq!((trace.status, trace.error), (TurnStatus::Completed, None));
}

#[test]
fn a_connection_that_was_made_for_it_is_timed() {
    let rig = Rig::over_tls();
    let _daemon = rig.signed_in();
    // Over HTTP/2 one connection would serve everything that the daemon asks, before the question too.
    rig.fake.next(Endpoint::Responses, Effect::close());
    let mut shim = Shim::initialized(&rig.home);
    let failed = ask(&mut shim, "first");
    assert!(failed.contains("details: /codex-oauth:codex-doctor "), "{failed}");
    ask(&mut shim, "second");
    let connected = |trace: &Trace| trace.attempts.iter().any(|attempt| attempt.connect_ms.is_some());
    assert!(traces(&rig, &ListParams::default()).iter().any(connected));
}

#[test]
fn an_error_names_its_question_and_explain_tells_its_story_also_after_a_restart() {
    let rig = Rig::new();
    let daemon = rig.signed_in();
    let mut shim = Shim::initialized(&rig.home);
    rig.fake.next(Endpoint::Responses, Effect::invalid_prompt(&format!("{CANARY} is not allowed")));
    let told = ask(&mut shim, CANARY);
    let (said, id) = told.rsplit_once("\ndetails: /codex-oauth:codex-doctor ").expect(&told);
    assert!(said.contains(CANARY) && said.contains("\nnext: ask it differently"), "{told}");
    assert_eq!(id.len(), 4, "{told}");
    let (story, _, code) = explain(&rig, &[id]);
    assert_eq!(code, Some(0));
    for part in
        ["upstream_rejected", "OpenAI answered with HTTP 200", "req_FAKE_", "next       ask it differently"]
    {
        assert!(story.contains(part), "{part}: {story}");
    }
    eventually("it is in the database", || !traces(&rig, &ListParams::default()).is_empty());
    daemon.kill();
    let daemon = rig.daemon();
    let again = explain(&rig, &["last"]).0;
    let untimed = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(untimed(&again), untimed(&story));
    let json = explain(&rig, &["--all", "--json"]).0;
    assert!(!again.contains(CANARY) && !json.contains(CANARY), "no word of it is kept: {json}");
    assert_eq!(explain(&rig, &["--all"]).0.lines().count(), 1);
    let (_, error, code) = explain(&rig, &["zzzz"]);
    assert!(error.contains("could not find the question `zzzz`") && code == Some(2), "{error}");
    assert!(!rig.log(&daemon).contains(CANARY));
}

#[test]
fn the_shell_is_told_the_same_id_and_a_failure_before_the_first_byte_is_kept_too() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.api().call::<Logout>(&codex_oauth_proto::api::account::OfAccount::default()).unwrap();
    let output = rig.home.command(&binary("codex-oauth")).args(["query", "nobody"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let id = said.trim_end().rsplit_once("\ndetails: codex-oauth explain ").expect(&said).1.to_owned();
    let trace = latest(&rig);
    assert!(trace.turn_id.starts_with(&id), "{id}: {trace:?}");
    let error = trace.error.unwrap();
    assert_eq!((error.code, error.next_step), (ErrorCode::NotLoggedIn, Some(NextStep::Login)));
    assert!(trace.attempts.is_empty() && trace.phases.token_ms.is_none() && trace.phases.sent_ms.is_none());
    let (meaning, _, _) = explain(&rig, &["not_logged_in"]);
    assert!(meaning.starts_with("Nobody is signed in.\nexit code  3\n"), "{meaning}");
}

#[test]
fn the_log_has_a_line_with_the_phases_of_each_question() {
    let rig = Rig::new();
    let daemon = rig.signed_in();
    ask(&mut Shim::initialized(&rig.home), "logged");
    eventually("the line is written", || daemon.log().contains("turn ended"));
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("turn ended")).unwrap();
    for field in
        [" INFO ", "attempts=1", "token_ms=", "sent_ms=", "first_byte_ms=", "first_token_ms=", " ms="]
    {
        assert!(line.contains(field), "{field}: {line}");
    }
    assert_eq!(traces(&rig, &ListParams::default()).len(), 1);
}
