//! Each row of WIRE §8.3 and §9.1 that applies over HTTPS, against the fake backend: which error a caller gets, whether it may
//! be sent again, and how many requests were really made.

use std::time::Duration;

use codex_oauthd::grant::Grant;
use codex_oauthd::limits::Limits;
use codex_oauthd::network::Network;
use codex_oauthd::secret::Secret;
use codex_oauthd::upstream::{
    Completed, ErrorKind, InputMessage, OnEvent, ResponsesRequest, Retry, Role, Upstream, UpstreamConfig,
    UpstreamError, UpstreamEvent,
};
use fake_openai::{
    Action, Config, Effect, Endpoint, FakeOpenAi, MintRequest, Script, StreamError, StreamFault,
};
use serde_json::{Value, json};

const RETRIES: u32 = 2;
const TRIES: usize = 3;

/// Whether an error is of the row's kind.
type Expected = fn(&ErrorKind) -> bool;

/// Looks at no event.
struct Deaf;

impl OnEvent for Deaf {
    async fn on_event(&mut self, _: UpstreamEvent) {}
}

struct Rig {
    fake: FakeOpenAi,
    upstream: Upstream,
    grant: Grant,
}

impl Rig {
    fn new() -> Self {
        let fake = FakeOpenAi::start(Config::default()).expect("a fake backend");
        let limits = Limits {
            turn_retries: RETRIES,
            backoff_first: Duration::from_millis(1),
            backoff_max: Duration::from_millis(2),
            stream_idle: Duration::from_secs(20),
            response_head: Duration::from_secs(20),
            ..Limits::default()
        };
        let config = UpstreamConfig {
            backend: fake.backend_url(),
            originator: "codex_oauth".into(),
            user_agent: "codex-oauth/0.1.0".into(),
            client_version: "0.169.0".into(),
            network: Network::default(),
        };
        let upstream = Upstream::new(config, limits).expect("a usable configuration");
        let login = fake.mint(&MintRequest::default());
        let grant = Grant {
            access_token: Secret::new(login.access_token),
            account_id: login.account_id,
            expires_at: None,
        };
        Self { fake, upstream, grant }
    }

    async fn ask(&self, prompt: &str) -> Result<Completed, UpstreamError> {
        self.ask_model("gpt-5.5", prompt).await
    }

    async fn ask_model(&self, model: &str, prompt: &str) -> Result<Completed, UpstreamError> {
        let request = ResponsesRequest {
            model,
            instructions: Some("Be brief."),
            input: &[InputMessage { role: Role::User, text: prompt }],
            effort: Some("low"),
            verbosity: None,
            session_id: "session-1",
        };
        self.upstream.respond(&self.grant, &request, &mut Deaf).await
    }

    fn turns(&self) -> usize {
        self.fake.requests(Endpoint::Responses).len()
    }
}

/// The error and the number of requests, with one effect on every turn.
async fn under(action: Action) -> (UpstreamError, usize) {
    let rig = Rig::new();
    let effect = Effect { action, ..Effect::default() };
    rig.fake.script(Script::always(Endpoint::Responses, effect));
    let error = rig.ask("hello").await.expect_err("a failure");
    assert_eq!(error.attempts as usize, rig.turns(), "{error:?}");
    (error, rig.turns())
}

fn status(status: u16, headers: &[(&str, &str)], body: Value) -> Action {
    let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Action::Respond { status, headers, body }
}

fn fault(fault: StreamFault) -> Action {
    Action::Stream { fault, pace: None }
}

fn failed(after_events: u64, code: &str) -> Action {
    let error =
        StreamError { code: code.into(), message: "said the backend".into(), ..StreamError::default() };
    fault(StreamFault::Failed { after_events, error })
}

#[tokio::test]
async fn a_good_turn_is_one_request_and_one_account_check() {
    let rig = Rig::new();
    let completed = rig.ask("[[say hello there]]").await.expect("an answer");
    assert_eq!(completed.text, "hello there");
    assert_eq!((completed.attempts, completed.unparsable_events), (1, 0));
    assert_eq!(completed.model.as_deref(), Some("gpt-5.5"));
    assert!(completed.usage.is_some_and(|usage| usage.total > 0) && completed.notes.is_empty());
    assert_eq!((rig.turns(), rig.fake.requests(Endpoint::AccountsCheck).len()), (1, 1));
    assert!(!rig.upstream.rate_limits(&rig.grant.account_id).is_empty());
}

