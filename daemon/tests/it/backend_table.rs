//! What the backend does to a question (WIRE §7.5, §8.3, §9.1, §9.2) and what the tool result then says.

use codex_oauth_proto::api::turn;
use codex_oauth_proto::{Client, NextStep, Retry, WireError};
use codex_oauth_rig::{Daemon, Lines, Rig};
use fake_openai::{Effect, Endpoint, Script};
use serde_json::{Value, json};

use crate::support::{answer, failure, mcp};

/// Retries are quick here; how long the waits are is tested with a paused clock where they are made.
const RETRIES: u64 = 2;

/// Steps as Claude Code shows them.
const ASK_AGAIN: &str = "ask again";
const TRY_AGAIN: &str = "try again";
const LIST_MODELS: &str = "call codex_models";
const SHORTEN: &str = "send a shorter prompt";
const WORKSPACE: &str = "run /codex-oauth:codex-config to sign in, and choose another workspace";
const PLAN: &str = "look at your plan";
const ARGUMENTS: &str = "correct the argument";
const NETWORK: &str = "run /codex-oauth:codex-doctor";
const ELSEWHERE: &str = "try from another network";
const UPGRADE: &str = "install the newest version";
const REPHRASE: &str = "ask it differently";

/// Lifted long after any test.
const FAR: i64 = 4_000_000_000;

