//! The HTTP client of the backend: hyper's own, without what a general client does for each request. To send
//! one question `reqwest` takes 51,000 instructions and this 16,000: the address is parsed twice there, headers and connector are
//! copied several times. So only the issuer, which is asked once in days, is asked with that.
//!
//! Promises: no redirect is followed and nothing is sent again by itself once it may have been read.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Method, StatusCode, Uri};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use reqwest::Url;

use super::connector::{Connector, TooSlow};
use super::{ClientError, Fault, Network};

/// The most that is read at once from an HTTP/1.1 connection, and the longest head. hyper's own bound is 400 KiB, which each connection
/// that a long answer came by would keep as long as it is in the pool.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;

/// The client, which is its connections; every clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    network: Network,
}

/// What is sent.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The head of an answer; its body is still to come.
#[derive(Debug)]
pub(crate) struct Response {
    url: Url,
    head: Parts,
    body: Incoming,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The address cannot be asked for.
    #[error("could not make the request")]
    Prepare(#[from] hyper::http::Error),
    /// There is no connection. Nothing was sent.
    #[error("could not connect")]
    Connect(#[source] Fault),
    /// The connection failed. `is_unsent`: before the request was on it.
    #[error("the connection failed")]
    Lost {
        /// Nothing was sent.
        is_unsent: bool,
        /// How.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
}

impl HttpClient {
    /// A client of `network`. `connect` bounds each connection, name to TLS, and `made` hears how long one took; `more` sets what
    /// is the caller's own. The system's roots may be read now (4 to 10 ms), so a client is built at first use, and not on the thread that serves.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(
        network: &Network,
        connect: Duration,
        made: impl Fn(Duration) + Send + Sync + 'static,
        more: impl FnOnce(&mut Builder) -> &mut Builder,
    ) -> Result<Self, ClientError> {
        let connector = Connector::new(network, connect, made)?;
        let mut builder = Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).http1_max_buf_size(HTTP1_BUFFER_BYTES);
        let client = more(&mut builder).build(connector);
        Ok(Self { client, network: network.clone() })
    }

    /// Sends a request and waits for the head of its answer, however long that takes.
    ///
    /// # Errors
    /// As the kinds of [`SendError`] say.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, SendError> {
        let Request { method, url, mut headers, body } = request;
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::try_from(url.as_str()).map_err(hyper::http::Error::from)?;
        *request.headers_mut() = headers;
        match self.client.request(request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                Ok(Response { url, head, body })
            }
            Err(error) if error.is_connect() => Err(SendError::Connect(self.fault(&url, &error))),
            Err(source) => Err(SendError::Lost { is_unsent: is_unsent(&source), source }),
        }
    }

    fn fault(&self, url: &Url, error: &hyper_util::client::legacy::Error) -> Fault {
        /// As hyper-util prints it; a test that asks for a name that is none holds it to that.
        const DNS: &str = "dns error";
        let is_dns = causes(error).any(|cause| cause.to_string().starts_with(DNS));
        let is_timeout = causes(error).any(|cause| {
            cause.is::<TooSlow>()
                || cause
                    .downcast_ref::<io::Error>()
                    .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        });
        self.network.explain(url, is_dns, is_timeout, error)
    }
}

impl fmt::Debug for Request {
    /// Without headers and body: they hold the token and the question.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, body, .. } = self;
        write!(f, "Request({method} {}, {} bytes)", url.path(), body.len())
    }
}

impl Response {
    /// Where it came from.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection fails.
    pub(crate) async fn chunk(&mut self) -> hyper::Result<Option<Bytes>> {
        loop {
            let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await.transpose()?;
            let Some(frame) = frame else { return Ok(None) };
            // Trailers say nothing that anybody here wants to know.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// hyper gave the request back before writing it, or the HTTP/2 server says that it did not process it: `REFUSED_STREAM`, or a
/// graceful `GOAWAY` that excludes our stream (RFC 9113 §8.7).
fn is_unsent(error: &(dyn StdError + 'static)) -> bool {
    /// As the h2 crate prints these two; a test holds it to that.
    const NOT_PROCESSED: [&str; 2] = [
        "stream error received: refused stream before processing any application logic",
        "connection error received: not a result of an error",
    ];
    causes(error).any(|cause| {
        cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
            || NOT_PROCESSED.iter().any(|text| cause.to_string().starts_with(text))
    })
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}