#[tokio::test]
async fn a_lite_model_of_the_list_is_asked_in_its_own_form() {
    let rig = Rig::new();
    let models = rig.upstream.models(&rig.grant).await.expect("a list");
    let default = models.default_model().expect("a listed model");
    assert!(default.lite, "{default:?}");
    assert_eq!(rig.ask_model(&default.slug, "[[say hi]]").await.expect("an answer").text, "hi");
    let sent = &rig.fake.requests(Endpoint::Responses)[0];
    assert_eq!(sent.header("x-openai-internal-codex-responses-lite"), Some("true"));
    assert!(sent.body.get("tools").is_none() && sent.body.get("instructions").is_none());
}

#[tokio::test]
async fn every_http_refusal_has_its_kind_and_its_number_of_requests() {
    let limit = json!({"error": {"type": "usage_limit_reached", "plan_type": "plus", "resets_at": 4_102_444_800_u64}});
    let page = json!("<html><title>Attention Required! | Cloudflare</title>you have been blocked</html>");
    let code = |code: &str| json!({"error": {"code": code, "message": "said the backend"}});
    let rows: Vec<(Action, Expected, usize)> = vec![
        (
            status(400, &[], json!({"detail": "Unsupported parameter: x"})),
            |kind| matches!(kind, ErrorKind::BadRequest { message } if message == "Unsupported parameter: x"),
            1,
        ),
        (status(400, &[], code("cyber_policy")), |kind| matches!(kind, ErrorKind::Policy { .. }), 1),
        (
            status(401, &[], code("token_expired")),
            |kind| matches!(kind, ErrorKind::Unauthorized { code: Some(_) }),
            1,
        ),
        (
            status(402, &[], json!({"detail": {"code": "deactivated_workspace"}})),
            |kind| matches!(kind, ErrorKind::DeactivatedWorkspace),
            1,
        ),
        (
            status(403, &[("content-type", "text/html")], page),
            |kind| matches!(kind, ErrorKind::Edge { status: 403, .. }),
            1,
        ),
        (status(403, &[], json!({"detail": "no"})), |kind| matches!(kind, ErrorKind::Forbidden { .. }), 1),
        (
            status(404, &[], json!({"detail": "Not Found"})),
            |kind| matches!(kind, ErrorKind::NotFound { .. }),
            1,
        ),
        (status(413, &[], json!({})), |kind| matches!(kind, ErrorKind::PayloadTooLarge), 1),
        (
            status(429, &[], limit),
            |kind| matches!(kind, ErrorKind::UsageLimit { plan: Some(_), resets_at: Some(_), .. }),
            1,
        ),
        (
            status(429, &[], json!({"error": {"type": "usage_not_included"}})),
            |kind| matches!(kind, ErrorKind::UsageNotIncluded),
            1,
        ),
        (status(429, &[], json!({})), |kind| matches!(kind, ErrorKind::RateLimited { retry_after: None }), 1),
        (
            status(429, &[("retry-after", "0")], json!({})),
            |kind| matches!(kind, ErrorKind::RateLimited { retry_after: Some(_) }),
            TRIES,
        ),
        (status(500, &[], json!({})), |kind| matches!(kind, ErrorKind::ServerError { .. }), TRIES),
        (status(502, &[], json!("bad gateway")), |kind| matches!(kind, ErrorKind::ServerError { .. }), TRIES),
        (status(503, &[], code("server_is_overloaded")), |kind| matches!(kind, ErrorKind::Overloaded), TRIES),
        (status(503, &[], code("slow_down")), |kind| matches!(kind, ErrorKind::RateLimited { .. }), TRIES),
        // Nobody knows whether these were executed, so they are not sent again.
        (Action::Close, |kind| matches!(kind, ErrorKind::Interrupted { events: 0, .. }), 1),
        (Action::LoseAnswer, |kind| matches!(kind, ErrorKind::Interrupted { events: 0, .. }), 1),
    ];
    for (action, is_expected, requests) in rows {
        let (error, sent) = under(action.clone()).await;
        assert!(is_expected(&error.kind), "{action:?}: {error:?}");
        assert_eq!(sent, requests, "{action:?}: {error:?}");
    }
}