/// The name of the row, what the backend does, what the result says, the next step, and how many requests were sent.
type Row = (&'static str, Effect, &'static str, &'static str, usize);

/// WIRE §7.5: refused as a whole. Our own requests pass these checks, so each is scripted.
fn refused_requests() -> Vec<Row> {
    let refused = Effect::bad_request;
    let model = "The 'gpt-5' model is not supported when using Codex with a ChatGPT account.";
    vec![
        ("store", refused("Store must be set to false"), "HTTP 400: Store must be set to false", UPGRADE, 1),
        ("stream", refused("Stream must be set to true"), "HTTP 400: Stream must be set to true", UPGRADE, 1),
        ("list", refused("Input must be a list"), "HTTP 400: Input must be a list", UPGRADE, 1),
        ("system", refused("System messages are not allowed"), "System messages are not allowed", UPGRADE, 1),
        // Sent again once with instructions in the field of that name, since some models take them nowhere else.
        ("instructions", refused("Instructions are required"), "Instructions are required", UPGRADE, 2),
        (
            "previous response",
            refused("Unsupported parameter: previous_response_id"),
            "HTTP 400: Unsupported parameter: previous_response_id",
            UPGRADE,
            1,
        ),
        ("parameter", refused("Unsupported parameter: top_p"), "Unsupported parameter: top_p", UPGRADE, 1),
        ("effort", refused("Invalid value: 'ultra'"), "HTTP 400: Invalid value: 'ultra'", ARGUMENTS, 1),
        ("model", refused(model), "not supported when using Codex", LIST_MODELS, 1),
        // Not the backend's words: something in between answered.
        ("400 text", Effect::respond(400, json!("FAKE proxy")), "HTTP 400: FAKE proxy", NETWORK, 1),
        (
            "400 HTML",
            Effect::respond(400, json!("<html>FAKE proxy</html>")),
            "HTTP 400 Bad Request (request id req_FAKE",
            NETWORK,
            1,
        ),
    ]
}

/// WIRE §8.3
fn failed_streams() -> Vec<Row> {
    let tries = usize::try_from(RETRIES).unwrap() + 1;
    vec![
        ("context", Effect::context_length_exceeded(), "too long for the model's context window", SHORTEN, 1),
        ("quota", Effect::insufficient_quota(), "quota exceeded", PLAN, 1),
        ("not included", Effect::usage_not_included_in_stream(), "does not include Codex", PLAN, 1),
        ("invalid prompt", Effect::invalid_prompt("FAKE not that"), "FAKE not that", REPHRASE, 1),
        ("bio policy", Effect::bio_policy("FAKE bio"), "FAKE bio", REPHRASE, 1),
        ("cyber policy", Effect::cyber_policy("FAKE cyber"), "FAKE cyber", REPHRASE, 1),
        ("misalignment", Effect::misalignment_policy_violation("FAKE mis"), "FAKE mis", REPHRASE, 1),
        ("overloaded", Effect::overloaded_in_stream(), "at capacity", TRY_AGAIN, tries),
        ("slow down", Effect::slow_down(), "rate limit exceeded, tried 3 times", TRY_AGAIN, tries),
        ("rate limit", Effect::rate_limit_exceeded(0.01), "rate limit exceeded", TRY_AGAIN, tries),
        (
            "usage limit",
            Effect::usage_limit_in_stream("plus", FAR),
            "the usage limit of the plus plan is reached; it is lifted at",
            PLAN,
            1,
        ),
        ("server error", Effect::server_error("FAKE broke"), "FAKE broke", TRY_AGAIN, tries),
        (
            "unknown code",
            Effect::failed("code_of_tomorrow", "FAKE new"),
            "the turn failed (code_of_tomorrow): FAKE new",
            REPHRASE,
            1,
        ),
        (
            "error event",
            Effect::error_event("code_of_tomorrow", "FAKE new"),
            "the turn failed (code_of_tomorrow): FAKE new",
            REPHRASE,
            1,
        ),
        (
            "too long",
            Effect::incomplete("max_output_tokens"),
            "the answer is incomplete: max_output_tokens",
            ASK_AGAIN,
            1,
        ),
        // Asked again it is filtered again, and charged again.
        (
            "filtered",
            Effect::incomplete("content_filter"),
            "the answer is incomplete: content_filter",
            REPHRASE,
            1,
        ),
        ("ends early", Effect::end_after(6), "the stream was cut", ASK_AGAIN, 1),
        ("cut", Effect::cut_after(6), "the stream was cut", ASK_AGAIN, 1),
        // ORIGINAL: replies that are none
        ("empty", Effect::empty_answer(), "No response from Codex", ASK_AGAIN, 1),
        ("junk", Effect::junk(), "the reply began with `%!junk", ASK_AGAIN, 1),
    ]
}

/// WIRE §9.1, §9.2
fn statuses() -> Vec<Row> {
    let tries = usize::try_from(RETRIES).unwrap() + 1;
    let slow = || Effect::respond(429, json!({"detail": "FAKE slow"}));
    vec![
        ("400 policy", Effect::cyber_policy_refusal("FAKE cyber"), "FAKE cyber (status 400", REPHRASE, 1),
        ("302", Effect::respond(302, Value::Null), "HTTP 302 Found", NETWORK, 1),
        ("402", Effect::deactivated_workspace(), "HTTP 402: the workspace is deactivated", WORKSPACE, 1),
        ("402 other", Effect::respond(402, json!({"detail": "FAKE pay"})), "FAKE pay (status 402", PLAN, 1),
        ("403", Effect::forbidden("FAKE no"), "HTTP 403: FAKE no", PLAN, 1),
        ("403 HTML", Effect::cloudflare_blocked(), "blocked by Cloudflare", ELSEWHERE, 1),
        ("404", Effect::not_found(), "HTTP 404: Not Found", UPGRADE, 1),
        ("404 HTML", Effect::respond(404, json!("<p>FAKE portal")), "sent: <p>FAKE portal", NETWORK, 1),
        ("413", Effect::payload_too_large(), "HTTP 413", SHORTEN, 1),
        ("418", Effect::respond(418, json!({"detail": "FAKE tea"})), "FAKE tea (status 418", UPGRADE, 1),
        ("429 limit", Effect::usage_limit("plus", FAR), "the usage limit of the plus plan", PLAN, 1),
        ("429 plan", Effect::usage_not_included(), "does not include Codex", PLAN, 1),
        ("429 other", Effect::too_many_requests(Some(0)), "HTTP 429: rate limit", TRY_AGAIN, tries),
        ("429 without a time", slow(), "HTTP 429: rate limit exceeded", PLAN, 1),
        ("500", Effect::internal_error(), "Internal server error, tried 3 times", TRY_AGAIN, tries),
        ("502", Effect::gateway_error(502), "HTTP 502: upstream connect error", TRY_AGAIN, tries),
        ("503", Effect::overloaded(), "at capacity", TRY_AGAIN, tries),
        ("503 slow down", Effect::slow_down_status(), "rate limit exceeded", TRY_AGAIN, tries),
        ("drop", Effect::close(), "the stream was cut", ASK_AGAIN, 1),
    ]
}

/// A daemon with quick retries, and two sessions with it.
struct Bench {
    rig: Rig,
    _daemon: Daemon,
    lines: Lines,
    api: Client,
}

impl Bench {
    fn new() -> Self {
        let rig =
            Rig::new().limits(&[("turn_retries", RETRIES), ("backoff_first_ms", 1), ("backoff_max_ms", 2)]);
        let daemon = rig.signed_in();
        let (lines, api) = (mcp(&rig.home), rig.api());
        Self { rig, _daemon: daemon, lines, api }
    }

    /// What the tool result says and how many requests it took, and the error of a second question for programs.
    fn under(&mut self, (name, effect, ..): &Row) -> (String, usize, WireError) {
        let before = self.rig.fake.requests(Endpoint::Responses).len();
        self.rig.fake.script(Script::always(Endpoint::Responses, effect.clone()));
        let text = failure(&mut self.lines, name);
        let requests = self.rig.fake.requests(Endpoint::Responses).len() - before;
        let input = vec![turn::InputItem::Text { text: (*name).to_owned() }];
        self.api.call::<turn::Start>(&turn::StartParams { input, ..Default::default() }).unwrap();
        let ended = loop {
            let incoming = self.api.notification().unwrap();
            if incoming.method == turn::COMPLETED {
                break serde_json::from_value::<turn::Completed>(incoming.params).unwrap();
            }
        };
        self.rig.fake.clear_scripts();
        (text, requests, ended.error.unwrap())
    }
}

#[test]
fn each_failure_of_the_backend_has_its_own_words_next_step_and_number_of_requests() {
    let mut shared = Bench::new();
    for row in [refused_requests(), failed_streams(), statuses()].concat() {
        let (name, _, says, next, requests) = row;
        // A usage limit that holds would answer the next row too.
        let mut own = ["usage limit", "429 limit"].contains(&name).then(Bench::new);
        let (text, sent, error) = own.as_mut().unwrap_or(&mut shared).under(&row);
        assert!(text.contains(says), "{name}: {text}");
        let step = text.lines().find_map(|line| line.strip_prefix("next: "));
        assert!(step.is_some_and(|step| step.starts_with(next)), "{name}: {text}");
        assert_eq!(sent, requests, "{name}: {text}");
        assert!(name == "drop" || text.contains("request id req_FAKE_"), "{name} names the request: {text}");
        assert_step_fits(name, &error);
        assert_said_once(name, &text);
    }
}

/// "Try again" is a promise that it costs nothing and may help.
fn assert_step_fits(name: &str, error: &WireError) {
    let fits = match (&error.next_step, error.retry) {
        (Some(NextStep::Retry), retry) => matches!(retry, Retry::Safe | Retry::After { seconds: 0 }),
        (Some(NextStep::RetryIn { seconds }), retry) => retry == Retry::After { seconds: *seconds },
        (step, retry) => (*step == Some(NextStep::AskAgain)) == (retry == Retry::Unknown),
    };
    assert!(fits, "{name}: {error:?}");
}

/// No status is named twice, and no sample quoted twice.
fn assert_said_once(name: &str, text: &str) {
    for status in 200..600 {
        let named = [format!("HTTP {status}"), format!("(status {status}")];
        let times: usize = named.iter().map(|words| text.matches(words.as_str()).count()).sum();
        assert!(times <= 1, "{name}: {text}");
    }
    for sample in ["%!junk", "FAKE proxy", "FAKE portal", "the backend sent"] {
        assert!(text.matches(sample).count() <= 1, "{name}: {text}");
    }
}

#[test]
fn a_body_that_is_no_json_is_shown() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::respond(400, json!("<html>FAKE proxy</html>")));
    let text = failure(&mut mcp(&rig.home), "p");
    assert!(text.contains("\nthe backend sent: <html>FAKE proxy</html>\n"), "{text}");
}

