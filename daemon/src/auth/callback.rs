//! The loopback server that a browser is sent back to after a login (RFC 8252 §7.3, DAEMON §21).
//!
//! It exists while a login waits and answers one address. What is not a top-level navigation to exactly that address with
//! our `state` is refused and changes nothing, so that neither a web page nor another local program can end a login. The
//! first right redirect is the only one; no answer contains a token, a code or the state.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::secret::Secret;

mod page;
mod query;
mod request;

pub(super) use page::Page;
pub use query::Denial;
pub(super) use query::{Query, is_state};
pub(super) use request::{Expected, PATH};

/// Request line and headers. A code is a few hundred bytes, cookies of other loopback servers may come along.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// A browser opens a handful of connections, some of them idle in advance.
const MAX_CONNECTIONS: usize = 32;
/// From the connection to the end of the head; frees the place of one that stays idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// From the end of a login to the end of its last connection: one small answer has to get out.
const CLOSE_GRACE: Duration = Duration::from_millis(500);
/// After a failed accept (no descriptors left), which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// None of the ports could be had.
#[derive(Debug, thiserror::Error)]
#[error("could not listen for the browser on any of the ports {}", list(ports))]
pub(super) struct PortsBusy {
    /// The ports that were tried, in order.
    ports: Vec<u16>,
    /// Why the last one failed.
    #[source]
    source: io::Error,
}

/// Bound sockets that nobody accepts from yet.
#[derive(Debug)]
pub(super) struct Listeners {
    sockets: Vec<TcpListener>,
    port: u16,
}

/// The one redirect of a login.
#[derive(Debug)]
pub(super) struct Redirect {
    /// The authorization code, or why there is none.
    pub(super) code: Result<Secret, Denial>,
    /// What the browser is to be shown; dropped, it is shown a failure.
    pub(super) reply: oneshot::Sender<Page>,
}

struct Shared {
    expected: Expected,
    first: Mutex<Option<oneshot::Sender<Redirect>>>,
    stop: CancellationToken,
}

impl Listeners {
    /// Binds 127.0.0.1 on the first free of `ports`, and `::1` on the same port if it can be had: where a browser
    /// resolves `localhost` to is its own affair. Needs a runtime; does not wait.
    pub(super) fn bind(ports: &[u16]) -> Result<Self, PortsBusy> {
        let mut source = io::Error::new(io::ErrorKind::InvalidInput, "no port is configured");
        for &port in ports {
            match Self::bind_one(port) {
                Ok(listeners) => return Ok(listeners),
                Err(error) => source = error,
            }
        }
        Err(PortsBusy { ports: ports.to_vec(), source })
    }

    /// The port that was free.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn bind_one(port: u16) -> io::Result<Self> {
        let v4 = listen(StdListener::bind((Ipv4Addr::LOCALHOST, port))?)?;
        let port = v4.local_addr()?.port();
        let v6 = StdListener::bind((Ipv6Addr::LOCALHOST, port)).and_then(listen);
        if let Err(error) = &v6 {
            tracing::debug!(port, error = error as &dyn std::error::Error, "no redirect over ::1");
        }
        Ok(Self { sockets: std::iter::once(v4).chain(v6.ok()).collect(), port })
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        poll_fn(|cx| {
            for socket in &self.sockets {
                if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                    return Poll::Ready(accepted.map(|(stream, _)| stream));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Serves until `stop`; then the port is free at once and the last connection closed within [`CLOSE_GRACE`]. The first
/// right redirect goes to `first`; the browser waits for its reply.
pub(super) async fn serve(
    listeners: Listeners,
    expected: Expected,
    first: oneshot::Sender<Redirect>,
    stop: CancellationToken,
) {
    let shared = Arc::new(Shared { expected, first: Mutex::new(Some(first)), stop });
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            accepted = listeners.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok(stream) => connections.push(connection(stream, Arc::clone(&shared))),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not accept a browser");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
    drop(listeners);
    let finished = async { while connections.next().await.is_some() {} };
    if tokio::time::timeout(CLOSE_GRACE, finished).await.is_err() {
        tracing::debug!("a browser connection was cut off at the end of a login");
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let answer = |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, shared).await) }
    };
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shared.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a browser connection broke");
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Response<String> {
    let code = match request::judge(&request, &shared.expected) {
        Ok(code) => code,
        Err(refusal) => return page::refusal(refusal),
    };
    let Some(first) = shared.first.lock().take() else {
        return page::refusal(request::Refusal::Used);
    };
    let (reply, shown) = oneshot::channel();
    if first.send(Redirect { code, reply }).is_err() {
        return page::refusal(request::Refusal::Used);
    }
    let ended = shown.await;
    page::page(&ended.unwrap_or_else(|_| Page::Failed { reason: "the login was cancelled".to_owned() }))
}

fn listen(socket: StdListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(unix)]
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
