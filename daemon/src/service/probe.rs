//! The way to the issuer and to the backend, tried without a token.

use std::time::SystemTime;

use codex_oauth_proto::api::probe::{Chosen, ProbeResult, Service, Step, Way};
use codex_oauth_proto::connect::with_causes;
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};
use reqwest::Url;
use reqwest::header::DATE;

use super::turn::millis;
use super::{CodexService, internal};
use crate::network::{self, Answer, Fault, Network, Probed, Route};
use crate::upstream;

/// What is tried, and how.
#[derive(Clone, Debug)]
pub(crate) struct Ways {
    /// As every connection goes.
    pub(crate) network: Network,
    /// Without a trailing slash.
    pub(crate) issuer: String,
    /// Without a trailing slash.
    pub(crate) backend: String,
    pub(crate) user_agent: String,
}

/// What an issuer tells everybody (RFC 8414 §3, `OpenID` Connect Discovery 1.0 §4).
const ISSUER_PATH: &str = "/.well-known/openid-configuration";

/// The list of models: without a token it is refused, by the backend itself.
const BACKEND_PATH: &str = "/codex/models";

impl CodexService {
    /// Tries both ways at once.
    pub(crate) async fn probe_ways(&self) -> Result<ProbeResult, WireError> {
        let ways = &self.inner.ways;
        let issuer = self.probe_way(Service::Issuer, format!("{}{ISSUER_PATH}", ways.issuer));
        let backend = self.probe_way(Service::Backend, format!("{}{BACKEND_PATH}", ways.backend));
        let (issuer, backend) = tokio::join!(issuer, backend);
        Ok(ProbeResult { ways: vec![issuer?, backend?] })
    }

    async fn probe_way(&self, service: Service, url: String) -> Result<Way, WireError> {
        let Ways { network, user_agent, .. } = &self.inner.ways;
        // Both were checked at the start.
        let url = Url::parse(&url).map_err(|error| internal("read an address", &error))?;
        let probed = network.probe(&url, user_agent, self.inner.limits.backend_request).await;
        Ok(way(service, network, &url, probed))
    }
}

fn way(service: Service, network: &Network, url: &Url, probed: Probed) -> Way {
    let (proxy, direct) = match network.route(url) {
        Route::Proxy(proxy) => (Some(chosen(&proxy.value, &proxy.by)), None),
        Route::Direct(why) => (None, Some(why.to_string())),
    };
    let step =
        |stage: network::Stage| Step { name: stage.name, took_ms: millis(stage.took), detail: stage.detail };
    let answer = probed.outcome.as_ref().ok();
    Way {
        service,
        url: url.to_string(),
        proxy,
        direct,
        ca_file: network.ca_file().map(|file| chosen(&file.value.display(), &file.by)),
        http_status: answer.map(|answer| answer.status.as_u16()),
        clock_ahead_seconds: answer.and_then(clock_ahead),
        error: match &probed.outcome {
            Ok(answer) => edge_refusal(answer),
            Err(fault) => Some(unreached(service, fault)),
        },
        steps: probed.stages.into_iter().map(step).collect(),
        certificate_issuer: probed.certificate_issuer,
        took_ms: millis(probed.took),
    }
}

fn chosen(value: &impl ToString, by: &str) -> Chosen {
    Chosen { value: value.to_string(), by: by.to_owned() }
}

/// The clock here minus the server's (RFC 9110 §6.6.1), in seconds.
fn clock_ahead(answer: &Answer) -> Option<i64> {
    let date = upstream::http_date(answer.headers.get(DATE)?.to_str().ok()?)?;
    let seconds =
        |at: SystemTime| i64::try_from(at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()).ok();
    Some(seconds(answer.at)? - seconds(date)?)
}

/// Something in front of the server that keeps everybody like us out; any other answer is one.
fn edge_refusal(answer: &Answer) -> Option<WireError> {
    upstream::edge_refusal(answer.status, &answer.headers, &answer.body).map(|error| error.to_wire())
}

fn unreached(service: Service, fault: &Fault) -> WireError {
    let (code, what) = match service {
        Service::Issuer => (ErrorCode::AuthUnavailable, "issuer"),
        _ => (ErrorCode::UpstreamUnreachable, "Codex backend"),
    };
    let message = format!("could not connect to the {what}: {}", with_causes(fault));
    let retry = if fault.is_lasting() { Retry::Never } else { Retry::Safe };
    WireError::upstream(code, retry, message).next(fault.next_step().unwrap_or(NextStep::CheckNetwork))
}
