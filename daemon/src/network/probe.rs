//! The way to a server, gone step by step, so that a person sees where it ends. The same proxies, roots and verdicts on
//! certificates as every other connection has, but one connection of its own, which carries no token.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codex_oauth_proto::api::probe::StepName;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use reqwest::header::{ACCEPT, CONNECTION, HOST, HeaderMap, USER_AGENT};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::{Chosen, Fault, Network, ProxyAddress, Route, certificate, tls};

/// Of a proxy's answer to CONNECT: a status line and some fields.
const MAX_TUNNEL_BYTES: usize = 16 * 1024;

/// Of the answer's body, which is looked at only to tell a block page.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Probed {
    /// The steps that were begun, in order.
    pub(crate) stages: Vec<Stage>,
    /// Who issued the server's certificate.
    pub(crate) certificate_issuer: Option<String>,
    /// The answer, or why there is none.
    pub(crate) outcome: Result<Answer, Fault>,
    /// All of it.
    pub(crate) took: Duration,
}

/// One step.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: StepName,
    pub(crate) took: Duration,
    pub(crate) detail: Option<String>,
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: reqwest::StatusCode,
    pub(crate) headers: HeaderMap,
    /// Its beginning.
    pub(crate) body: Vec<u8>,
    /// When it came, by the clock here.
    pub(crate) at: SystemTime,
}

/// A way that was gone for some of its length.
struct Walk<'a> {
    network: &'a Network,
    url: &'a Url,
    deadline: Instant,
    stages: Vec<Stage>,
    certificate_issuer: Option<String>,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Network {
    /// Asks for `url` once, within `limit`.
    pub(crate) async fn probe(&self, url: &Url, user_agent: &str, limit: Duration) -> Probed {
        let began = Instant::now();
        let mut walk = Walk {
            network: self,
            url,
            deadline: began + limit,
            stages: Vec::new(),
            certificate_issuer: None,
        };
        let outcome = walk.go(user_agent).await;
        let Walk { stages, certificate_issuer, .. } = walk;
        Probed { stages, certificate_issuer, outcome, took: began.elapsed() }
    }
}

