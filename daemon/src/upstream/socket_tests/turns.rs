//! Requests, retries, and what is never sent twice.

use super::server::{CREATED, Step, chunk, delta, failed, good, json, stream_end, stream_head, with_headers};
use super::*;

fn turns(server: &Server) -> usize {
    server.requests("codex/responses").len()
}

#[tokio::test]
async fn a_turn_is_sent_under_our_own_name_and_answered() {
    let server = Server::of_turns(|_, _| good("hello")).await;
    let (outcome, events) = respond(&upstream(&server)).await;
    let completed = outcome.expect("an answer");
    assert_eq!(completed.text, "hello");
    assert_eq!(completed.usage.expect("usage").total, 3);
    assert_eq!((completed.attempts, completed.unparsable_events, completed.notes.len()), (1, 0, 0));
    let [UpstreamEvent::Headers { status: 200, request_id: None, took, connect }, text] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(connect.is_none_or(|connect| connect <= *took), "{connect:?} of {took:?}");
    assert_eq!(text, &UpstreamEvent::TextDelta { text: "hello".into() });
    let sent = &server.requests("codex/responses")[0];
    for (name, value) in [
        ("authorization", "Bearer FAKE-access-token-never-print"),
        ("chatgpt-account-id", ACCOUNT),
        ("originator", "codex_oauth"),
        ("user-agent", "codex-oauth/0.1.0"),
        ("version", "0.169.0"),
        ("session-id", "session-1"),
        ("accept", "text/event-stream"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    for absent in ["cookie", "x-openai-account-routing-override", "x-codex-turn-state", "accept-encoding"] {
        assert_eq!(sent.header(absent), None, "{absent}");
    }
    assert!(sent.body.contains(PROMPT) && !sent.body.contains("temperature"));
}

#[tokio::test]
async fn a_5xx_is_retried_within_the_same_sticky_turn() {
    let server = Server::of_turns(|_, n| match n {
        0 => with_headers(503, &[("x-codex-turn-state", "first"), ("x-request-id", "r0")], "busy"),
        1 => with_headers(500, &[("x-codex-turn-state", "second")], "oops"),
        _ => good("third time"),
    })
    .await;
    let upstream = upstream(&server);
    let (outcome, events) = respond(&upstream).await;
    let completed = outcome.expect("an answer");
    assert_eq!((completed.text.as_str(), completed.attempts), ("third time", 3));
    let retries =
        events.iter().filter(|event| matches!(event, UpstreamEvent::Retrying { of: 2, .. })).count();
    assert_eq!(retries, 2);
    let states: Vec<_> = server
        .requests("codex/responses")
        .iter()
        .map(|request| request.header("x-codex-turn-state").map(str::to_owned))
        .collect();
    assert_eq!(states, [None, Some("first".into()), Some("first".into())]);
    respond(&upstream).await.0.expect("an answer");
    assert_eq!(server.requests("codex/responses")[3].header("x-codex-turn-state"), None, "another turn");
}

#[tokio::test]
async fn retries_end_and_the_error_says_how_often_it_was_tried() {
    let server = Server::of_turns(|_, _| with_headers(502, &[("cf-ray", "8f-FRA")], "bad gateway")).await;
    let error = respond(&upstream(&server)).await.0.expect_err("a failure");
    assert!(matches!(error.kind, ErrorKind::ServerError { .. }));
    assert_eq!((error.attempts, turns(&server)), (3, 3));
    assert_eq!((error.facts.status, error.facts.cf_ray.as_deref()), (Some(502), Some("8f-FRA")));
    assert_eq!(error.facts.sample.as_deref(), Some("bad gateway"));
}

#[tokio::test]
async fn a_refused_connection_is_retried_and_provably_not_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let upstream = upstream_at(format!("http://{address}/backend-api"), short_limits());
    let (outcome, events) = respond(&upstream).await;
    let error = outcome.expect_err("nobody listens");
    assert_eq!((error.kind, error.retry, error.attempts), (ErrorKind::Connect, Retry::Safe, 3));
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_head_leaves_the_outcome_unknown_and_is_not_resent() {
    let server = Server::of_turns(|_, _| vec![Step::Cut]).await;
    let error = respond(&upstream(&server)).await.0.expect_err("a failure");
    assert_eq!(error.kind, ErrorKind::Interrupted { events: 0, bytes: 0 });
    assert_eq!((error.retry, turns(&server)), (Retry::Unknown, 1));
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn silence_before_the_head_is_a_timeout_and_is_not_resent() {
    let server = Server::of_turns(|_, _| vec![Step::Hold]).await;
    let limits = Limits {
        connect: Duration::from_millis(100),
        response_head: Duration::from_millis(100),
        ..short_limits()
    };
    let upstream = upstream_at(server.url(), limits);
    let error = respond(&upstream).await.0.expect_err("a failure");
    assert_eq!(error.kind, ErrorKind::Timeout { after: Duration::from_millis(200) });
    assert_eq!((error.retry, turns(&server)), (Retry::Unknown, 1));
}

#[tokio::test]
async fn an_explicit_overload_is_retried_only_before_output() {
    for code in ["server_is_overloaded", "slow_down", "rate_limit_exceeded", "server_error"] {
        let server = Server::of_turns(move |_, n| match n {
            0 => vec![stream_head(&[]), chunk(&format!("{CREATED}{}", failed(code))), stream_end()],
            _ => good("ok"),
        })
        .await;
        let completed = respond(&upstream(&server)).await.0.expect("an answer");
        assert_eq!(completed.attempts, 2, "{code}");

        let server = Server::of_turns(move |_, _| {
            vec![
                stream_head(&[]),
                chunk(&format!("{CREATED}{}{}", delta("half"), failed(code))),
                stream_end(),
            ]
        })
        .await;
        let error = respond(&upstream(&server)).await.0.expect_err("a failure");
        assert_eq!((error.retry, turns(&server)), (Retry::Unknown, 1), "{code}");
        assert_eq!(error.partial_text.as_deref(), Some("half"), "{code}");
    }
}

#[tokio::test]
async fn a_verdict_is_never_retried() {
    for (status, body) in [
        (400, r#"{"detail":"Unsupported parameter: x"}"#),
        (401, r#"{"error":{"code":"token_expired","message":"m"}}"#),
        (403, "{}"),
        (404, "{}"),
        (413, "{}"),
        (429, "{}"),
        (429, r#"{"error":{"type":"usage_limit_reached"}}"#),
    ] {
        let server = Server::of_turns(move |_, _| json(status, body)).await;
        let error = respond(&upstream(&server)).await.0.expect_err("a failure");
        assert_eq!(
            (error.facts.status, error.attempts, turns(&server)),
            (Some(status), 1, 1),
            "{status} {body}"
        );
    }
}

#[tokio::test]
async fn a_named_delay_is_honoured_when_bearable_and_reported_when_not() {
    let script = |seconds: &'static str| {
        move |_: &server::Received, n| match n {
            0 => with_headers(429, &[("retry-after", seconds)], "{}"),
            _ => good("ok"),
        }
    };
    let server = Server::of_turns(script("1")).await;
    let (outcome, events) = respond(&upstream(&server)).await;
    assert_eq!(outcome.expect("an answer").attempts, 2);
    let waited = events.iter().find_map(|event| match event {
        UpstreamEvent::Retrying { after, .. } => Some(*after),
        _ => None,
    });
    assert!(waited.is_some_and(|after| after >= Duration::from_secs(1)), "{waited:?}");

    let server = Server::of_turns(script("3600")).await;
    let error = respond(&upstream(&server)).await.0.expect_err("too long");
    assert_eq!((error.retry, turns(&server)), (Retry::After(Duration::from_secs(3600)), 1));
}

#[tokio::test]
async fn demanded_instructions_are_sent_once_and_remembered_for_the_model() {
    let server = Server::of_turns(|request, _| {
        if request.body.contains(r#""instructions":"#) {
            good("ok")
        } else {
            json(400, r#"{"detail":"Instructions are required"}"#)
        }
    })
    .await;
    let upstream = upstream(&server);
    assert_eq!(respond(&upstream).await.0.expect("an answer").attempts, 2);
    assert_eq!(respond(&upstream).await.0.expect("an answer").attempts, 1);

    let server = Server::of_turns(|_, _| json(400, r#"{"detail":"Instructions are required"}"#)).await;
    let error = respond(&super::upstream(&server)).await.0.expect_err("never content");
    assert_eq!((error.kind, turns(&server)), (ErrorKind::InstructionsRequired, 2));
}

#[tokio::test]
async fn no_log_line_carries_a_token_a_prompt_or_an_answer() {
    use std::io::Write;
    use std::sync::Arc;

    use tracing_subscriber::Layer as _;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    let ours_only = Targets::new().with_target("codex_oauthd", tracing::Level::TRACE);
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(ours_only));
    // Global: with a subscriber of this thread alone, a line that a test on another thread reaches first is registered as
    // unwanted for ever.
    tracing::subscriber::set_global_default(subscriber).expect("the only subscriber of the test binary");
    let server = Server::of_turns(|_, n| match n {
        0 => json(500, &format!(r#"{{"detail":"echo {PROMPT}"}}"#)),
        1 => good("FAKE answer never print"),
        _ => vec![
            stream_head(&[]),
            chunk(&format!("{CREATED}{}", delta("FAKE answer never print"))),
            Step::Cut,
        ],
    })
    .await;
    let upstream = upstream(&server);
    respond(&upstream).await.0.expect("an answer");
    respond(&upstream).await.0.expect_err("a cut");
    let text = String::from_utf8(log.0.lock().clone()).expect("text");
    assert!(text.contains("turn completed") && text.contains("turn failed"), "{text}");
    assert!(!text.contains("never print") && !text.contains("never-print"), "{text}");
}