#[test]
fn a_time_that_the_backend_names_is_waited_for() {
    let rig = Rig::new().limits(&[("backoff_first_ms", 1), ("retry_after_max_ms", 1_500)]);
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::too_many_requests(Some(1)));
    assert!(answer(&mut mcp(&rig.home), "patience").contains("patience"));
    let sent = rig.fake.requests(Endpoint::Responses);
    let [first, second] = &sent[..] else { panic!("{sent:?}") };
    assert!(second.at_unix_ms - first.at_unix_ms >= 1_000, "{sent:?}");
}

#[test]
fn a_time_that_is_too_long_to_wait_is_named_instead() {
    let rig = Rig::new().limits(&[("backoff_first_ms", 1), ("retry_after_max_ms", 1_500)]);
    let _daemon = rig.signed_in();
    let mut lines = mcp(&rig.home);
    for (effect, next) in [
        (Effect::too_many_requests(Some(2)), "next: try again in 2 s"),
        (Effect::slow_down_status().header("retry-after", "600"), "next: try again in 10 min"),
        (Effect::rate_limit_exceeded(30.0), "next: try again in 30 s"),
    ] {
        let before = rig.fake.requests(Endpoint::Responses).len();
        rig.fake.next(Endpoint::Responses, effect);
        let text = failure(&mut lines, next);
        assert!(text.contains(&format!("\n{next}\ndetails: ")), "{text}");
        assert_eq!(rig.fake.requests(Endpoint::Responses).len() - before, 1, "{text}");
    }
}