impl Walk<'_> {
    async fn go(&mut self, user_agent: &str) -> Result<Answer, Fault> {
        let mut wire = match self.network.route(self.url) {
            Route::Direct(_) => Box::new(self.connect(self.url, None).await?) as Box<dyn Wire>,
            Route::Proxy(proxy) => self.tunnel(proxy).await?,
        };
        if self.url.scheme() == "https" {
            wire = self.encrypt(wire).await?;
        }
        self.ask(wire, user_agent).await
    }

    /// TCP to the server or its proxy.
    async fn connect(&mut self, to: &Url, proxy: Option<&Chosen<ProxyAddress>>) -> Result<TcpStream, Fault> {
        let host = to.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = to.port_or_known_default().unwrap_or(443);
        let unreached = |error: io::Error, is_dns| match proxy {
            Some(proxy) => Fault::unreachable(proxy, &error),
            None => self.network.explain(self.url, is_dns, false, &error),
        };
        let began = Instant::now();
        let found = timeout_at(self.deadline, tokio::net::lookup_host((host.as_str(), port))).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(Vec::from_iter);
        let addresses = found.and_then(|found| match found.as_slice() {
            [] => Err(io::Error::other("the name has no address")),
            _ => Ok(found),
        });
        let outcome = addresses.map_err(|error| unreached(error, true));
        let text = outcome.as_ref().ok().map(|found| match found.len() {
            1 => found[0].ip().to_string(),
            many => format!("{} and {} more", found[0].ip(), many - 1),
        });
        if host.parse::<std::net::IpAddr>().is_err() {
            self.stages.push(Stage { name: StepName::Dns, took: began.elapsed(), detail: text });
        }
        let addresses = outcome?;
        let began = Instant::now();
        let connected = timeout_at(self.deadline, TcpStream::connect(addresses.as_slice())).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let at = connected.as_ref().ok().and_then(|stream| stream.peer_addr().ok());
        let detail = at.or_else(|| addresses.first().copied()).map(|at| at.to_string());
        let unreached = |error: io::Error| match proxy {
            Some(proxy) => Fault::unreachable(proxy, &error),
            None => self.network.explain(self.url, false, false, &error),
        };
        let outcome = connected.map_err(unreached);
        self.stages.push(Stage { name: StepName::Connect, took: began.elapsed(), detail });
        outcome
    }

    /// To the proxy, and through it to the server (RFC 9110 §9.3.6).
    async fn tunnel(&mut self, proxy: &Chosen<ProxyAddress>) -> Result<Box<dyn Wire>, Fault> {
        let at = proxy.value.url();
        let mut wire: Box<dyn Wire> = Box::new(self.connect(&at, Some(proxy)).await?);
        let began = Instant::now();
        let outcome = timeout_at(self.deadline, async {
            if at.scheme() == "https" {
                let config = tls::config(&self.network.inner.roots, &tls::HTTP_1);
                wire = encrypt(wire, &at, config)
                    .await
                    .map_err(|error| self.network.explain(self.url, false, false, &error))?;
            }
            let status = connect_on(&mut wire, self.url, &proxy.value)
                .await
                .map_err(|error| Fault::unreachable(proxy, &error))?;
            match status {
                200..=299 => Ok(wire),
                407 => Err(Fault::ProxyLogin { proxy: Box::new(proxy.clone()) }),
                other => Err(Fault::ProxyRefused {
                    proxy: Box::new(proxy.clone()),
                    host: self.url.host_str().unwrap_or_default().to_owned(),
                    status: Some(other),
                }),
            }
        })
        .await;
        let silent = || Fault::ProxySilent {
            proxy: Box::new(proxy.clone()),
            host: self.url.host_str().unwrap_or_default().to_owned(),
        };
        let outcome = outcome.unwrap_or_else(|_| Err(silent()));
        self.stages.push(Stage { name: StepName::Tunnel, took: began.elapsed(), detail: None });
        outcome
    }

    /// TLS with the server.
    async fn encrypt(&mut self, wire: Box<dyn Wire>) -> Result<Box<dyn Wire>, Fault> {
        let began = Instant::now();
        let config = tls::config(&self.network.inner.roots, &tls::HTTP_1);
        let outcome = timeout_at(self.deadline, handshake(wire, self.url, config)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let took = began.elapsed();
        let outcome = outcome.map_err(|error| self.network.explain(self.url, false, false, &error));
        let (issuer, detail) = match &outcome {
            Ok(stream) => {
                let (_, session) = stream.get_ref();
                let leaf = session.peer_certificates().and_then(<[_]>::first);
                let version = session.protocol_version().map(|version| format!("{version:?}"));
                (leaf.and_then(|leaf| certificate::issuer(leaf)), version)
            }
            Err(Fault::Certificate { bad, .. }) => (bad.issuer.clone(), None),
            Err(_) => (None, None),
        };
        self.certificate_issuer = issuer;
        self.stages.push(Stage { name: StepName::Tls, took, detail });
        Ok(Box::new(outcome?))
    }

    /// One request, and the beginning of its answer.
    async fn ask(&mut self, wire: Box<dyn Wire>, user_agent: &str) -> Result<Answer, Fault> {
        let began = Instant::now();
        let outcome = timeout_at(self.deadline, exchange(wire, self.url, user_agent)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        let detail = outcome.as_ref().ok().map(|answer| format!("HTTP {}", answer.status.as_u16()));
        self.stages.push(Stage { name: StepName::Http, took: began.elapsed(), detail });
        outcome.map_err(|error| self.network.explain(self.url, false, false, error.as_ref()))
    }
}

async fn encrypt(
    wire: Box<dyn Wire>,
    to: &Url,
    config: Result<rustls::ClientConfig, rustls::Error>,
) -> io::Result<Box<dyn Wire>> {
    Ok(Box::new(handshake(wire, to, config).await?))
}

async fn handshake(
    wire: Box<dyn Wire>,
    to: &Url,
    config: Result<rustls::ClientConfig, rustls::Error>,
) -> io::Result<tokio_rustls::client::TlsStream<Box<dyn Wire>>> {
    let host = to.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config.map_err(io::Error::other)?)).connect(name, wire).await
}

/// The status of the proxy's answer.
async fn connect_on(wire: &mut Box<dyn Wire>, to: &Url, proxy: &ProxyAddress) -> io::Result<u16> {
    let (host, port) = (to.host_str().unwrap_or_default(), to.port_or_known_default().unwrap_or(443));
    let login = proxy
        .basic()
        .map_or_else(String::new, |basic| format!("Proxy-Authorization: {}\r\n", basic.expose()));
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n");
    wire.write_all(request.as_bytes()).await?;
    wire.flush().await?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to the server.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_TUNNEL_BYTES {
            return Err(io::Error::other("its answer is too long"));
        }
        head.push(wire.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.trim().parse().ok());
    status.ok_or_else(|| io::Error::other("it does not speak HTTP"))
}

/// One GET on a connection of its own.
async fn exchange(
    wire: Box<dyn Wire>,
    url: &Url,
    user_agent: &str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let request = hyper::Request::get(url.path())
        .header(HOST, host)
        .header(USER_AGENT, user_agent)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await?;
    let asking = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let at = SystemTime::now();
        // A body that is longer, or does not come whole, says no more than the status.
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        Ok(Answer { status: head.status, headers: head.headers, body, at })
    };
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        answer = &mut asking => answer,
        // It is over once all has come, or with an error that the request hears as well.
        _over = connection => asking.await,
    }
}
