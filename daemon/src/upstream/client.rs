//! The one HTTP client of the backend: built at first use, away from the async thread; headers that every request carries;
//! small JSON exchanges with a bound on time and size.

use std::error::Error as StdError;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, USER_AGENT,
};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout, timeout_at};

use super::classify;
use super::config::Settings;
use super::connects::Connects;
use super::cookies::Jar;
use super::error::{ErrorKind, Retry, UpstreamError};
use crate::debug::http::Exchange;
use crate::grant::Grant;
use crate::limits::Limits;
use crate::network::{ClientError, HttpClient, Request, Response, SendError};
use crate::sleep::{Clocks, Reading, Silence};

/// An idle connection is closed before a home router forgets it: a turn sent into a dead connection has an unknown outcome,
/// a new handshake costs 0.1 s.
const POOL_IDLE: Duration = Duration::from_secs(60);

/// With a request in flight, a peer that does not answer a ping for `PING_TIMEOUT` is gone (a laptop that slept).
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Of an error body; the message is in its beginning.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

static ACCOUNT_ID: HeaderName = HeaderName::from_static("chatgpt-account-id");
static ORIGINATOR: HeaderName = HeaderName::from_static("originator");
static VERSION: HeaderName = HeaderName::from_static("version");

/// Client, settings and cookies of the backend.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    pub(super) clocks: Clocks,
    pub(super) connects: Connects,
    pool: Mutex<Pool>,
    jar: Jar,
}

/// The client, which is its connections.
#[derive(Debug)]
struct Pool {
    client: Arc<OnceCell<HttpClient>>,
    last_used: Reading,
}