#[tokio::test]
async fn every_failure_inside_a_stream_has_its_kind_and_its_number_of_requests() {
    let rows: [(&str, Expected, usize); 13] = [
        ("context_length_exceeded", |kind| matches!(kind, ErrorKind::ContextLength), 1),
        ("insufficient_quota", |kind| matches!(kind, ErrorKind::QuotaExceeded), 1),
        ("usage_not_included", |kind| matches!(kind, ErrorKind::UsageNotIncluded), 1),
        ("invalid_prompt", |kind| matches!(kind, ErrorKind::Policy { .. }), 1),
        ("bio_policy", |kind| matches!(kind, ErrorKind::Policy { .. }), 1),
        ("cyber_policy", |kind| matches!(kind, ErrorKind::Policy { .. }), 1),
        ("misalignment_policy_violation", |kind| matches!(kind, ErrorKind::Policy { .. }), 1),
        ("usage_limit_reached", |kind| matches!(kind, ErrorKind::UsageLimit { .. }), 1),
        ("a_code_of_tomorrow", |kind| matches!(kind, ErrorKind::Failed { .. }), 1),
        ("server_is_overloaded", |kind| matches!(kind, ErrorKind::Overloaded), TRIES),
        ("slow_down", |kind| matches!(kind, ErrorKind::RateLimited { .. }), TRIES),
        ("rate_limit_exceeded", |kind| matches!(kind, ErrorKind::RateLimited { .. }), TRIES),
        ("server_error", |kind| matches!(kind, ErrorKind::Failed { .. }), TRIES),
    ];
    for (code, is_expected, requests) in rows {
        let (error, sent) = under(failed(1, code)).await;
        assert!(is_expected(&error.kind), "{code}: {error:?}");
        assert_eq!(sent, requests, "{code}");
    }
}

#[tokio::test]
async fn a_stream_that_does_not_end_well_is_one_request_and_keeps_its_text() {
    let rows: Vec<(Action, Expected, bool)> = vec![
        (
            fault(StreamFault::Cut { after_events: 1 }),
            |kind| matches!(kind, ErrorKind::Interrupted { .. }),
            false,
        ),
        (
            fault(StreamFault::Cut { after_events: 12 }),
            |kind| matches!(kind, ErrorKind::Interrupted { .. }),
            true,
        ),
        (
            fault(StreamFault::End { after_events: 12 }),
            |kind| matches!(kind, ErrorKind::Interrupted { .. }),
            true,
        ),
        (failed(12, "server_is_overloaded"), |kind| matches!(kind, ErrorKind::Overloaded), true),
        (
            fault(StreamFault::Incomplete { reason: "max_output_tokens".into() }),
            |kind| matches!(kind, ErrorKind::Incomplete { reason } if reason == "max_output_tokens"),
            true,
        ),
        (fault(StreamFault::Empty), |kind| matches!(kind, ErrorKind::EmptyAnswer), false),
    ];
    for (action, is_expected, has_text) in rows {
        let (error, sent) = under(action.clone()).await;
        assert!(is_expected(&error.kind), "{action:?}: {error:?}");
        assert_eq!((sent, error.partial_text.is_some()), (1, has_text), "{action:?}: {error:?}");
        assert!(matches!(error.retry, Retry::Unknown | Retry::Never), "{action:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_model_that_the_plan_lacks_is_named() {
    let rig = Rig::new();
    let error = rig.ask_model("gpt-5", "hello").await.expect_err("no such model");
    assert!(
        matches!(&error.kind, ErrorKind::ModelNotSupported { message } if message.contains("'gpt-5'")),
        "{error:?}"
    );
    assert_eq!(rig.turns(), 1);
}

#[tokio::test]
async fn an_expired_token_is_the_callers_business() {
    let rig = Rig::new();
    rig.fake.expire_access_tokens();
    let error = rig.ask("hello").await.expect_err("expired");
    assert_eq!(error.kind, ErrorKind::Unauthorized { code: Some("token_expired".into()) });
    assert_eq!(rig.turns(), 1);
}

#[tokio::test]
async fn a_dropped_turn_is_gone_at_the_backend() {
    let rig = Rig::new();
    rig.fake.next(
        Endpoint::Responses,
        Effect { action: fault(StreamFault::Stall { after_events: 3 }), ..Effect::default() },
    );
    tokio::select! {
        outcome = rig.ask("hello") => panic!("{outcome:?}"),
        seen = rig.fake.wait_for_async(|entries| entries.iter().any(|entry| entry.events == 3)) => seen.expect("a stream"),
    }
    let gone = |entries: &[fake_openai::Entry]| entries.iter().any(fake_openai::Entry::client_gone);
    rig.fake.wait_for_async(gone).await.expect("the stream is closed");
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let rig = Rig::new();
    let completed = rig.ask("[[repeat 20000 300]]").await.expect("an answer");
    assert_eq!(completed.text.len(), 6_000_000);
}
