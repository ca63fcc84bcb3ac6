//! A look at the way to issuer and backend.

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::probe::{Chosen, DaemonProbe, ProbeResult, Service, Step, StepName, Way};
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use crate::Sample;
use crate::samples::method;

/// The samples of `daemon/probe`.
pub(crate) fn all() -> Vec<Sample> {
    let chosen = |value: &str, by: &str| Some(Chosen { value: value.to_owned(), by: by.to_owned() });
    let step =
        |name, took_ms, detail: Option<&str>| Step { name, took_ms, detail: detail.map(str::to_owned) };
    let issuer = Way {
        service: Service::Issuer,
        url: "https://auth.openai.com/".to_owned(),
        proxy: None,
        direct: Some("NO_PROXY names it".to_owned()),
        ca_file: None,
        steps: vec![
            step(StepName::Dns, 12, Some("104.18.41.241 and 1 more")),
            step(StepName::Connect, 20, Some("104.18.41.241:443")),
            step(StepName::Tls, 31, None),
            step(StepName::Http, 40, Some("HTTP 200")),
        ],
        certificate_issuer: Some("WE1, Google Trust Services".to_owned()),
        http_status: Some(200),
        clock_ahead_seconds: Some(-2),
        took_ms: 103,
        error: None,
    };
    let why = "could not connect to the Codex backend: the proxy `http://proxy:3128` (HTTPS_PROXY) wants a user name and a password";
    let backend = Way {
        service: Service::Backend,
        url: "https://chatgpt.com/backend-api/codex/models".to_owned(),
        proxy: chosen("http://proxy:3128", "HTTPS_PROXY"),
        direct: None,
        ca_file: chosen("/etc/ssl/corp.pem", "ca_file in `/home/ada/.config/codex-oauth/config.toml`"),
        steps: vec![step(StepName::Tunnel, 2, None)],
        certificate_issuer: None,
        http_status: None,
        clock_ahead_seconds: None,
        took_ms: 5,
        error: Some(
            WireError::upstream(ErrorCode::UpstreamUnreachable, Retry::Safe, why)
                .next(NextStep::FixConfiguration { name: "HTTPS_PROXY".to_owned() }),
        ),
    };
    method::<DaemonProbe>(Empty {}, ProbeResult { ways: vec![issuer, backend] })
}
