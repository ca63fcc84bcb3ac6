//! The exchanges with the OAuth issuer: code, refresh, revoke, device code (WIRE §2.3, §3, §5.1, §5.5).
//!
//! Each uses a client of its own, so a fresh connection: nothing can be sent twice because a pooled connection was
//! found dead, and a failure to connect proves that nothing was sent.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{self, Verdict};
use super::credentials::Reason;
use super::journal::Evidence;
use super::refresh::Refusal;
use super::{AuthConfig, form};
use crate::debug::http::Exchange;
use crate::limits::Limits;
use crate::network::{Cause, ClientError, EdgeBlock, Fault};
use crate::secret::Secret;

mod device;

pub(super) use device::Poll;

/// A token answer has three JWTs, some KiB; the rest of a longer one is not read.
const MAX_ANSWER_BYTES: usize = 1 << 20;
const ORIGINATOR: HeaderName = HeaderName::from_static("originator");

/// An exchange with the issuer failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The HTTP client could not be built; nothing was sent.
    #[error("could not set up the connection to the issuer")]
    Client(#[source] ClientError),
    /// No connection: nothing was sent.
    #[error("could not connect to the issuer")]
    Connect(#[source] Fault),
    /// The connection broke, or the time was over, after the request may have been sent.
    #[error("could not get the issuer's whole answer")]
    Broken(#[source] Cause),
    /// A daemon before this one sent the request, and ended before it wrote the answer down.
    #[error("could not learn the issuer's answer: the daemon ended during a refresh")]
    Interrupted,
    /// The answer is longer than any token answer.
    #[error("could not read the issuer's answer: it is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    /// What stands in front of the issuer lets nobody through; the issuer itself was not asked.
    #[error("could not ask the issuer (HTTP {status})")]
    Blocked {
        /// HTTP status.
        status: u16,
        /// As it was named.
        retry_after: Option<Duration>,
        /// Why.
        #[source]
        block: EdgeBlock,
    },
    /// An HTTP status other than success.
    #[error("the issuer answered {status}: {message}")]
    Status {
        /// HTTP status.
        status: u16,
        /// `error.code`, `error` or `code` of the answer, in lower case.
        code: Option<String>,
        /// The issuer's text, shortened; tokens removed.
        message: String,
    },
    /// 2xx, but no JSON object with the tokens that belong in it.
    #[error("could not use the issuer's answer: it has no `{missing}`")]
    Incomplete {
        /// The first field that is missing.
        missing: &'static str,
    },
}

impl IssuerError {
    /// Whether the same question may be answered later: nothing that the issuer decided.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Connect(_) | Self::Broken(_) | Self::Blocked { .. } | Self::Status { status: 500.., .. }
        )
    }
}

/// How a refresh failed; decides what may be done next.
#[derive(Debug)]
pub(super) enum RefreshError {
    /// Permanent.
    Refused(Refusal),
    /// Not spent, or the issuer says so.
    Transient(IssuerError, Option<Duration>),
    /// Perhaps spent.
    Unknown(IssuerError),
}

/// The tokens of an answer; what a refresh leaves out stays as it was (WIRE §5.1).
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) access: Option<Secret>,
    pub(super) id: Option<Secret>,
    pub(super) refresh: Option<Secret>,
    /// Seconds; used only for an access token without `exp`.
    pub(super) expires_in: Option<Duration>,
}

/// The issuer of the configuration.
#[derive(Debug)]
pub(super) struct Issuer {
    config: AuthConfig,
    request: Duration,
    connect: Duration,
    revoke: Duration,
    #[cfg(test)]
    pub(super) in_memory: Option<super::testing::memory::InMemory>,
}

#[derive(Serialize)]
struct RefreshBody<'a> {
    client_id: &'a str,
    grant_type: &'static str,
    refresh_reason: &'static str,
    refresh_token: &'a str,
}

#[derive(Serialize)]
struct RevokeBody<'a> {
    token: &'a str,
    token_type_hint: &'static str,
    client_id: &'a str,
}

#[derive(Deserialize)]
struct WireTokens {
    access_token: Option<String>,
    id_token: Option<String>,
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Value,
}

struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Issuer {
    /// Connects to nothing yet.
    pub(super) fn new(config: &AuthConfig, limits: &Limits) -> Self {
        Self {
            config: config.clone(),
            request: limits.issuer_request,
            // Shorter than the whole exchange, so that "timed out while connecting" is told from "sent, no answer".
            connect: limits.connect.min(limits.issuer_request / 2),
            revoke: limits.revoke,
            #[cfg(test)]
            in_memory: None,
        }
    }

    /// Spends a refresh token.
    pub(super) async fn refresh(
        &self,
        client_id: &str,
        token: &Secret,
        reason: Reason,
    ) -> Result<Tokens, RefreshError> {
        let body = json(&RefreshBody {
            client_id,
            grant_type: "refresh_token",
            refresh_reason: reason.as_str(),
            refresh_token: token.expose(),
        });
        let request = |client: &Client| self.named(client.post(self.url("token"))).body(body);
        let answer = match self.send(self.request, request).await {
            Ok(answer) => answer,
            Err(error @ (IssuerError::Client(_) | IssuerError::Connect(_))) => {
                return Err(RefreshError::Transient(error, None));
            }
            Err(error @ IssuerError::Blocked { retry_after, .. }) => {
                return Err(RefreshError::Transient(error, retry_after));
            }
            Err(error) => return Err(RefreshError::Unknown(error)),
        };
        match answer::judge(answer.status.as_u16(), &answer.body, &[token]) {
            // The token may be spent, and what came for it lost.
            Verdict::Success => parse_tokens(&answer.body).map_err(RefreshError::Unknown),
            Verdict::Refused { code, message } => Err(RefreshError::Refused(Refusal {
                status: answer.status.as_u16(),
                code,
                message,
                interrupted: false,
                evidence: Evidence::None,
            })),
            Verdict::Failed { code, message } => {
                let status = answer.status.as_u16();
                let error = IssuerError::Status { status, code, message };
                Err(RefreshError::Transient(error, answer.retry_after))
            }
        }
    }

    /// Exchanges the code of a login: all three tokens, or an error.
    pub(super) async fn exchange(
        &self,
        code: &Secret,
        redirect_uri: &str,
        verifier: &Secret,
    ) -> Result<Tokens, IssuerError> {
        let body = form::encode(&[
            ("grant_type", "authorization_code"),
            ("client_id", &self.config.client_id),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ]);
        let request = |client: &Client| {
            client
                .post(self.url("token"))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(ACCEPT, "*/*")
                .body(body)
        };
        let answer = self.send(self.request, request).await?;
        answer::success(answer.status.as_u16(), &answer.body, &[code, verifier])?;
        let tokens = parse_tokens(&answer.body)?;
        let missing = match &tokens {
            Tokens { id: None, .. } => "id_token",
            Tokens { access: None, .. } => "access_token",
            Tokens { refresh: None, .. } => "refresh_token",
            _ => return Ok(tokens),
        };
        Err(IssuerError::Incomplete { missing })
    }

    /// Asks the issuer to forget a refresh token.
    pub(super) async fn revoke(&self, client_id: &str, token: &Secret) -> Result<(), IssuerError> {
        let body = json(&RevokeBody { token: token.expose(), token_type_hint: "refresh_token", client_id });
        let request = |client: &Client| self.named(client.post(self.url("revoke"))).body(body);
        let answer = self.send(self.revoke, request).await?;
        answer::success(answer.status.as_u16(), &answer.body, &[token])
    }

    fn url(&self, endpoint: &str) -> String {
        format!("{}/oauth/{endpoint}", self.config.issuer)
    }

    fn named(&self, request: RequestBuilder) -> RequestBuilder {
        request
            .header(CONTENT_TYPE, "application/json")
            .header(ORIGINATOR, &self.config.originator)
            .header(USER_AGENT, &self.config.user_agent)
            .header(ACCEPT, "*/*")
    }

    async fn send(
        &self,
        timeout: Duration,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Answer, IssuerError> {
        #[cfg(test)]
        if let Some(in_memory) = &self.in_memory {
            let (status, body) = in_memory.answer(timeout, request).await?;
            let status = StatusCode::from_u16(status).expect("a test's status");
            return Ok(Answer { status, retry_after: None, body: body.into_bytes() });
        }
        let network = &self.config.network;
        let (with, connect) = (network.clone(), self.connect.min(timeout / 2));
        let built = tokio::task::spawn_blocking(move || {
            with.client(|builder| builder.timeout(timeout).connect_timeout(connect).pool_max_idle_per_host(0))
        });
        let client = built.await.expect("building does not panic, and nobody aborts it");
        let client = client.map_err(IssuerError::Client)?;
        let broken = |error: reqwest::Error| match error {
            error if error.is_builder() => IssuerError::Client(ClientError::Client(error)),
            error if error.is_connect() => IssuerError::Connect(network.fault(error)),
            error => IssuerError::Broken(Cause::of(&error)),
        };
        let request = request(&client).build().map_err(broken)?;
        let bytes = request.body().and_then(|body| body.as_bytes()).map_or(0, <[u8]>::len);
        let exchange = Exchange::begins(request.method(), request.url(), bytes);
        let answered = client.execute(request).await;
        let head = answered.as_ref().ok().map(|response| (response.status(), response.headers()));
        exchange.ends(head, |headers| Some(headers.get("x-request-id")?.to_str().ok()?.to_owned()));
        let mut response = answered.map_err(broken)?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER_BYTES => {
                    return Err(IssuerError::TooLong);
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                // Of a refusal the status says enough; of a success the tokens are missing.
                Err(_) if !status.is_success() => break,
                Err(error) => return Err(IssuerError::Broken(Cause::of(&error))),
            }
        }
        let block = match status.as_u16() {
            403 | 429 | 503 => EdgeBlock::recognise(response.headers(), &body),
            _ => None,
        };
        match block {
            Some(block) => Err(IssuerError::Blocked { status: status.as_u16(), retry_after, block }),
            None => Ok(Answer { status, retry_after, body }),
        }
    }
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a struct of strings is JSON")
}

fn parse_tokens(body: &[u8]) -> Result<Tokens, IssuerError> {
    let wire: WireTokens =
        serde_json::from_slice(body).map_err(|_| IssuerError::Incomplete { missing: "access_token" })?;
    let secret = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::new);
    Ok(Tokens {
        access: secret(wire.access_token),
        id: secret(wire.id_token),
        refresh: secret(wire.refresh_token),
        expires_in: wire.expires_in.as_u64().map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests;
