//! Connections to other machines for [`super::HttpClient`]: straight or through the proxy, TLS where the address says so, within a
//! bounded time.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::{ClientError, Network, Route, tls};

/// A peer that is silent for so long is asked whether it is there, and so often: within a minute a dead connection is known.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;

/// The same for bytes that nobody confirms.
#[cfg(target_os = "linux")]
const UNCONFIRMED: Duration = Duration::from_secs(30);

type BoxError = Box<dyn StdError + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// The bytes to the server, or to the proxy and through it.
type Way = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Makes connections. Every request clones it, so it is one pointer.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    way: HttpsConnector<WayConnector>,
    limit: Duration,
    /// Hears how long a connection took.
    made: Box<dyn Fn(Duration) + Send + Sync>,
}

/// It took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("could not connect within {} s", .0.as_secs_f32())]
pub(super) struct TooSlow(Duration);

impl Connector {
    /// `limit`: for name, TCP, proxy and TLS together.
    pub(super) fn new(
        network: &Network,
        limit: Duration,
        made: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Result<Self, ClientError> {
        let verifier = network.verifier().map_err(ClientError::Tls)?;
        let config = |protocols| tls::config_with(Arc::clone(&verifier), protocols).map_err(ClientError::Tls);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // For all addresses of a name together, so that a dead one leaves time for the others, and for what comes after TCP.
        tcp.set_connect_timeout(Some(limit * 9 / 10));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNCONFIRMED));
        let proxy_tls = match network.settings().proxy {
            Some(_) => Some(Arc::new(config(&tls::HTTP_1)?)),
            None => None,
        };
        let way = WayConnector { network: network.clone(), tcp, proxy_tls };
        let way = HttpsConnector::from((way, config(&tls::EITHER_HTTP)?));
        Ok(Self(Arc::new(Inner { way, limit, made: Box::new(made) })))
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Way>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        let began = Instant::now();
        let connecting = inner.way.clone().call(to);
        Box::pin(async move {
            let limit = inner.limit;
            let connected = timeout(limit, connecting).await.map_err(|_| TooSlow(limit))??;
            (inner.made)(began.elapsed());
            Ok(connected)
        })
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("limit", &self.0.limit).finish_non_exhaustive()
    }
}

/// Straight to the server, or through the proxy.
#[derive(Clone)]
struct WayConnector {
    network: Network,
    tcp: HttpConnector,
    /// For a proxy that is itself reached over TLS.
    proxy_tls: Option<Arc<ClientConfig>>,
}

impl Service<Uri> for WayConnector {
    type Response = Way;
    type Error = BoxError;
    type Future = Connecting<Way>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Self { network, mut tcp, proxy_tls } = self.clone();
        Box::pin(async move {
            let url = to.to_string().parse()?;
            let (Route::Proxy(proxy), Some(tls)) = (network.route(&url), proxy_tls) else {
                return Ok(MaybeHttpsStream::Http(tcp.call(to).await?));
            };
            let address: Uri = proxy.value.url().as_str().parse()?;
            let mut tunnel = Tunnel::new(address, HttpsConnector::from((tcp, tls)));
            if let Some(login) = proxy.value.basic() {
                tunnel = tunnel.with_auth(HeaderValue::try_from(login.expose())?);
            }
            Ok(tunnel.call(to).await?)
        })
    }
}
