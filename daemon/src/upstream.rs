//! The Codex backend: turns, models, limits and routing of an account, over one HTTP client.
//!
//! Promises:
//! * a turn that may have been executed is not sent again; what is retried provably produced nothing (`turn`);
//! * an answer is complete only after its terminal event, and what was generated before a failure is in the error;
//! * a grant goes to the configured backend, or to a host of chatgpt.com that the account itself names, and nowhere else
//!   (`routing`);
//! * every wait, line, event, body and list is bounded;
//! * no token, prompt or answer is logged.
//!
//! Absent: refreshing a token (401 is reported, the service decides), the WebSocket transport, request compression, hosted tools.

mod answer;
mod catalogue;
mod classify;
mod client;
mod config;
mod connects;
mod cookies;
mod delay;
mod error;
mod events;
mod glance;
mod known_limits;
mod models;
mod rate_limits;
mod replies;
mod request;
mod routes;
mod routing;
mod sse;
mod turn;
mod usage;

#[cfg(test)]
mod socket_tests;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::HeaderMap;

use crate::grant::Grant;
use crate::limits::Limits;
use crate::sleep::Clocks;
use catalogue::Catalogue;
use client::Backend;
use config::Settings;
use known_limits::KnownLimits;
use rate_limits::RateLimits;
use routes::Routes;

pub use answer::MAX_ANSWER_BYTES;
pub(crate) use classify::edge_refusal;
pub use config::{ConfigError, UpstreamConfig};
pub(crate) use delay::http_date;
pub use error::{ErrorKind, Facts, MAX_MESSAGE_CHARS, MAX_SAMPLE_CHARS, Retry, UpstreamError};
pub use events::TokenUsage;
pub use models::{ModelInfo, Models, Visibility};
pub use rate_limits::{Credits, RateLimit, Window};
pub use request::{InputMessage, ResponsesRequest, Role};
pub use routing::{Routing, RoutingProblem};
pub use usage::{Usage, UsageLimit};

/// The usage reply is a few hundred bytes.
const MAX_USAGE_BYTES: usize = 256 * 1024;

/// The backend, for all sessions of the daemon. A clone is the same backend.
#[derive(Clone, Debug)]
pub struct Upstream {
    inner: Arc<Inner>,
}

/// Who hears of a turn while it runs.
pub trait OnEvent: Send {
    /// Takes what happened. The stream is read on when it has: a slow listener slows it down instead of filling memory.
    fn on_event(&mut self, event: UpstreamEvent) -> impl Future<Output = ()> + Send;
}

/// What a turn reports while it runs.
#[derive(Clone, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// A response head arrived; one per attempt.
    Headers {
        /// HTTP status.
        status: u16,
        /// `x-request-id` or `x-oai-request-id`.
        request_id: Option<String>,
        /// Since the request was sent.
        took: Duration,
        /// How long the connection took that was made meanwhile; `None`: an open one served.
        connect: Option<Duration>,
    },
    /// The model is thinking; at most one per body chunk.
    Reasoning,
    /// The next piece of the answer: all deltas of a body chunk. For display; the answer itself is in [`Completed`].
    TextDelta {
        /// As generated.
        text: String,
    },
    /// An attempt failed without having produced anything and is repeated.
    Retrying {
        /// Number of this retry, from 1.
        attempt: u32,
        /// `Limits::turn_retries`.
        of: u32,
        /// Until it is sent.
        after: Duration,
        /// What happened.
        kind: ErrorKind,
    },
}

/// A finished turn.
#[derive(Clone, PartialEq, Eq)]
pub struct Completed {
    /// The answer; not empty, at most [`MAX_ANSWER_BYTES`].
    pub text: String,
    /// The model that answered; another one than asked for when the backend rerouted the turn (WIRE §8.1).
    pub model: Option<String>,
    /// What it cost.
    pub usage: Option<TokenUsage>,
    /// `x-request-id` or `x-oai-request-id`.
    pub request_id: Option<String>,
    /// Requests sent, at least 1.
    pub attempts: u32,
    /// Events that could not be read and were skipped.
    pub unparsable_events: u64,
    /// What a person should know beside the answer.
    pub notes: Vec<String>,
}