#[test]
fn a_failure_before_the_first_word_is_tried_again_and_the_answer_comes() {
    let rig = Rig::new().limits(&[("backoff_first_ms", 1), ("backoff_max_ms", 2)]);
    let _daemon = rig.signed_in();
    for effect in
        [Effect::gateway_error(503), Effect::overloaded_in_stream(), Effect::too_many_requests(Some(0))]
    {
        rig.fake.next(Endpoint::Responses, effect);
        assert!(answer(&mut mcp(&rig.home), "second try").contains("second try"));
    }
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 6);
}

#[test]
fn a_cut_answer_shows_what_had_come_of_it() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::cut_after(8));
    let text = failure(&mut mcp(&rig.home), "What is Python?");
    assert!(text.contains("What had come of the answer:\nFAKE a"), "{text}");
}

#[test]
fn a_usage_limit_is_remembered_for_every_session_until_the_backend_says_otherwise() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.next(Endpoint::Responses, Effect::usage_limit("plus", 4_000_000_000));
    // Still reached when asked, so the second session is refused without a request.
    let limited = serde_json::json!({
        "plan_type": "plus", "rate_limit": {"allowed": false, "limit_reached": true,
        "primary_window": {"used_percent": 100, "limit_window_seconds": 18000, "reset_at": 4_000_000_000_u64}}
    });
    rig.fake.script(Script::always(Endpoint::Usage, Effect::respond(200, limited)));
    let first = failure(&mut mcp(&rig.home), "one");
    let second = failure(&mut mcp(&rig.home), "two");
    for text in [&first, &second] {
        assert!(text.contains("usage limit") && text.contains("lifted at"), "{text}");
    }
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 1);
}

#[test]
fn the_other_reply_shapes_of_the_original_are_read_too() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    for effect in
        [Effect::chat_completion("FAKE chat text"), Effect::chat_completion_stream(&["FAKE chat", " text"])]
    {
        rig.fake.next(Endpoint::Responses, effect);
        assert!(answer(&mut mcp(&rig.home), "p").starts_with("FAKE chat text"));
    }
}