/// A small JSON exchange.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Backend {
    pub(super) fn new(settings: Settings, limits: Limits, clocks: Clocks) -> Self {
        let pool = Mutex::new(Pool { client: Arc::default(), last_used: clocks.read() });
        Self { settings, limits, clocks, connects: Connects::default(), pool, jar: Jar::default() }
    }

    /// A request with `headers` and those that every request carries (WIRE §7.1), under our own name.
    pub(super) fn request(
        &self,
        method: Method,
        url: Url,
        grant: &Grant,
        mut headers: HeaderMap,
    ) -> Result<Request, InvalidHeaderValue> {
        headers.insert(AUTHORIZATION, grant.access_token.bearer()?);
        let account = HeaderValue::try_from(grant.account_id.as_str())?;
        headers.insert(&ACCOUNT_ID, account);
        headers.insert(&ORIGINATOR, self.settings.originator.clone());
        headers.insert(USER_AGENT, self.settings.user_agent.clone());
        headers.insert(&VERSION, self.settings.version_header.clone());
        if let Some(cookies) = self.jar.header(&url, &self.settings.backend, SystemTime::now()) {
            headers.insert(COOKIE, cookies);
        }
        Ok(Request { method, url, headers, body: Bytes::new() })
    }

    /// Sends and waits at most `limit` for the response head.
    pub(super) async fn send(&self, request: Request, limit: Duration) -> Result<Response, UpstreamError> {
        let client = self.client().await?;
        let exchange = Exchange::begins(&request.method, &request.url, request.body.len());
        let deadline = Instant::now() + limit;
        let mut silence = Silence::since(self.clocks.read());
        let mut sending = pin!(client.send(request));
        let answered = loop {
            let look = deadline.min(Instant::now() + self.limits.after_wake);
            match timeout_at(look, &mut sending).await {
                Ok(Ok(response)) => break Ok(response),
                Ok(Err(error)) => break Err(Self::not_answered(error)),
                Err(_elapsed)
                    if !silence.outlasted_a_sleep(&self.clocks.read()) && Instant::now() < deadline => {}
                Err(_elapsed) => {
                    break Err(UpstreamError::new(ErrorKind::Timeout { after: limit }, Retry::Unknown));
                }
            }
        };
        let head = answered.as_ref().ok().map(|response| (response.status(), response.headers()));
        exchange.ends(head, classify::request_id);
        let response = answered?;
        self.jar.store(response.headers(), response.url(), &self.settings.backend, SystemTime::now());
        Ok(response)
    }

    /// `GET` of a JSON document of at most `max_bytes`, within `Limits::backend_request`. Any status but 2xx and 304 is an
    /// error; since nothing is spent, one without an answer is safe to repeat.
    pub(super) async fn get(
        &self,
        url: Url,
        grant: &Grant,
        extra: HeaderMap,
        max_bytes: usize,
    ) -> Result<Reply, UpstreamError> {
        let limit = self.limits.backend_request;
        let exchange = async {
            let request = self.request(Method::GET, url, grant, extra).map_err(not_prepared)?;
            let response = self.send(request, limit).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            if !status.is_success() && status != StatusCode::NOT_MODIFIED {
                return Err(self.http_error(response).await);
            }
            let body = read_body(response, max_bytes).await?;
            Ok(Reply { status, headers, body })
        };
        let outcome = match timeout(limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(UpstreamError::new(ErrorKind::Timeout { after: limit }, Retry::Safe)),
        };
        outcome.map_err(|mut error| {
            if error.retry == Retry::Unknown {
                error.retry = Retry::Safe;
            }
            error
        })
    }

    /// The error of a response whose status is not a success.
    pub(super) async fn http_error(&self, mut response: Response) -> UpstreamError {
        let mut body = Vec::new();
        let read = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = MAX_ERROR_BODY_BYTES - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() == MAX_ERROR_BODY_BYTES {
                    break;
                }
            }
        };
        // The status says what happened; a body that does not come says no more.
        let _cut_short = timeout(self.limits.backend_request, read).await;
        classify::http_error(response.status(), response.headers(), &body)
    }

    async fn client(&self) -> Result<HttpClient, UpstreamError> {
        let build = || async {
            let settings = self.settings.clone();
            let (connect, connects) = (self.limits.connect, self.connects.clone());
            // Reading the system's roots takes 4 ms, too long for the one thread that serves everybody.
            let built = tokio::task::spawn_blocking(move || build_client(&settings, connect, connects)).await;
            built.map_err(not_prepared)?.map_err(not_prepared)
        };
        let pool = self.pool();
        pool.get_or_try_init(build).await.cloned()
    }

    /// A request without a response head: provably not executed, or nobody knows.
    fn not_answered(error: SendError) -> UpstreamError {
        match error {
            SendError::Prepare(source) => not_prepared(source),
            SendError::Connect(fault) => {
                let retry = if fault.is_lasting() { Retry::Never } else { Retry::Safe };
                UpstreamError::new(ErrorKind::Connect, retry).with_source(fault)
            }
            SendError::Lost { is_unsent: true, source } => {
                UpstreamError::new(ErrorKind::Connect, Retry::Safe).with_source(source)
            }
            SendError::Lost { is_unsent: false, source } => {
                let kind = ErrorKind::Interrupted { events: 0, bytes: 0 };
                UpstreamError::new(kind, Retry::Unknown).with_source(source)
            }
        }
    }

    /// The pool of connections; a new one after a sleep, since nobody knows which of the old ones still lead anywhere. Streams
    /// that run keep theirs.
    fn pool(&self) -> Arc<OnceCell<HttpClient>> {
        let now = self.clocks.read();
        let mut pool = self.pool.lock();
        if let Some(slept) = now.slept_since(&pool.last_used) {
            tracing::info!(?slept, "the computer slept: connections to the backend are made anew");
            pool.client = Arc::default();
        }
        pool.last_used = now;
        Arc::clone(&pool.client)
    }
}

/// Reads a body of at most `max_bytes`.
async fn read_body(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, UpstreamError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > max_bytes => {
                return Err(UpstreamError::new(ErrorKind::TooLarge { limit_bytes: max_bytes }, Retry::Never));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => {
                let kind = ErrorKind::Interrupted { events: 0, bytes: body.len() as u64 };
                return Err(UpstreamError::new(kind, Retry::Safe).with_source(error));
            }
        }
    }
}

fn build_client(
    settings: &Settings,
    connect: Duration,
    connects: Connects,
) -> Result<HttpClient, ClientError> {
    HttpClient::new(
        &settings.network,
        connect,
        move |took| connects.add(took),
        |builder| {
            #[cfg(test)]
            builder.http2_only(settings.http2_only);
            builder
                .pool_idle_timeout(POOL_IDLE)
                .http2_keep_alive_interval(PING_EVERY)
                .http2_keep_alive_timeout(PING_TIMEOUT)
        },
    )
}

/// Nothing was sent.
pub(super) fn not_prepared(source: impl StdError + Send + Sync + 'static) -> UpstreamError {
    UpstreamError::new(ErrorKind::Setup, Retry::Never).with_source(source)
}