/// State shared by all turns.
#[derive(Debug)]
struct Inner {
    backend: Backend,
    catalogue: Catalogue,
    routes: Routes,
    rate_limits: RateLimits,
    known_limits: KnownLimits,
    /// Models that answered `Instructions are required`.
    instructions_required: Mutex<HashSet<String>>,
}

impl Upstream {
    /// Checks the configuration; sends nothing and builds no client yet.
    pub fn new(config: UpstreamConfig, limits: Limits) -> Result<Self, ConfigError> {
        Self::with_clocks(config, limits, Clocks::default())
    }

    /// The same by other clocks.
    pub fn with_clocks(config: UpstreamConfig, limits: Limits, clocks: Clocks) -> Result<Self, ConfigError> {
        Ok(Self::with_settings(Settings::new(config)?, limits, clocks))
    }

    fn with_settings(settings: Settings, limits: Limits, clocks: Clocks) -> Self {
        let inner = Inner {
            backend: Backend::new(settings, limits, clocks),
            catalogue: Catalogue::default(),
            routes: Routes::default(),
            rate_limits: RateLimits::default(),
            known_limits: KnownLimits::default(),
            instructions_required: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Runs one turn to its end. Dropping the future closes the stream at once.
    ///
    /// A model is asked in its Lite form if the account's list, as last read by [`Upstream::models`], says so.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] is returned at once: renew the grant and call again. Every other error has been retried as
    /// far as its [`Retry`] and `Limits` allow.
    pub async fn respond(
        &self,
        grant: &Grant,
        request: &ResponsesRequest<'_>,
        listener: &mut impl OnEvent,
    ) -> Result<Completed, UpstreamError> {
        turn::respond(&self.inner, grant, request, listener).await
    }

    /// The account's route, from memory if this grant has asked before. [`Upstream::respond`] does this itself.
    pub async fn check_account(&self, grant: &Grant) -> Result<Routing, UpstreamError> {
        self.inner.routes.check(&self.inner.backend, grant).await
    }

    /// The same, asked now whatever is known. What comes is not kept: it only tells whether the way is open.
    pub async fn check_account_now(&self, grant: &Grant) -> Result<Routing, UpstreamError> {
        routes::ask(&self.inner.backend, grant).await
    }

    /// The account's models, from memory while they are fresh. With an older list at hand only 401 is an error.
    pub async fn models(&self, grant: &Grant) -> Result<Arc<Models>, UpstreamError> {
        self.inner.catalogue.get(&self.inner.backend, grant).await
    }

    /// What of the plan is used, asked now.
    pub async fn usage(&self, grant: &Grant) -> Result<Usage, UpstreamError> {
        self.inner.usage(grant).await
    }

    /// The account's rate limits as last seen in any response; no request.
    pub fn rate_limits(&self, account_id: &str) -> Vec<RateLimit> {
        self.inner.rate_limits.get(account_id)
    }
}

impl Inner {
    async fn usage(&self, grant: &Grant) -> Result<Usage, UpstreamError> {
        let url = self.backend.settings.url("wham/usage");
        let reply = self.backend.get(url, grant, HeaderMap::new(), MAX_USAGE_BYTES).await?;
        let usage = Usage::parse(&reply.body).map_err(|source| {
            let facts = classify::facts(Some(reply.status), &reply.headers, &reply.body);
            UpstreamError::new(ErrorKind::Unparsable, Retry::Never).with_facts(facts).with_source(source)
        })?;
        self.rate_limits.update(&grant.account_id, usage.limits.iter().map(|known| known.limit.clone()));
        Ok(usage)
    }
}

impl fmt::Debug for UpstreamEvent {
    /// Without the generated text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Headers { status, request_id, .. } => write!(f, "Headers({status}, {request_id:?})"),
            Self::Reasoning => f.write_str("Reasoning"),
            Self::TextDelta { text } => write!(f, "TextDelta({} bytes)", text.len()),
            Self::Retrying { attempt, of, after, kind } => {
                write!(f, "Retrying({attempt}/{of} after {after:?}: {})", kind.redacted())
            }
        }
    }
}

impl fmt::Debug for Completed {
    /// Without the generated text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completed")
            .field("text_bytes", &self.text.len())
            .field("model", &self.model)
            .field("usage", &self.usage)
            .field("request_id", &self.request_id)
            .field("attempts", &self.attempts)
            .field("unparsable_events", &self.unparsable_events)
            .field("notes", &self.notes)
            .finish()
    }
}
