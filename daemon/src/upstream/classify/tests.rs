//! Every row of WIRE §8.3 and §9.1 that applies over HTTPS, as a table.

use reqwest::header::HeaderName;

use super::*;
use crate::upstream::error::MAX_SAMPLE_CHARS;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().expect("name"), value.parse().expect("value")))
        .collect()
}

fn of_http(status: u16, pairs: &[(&str, &str)], body: &str) -> (ErrorKind, Retry) {
    let status = StatusCode::from_u16(status).expect("status");
    let error = http_error(status, &headers(pairs), body.as_bytes());
    (error.kind, error.retry)
}

fn of_stream(json: &str) -> (ErrorKind, Retry) {
    let json = serde_json::from_str(json).expect("JSON");
    stream_failure(&Failure::from_json(&json).expect("a failure"))
}

fn failed(code: &str) -> (ErrorKind, Retry) {
    of_stream(&format!(
        r#"{{"type":"response.failed","response":{{"error":{{"code":"{code}","message":"m"}}}}}}"#
    ))
}

#[test]
fn every_status_of_the_table_has_its_kind() {
    let message = |text: &str| text.to_owned();
    let rows = [
        (
            400,
            r#"{"detail":"Unsupported parameter: temperature"}"#,
            ErrorKind::BadRequest { message: message("Unsupported parameter: temperature") },
            Retry::Never,
        ),
        (
            400,
            r#"{"detail":[{"loc":["body"],"msg":"Input must be a list"}]}"#,
            ErrorKind::BadRequest { message: message("Input must be a list") },
            Retry::Never,
        ),
        (400, "not json", ErrorKind::BadRequest { message: message("HTTP 400: not json") }, Retry::Never),
        (400, r#"{"detail":"Instructions are required"}"#, ErrorKind::InstructionsRequired, Retry::Never),
        (
            400,
            r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            ErrorKind::ContextLength,
            Retry::Never,
        ),
        (
            400,
            r#"{"error":{"message":"no","code":"cyber_policy"}}"#,
            ErrorKind::Policy { code: message("cyber_policy"), message: message("no") },
            Retry::Never,
        ),
        (
            401,
            r#"{"error":{"message":"x","type":"invalid_request_error","code":"token_expired"},"status":401}"#,
            ErrorKind::Unauthorized { code: Some(message("token_expired")) },
            Retry::Never,
        ),
        (401, "", ErrorKind::Unauthorized { code: None }, Retry::Never),
        (
            402,
            r#"{"detail":{"code":"deactivated_workspace"}}"#,
            ErrorKind::DeactivatedWorkspace,
            Retry::Never,
        ),
        (402, r#"{"detail":"pay"}"#, ErrorKind::UnexpectedStatus { message: message("pay") }, Retry::Never),
        (
            403,
            r#"{"detail":"no entry"}"#,
            ErrorKind::Forbidden { message: message("no entry") },
            Retry::Never,
        ),
        (
            403,
            "<html>Sorry, you have been blocked | Cloudflare</html>",
            ErrorKind::Edge { status: 403, block: EdgeBlock::Unnamed },
            Retry::Never,
        ),
        (
            404,
            r#"{"detail":"Not Found"}"#,
            ErrorKind::NotFound { message: message("Not Found") },
            Retry::Never,
        ),
        (413, "", ErrorKind::PayloadTooLarge, Retry::Never),
        (429, r#"{"error":{"type":"usage_not_included"}}"#, ErrorKind::UsageNotIncluded, Retry::Never),
        (429, r#"{"detail":"slow"}"#, ErrorKind::RateLimited { retry_after: None }, Retry::Never),
        (
            429,
            r#"{"error":{"code":"rate_limit_exceeded","message":"m"}}"#,
            ErrorKind::RateLimited { retry_after: None },
            Retry::Safe,
        ),
        (500, "oops", ErrorKind::ServerError { message: message("HTTP 500: oops") }, Retry::Safe),
        (
            502,
            "<html>bad gateway</html>",
            ErrorKind::ServerError { message: message("HTTP 502 Bad Gateway") },
            Retry::Safe,
        ),
        (503, r#"{"error":{"code":"server_is_overloaded"}}"#, ErrorKind::Overloaded, Retry::Safe),
        (503, r#"{"error":{"code":"slow_down"}}"#, ErrorKind::RateLimited { retry_after: None }, Retry::Safe),
        (302, "", ErrorKind::UnexpectedStatus { message: message("HTTP 302 Found") }, Retry::Never),
    ];
    for (status, body, kind, retry) in rows {
        assert_eq!(of_http(status, &[], body), (kind, retry), "{status} {body}");
    }
}

#[test]
fn a_refusal_that_names_no_reason_is_shown_as_a_short_sample_on_one_line() {
    let long = format!("{{\n  \"odd\": \"{}\"\n}}", "x".repeat(5_000));
    let (ErrorKind::BadRequest { message }, Retry::Never) = of_http(400, &[], &long) else { panic!("400") };
    assert!(message.starts_with("HTTP 400: {   \"odd\": \"xxx"), "{message}");
    assert!(message.chars().count() <= MAX_SAMPLE_CHARS + "HTTP 400: ".len() && !message.contains('\n'));
}

#[test]
fn every_code_of_a_stream_has_its_kind() {
    let m = || "m".to_owned();
    let policy = |code: &str| ErrorKind::Policy { code: code.to_owned(), message: m() };
    let rows = [
        ("context_length_exceeded", ErrorKind::ContextLength, Retry::Never),
        ("insufficient_quota", ErrorKind::QuotaExceeded, Retry::Never),
        ("usage_not_included", ErrorKind::UsageNotIncluded, Retry::Never),
        ("invalid_prompt", policy("invalid_prompt"), Retry::Never),
        ("bio_policy", policy("bio_policy"), Retry::Never),
        ("cyber_policy", policy("cyber_policy"), Retry::Never),
        ("misalignment_policy_violation", policy("misalignment_policy_violation"), Retry::Never),
        ("server_is_overloaded", ErrorKind::Overloaded, Retry::Safe),
        ("slow_down", ErrorKind::RateLimited { retry_after: None }, Retry::Safe),
        ("rate_limit_exceeded", ErrorKind::RateLimited { retry_after: None }, Retry::Safe),
        (
            "usage_limit_reached",
            ErrorKind::UsageLimit { plan: None, resets_at: None, reached_type: None },
            Retry::Never,
        ),
        ("server_error", ErrorKind::Failed { code: Some("server_error".into()), message: m() }, Retry::Safe),
        (
            "brand_new_code",
            ErrorKind::Failed { code: Some("brand_new_code".into()), message: m() },
            Retry::Never,
        ),
    ];
    for (code, kind, retry) in rows {
        assert_eq!(failed(code), (kind, retry), "{code}");
    }
}

#[test]
fn a_usage_limit_carries_plan_reset_and_what_was_reached() {
    let body = r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached",
        "plan_type":"plus","resets_at":4102444800,"resets_in_seconds":7000}}"#;
    let pairs = [
        ("x-codex-rate-limit-reached-type", "workspace_owner_credits_depleted"),
        ("x-codex-active-limit", "codex-other"),
        ("x-codex-promo-message", "Buy more"),
    ];
    let error = http_error(StatusCode::TOO_MANY_REQUESTS, &headers(&pairs), body.as_bytes());
    let resets_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800));
    let reached_type = Some("workspace_owner_credits_depleted".to_owned());
    assert_eq!(error.kind, ErrorKind::UsageLimit { plan: Some("plus".into()), resets_at, reached_type });
    assert!(matches!(error.retry, Retry::After(_)));
    assert_eq!(error.facts.limit_id.as_deref(), Some("codex_other"));
    assert_eq!(error.facts.promo.as_deref(), Some("Buy more"));
}

#[test]
fn a_named_delay_wins_over_the_backoff() {
    let two = Retry::After(Duration::from_secs(2));
    assert_eq!(of_http(429, &[("retry-after", "2")], "").1, two);
    assert_eq!(of_http(503, &[("retry-after", "2")], "").1, two);
    assert_eq!(of_http(503, &[("retry-after", "2")], r#"{"error":{"code":"slow_down"}}"#).1, two);
    let named = r#"{"error":{"code":"rate_limit_exceeded","message":"Please try again in 0.3s"}}"#;
    assert_eq!(of_stream(named).1, Retry::After(Duration::from_millis(300)));
}

#[test]
fn an_in_stream_error_with_a_status_is_that_status() {
    let unauthorized =
        r#"{"type":"error","status":401,"error":{"type":"invalid_request_error","message":"m"}}"#;
    assert!(matches!(of_stream(unauthorized).0, ErrorKind::Unauthorized { .. }));
    let refused = r#"{"type":"error","status":400,"error":{"type":"invalid_request_error",
        "message":"The 'x' model is not supported when using Codex with a ChatGPT account."}}"#;
    assert!(matches!(of_stream(refused).0, ErrorKind::ModelNotSupported { .. }));
    let limit = r#"{"type":"error","status":429,"error":{"type":"usage_limit_reached","plan_type":"pro"}}"#;
    assert!(matches!(of_stream(limit).0, ErrorKind::UsageLimit { .. }));
    let bare = r#"{"type":"error","code":"server_error","message":"m"}"#;
    assert_eq!(of_stream(bare).1, Retry::Safe);
}

#[test]
fn a_block_page_is_told_from_the_backends_own_403() {
    assert_eq!(
        of_http(403, &[("cf-mitigated", "challenge")], "").0,
        ErrorKind::Edge { status: 403, block: EdgeBlock::Challenge }
    );
    let html = [("content-type", "text/html; charset=UTF-8")];
    assert_eq!(
        of_http(403, &html, "<title>Attention Required! | Cloudflare</title>").0,
        ErrorKind::Edge { status: 403, block: EdgeBlock::Unnamed }
    );
    let json = r#"{"detail":"cloudflare is fine"}"#;
    assert!(matches!(of_http(403, &[], json).0, ErrorKind::Forbidden { .. }));
}

#[test]
fn ids_and_codes_in_headers_are_recorded() {
    let encoded = STANDARD.encode(r#"{"error":{"code":"token_revoked"}}"#);
    let pairs = [("x-oai-request-id", "req_1"), ("cf-ray", "8f-FRA"), ("x-error-json", encoded.as_str())];
    let error = http_error(StatusCode::UNAUTHORIZED, &headers(&pairs), b"");
    assert_eq!(error.kind, ErrorKind::Unauthorized { code: Some("token_revoked".into()) });
    assert_eq!(error.facts.request_id.as_deref(), Some("req_1"));
    assert_eq!(error.facts.cf_ray.as_deref(), Some("8f-FRA"));
    assert_eq!(error.facts.status, Some(401));
}
