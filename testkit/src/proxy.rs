//! A CONNECT proxy on loopback (RFC 9110 §9.3.6), as companies have them: open, with Basic (RFC 7617), or breaking TLS open with
//! an authority of its own. Every tunnel leads to the one fake, whatever name was asked for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::FakeOpenAi;
use crate::tls::{Authority, Validity};

/// Of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What the proxy does.
#[derive(Clone, Debug, Default)]
pub struct ProxyBehaviour {
    /// User name and password that it wants.
    pub login: Option<(String, String)>,
    /// The status that it answers every CONNECT with instead of a tunnel.
    pub refuse: Option<u16>,
    /// It takes requests and says nothing.
    pub silent: bool,
    /// It shows a certificate of its own and reads along.
    pub intercept: Option<Validity>,
}

/// A running proxy, on a thread and a runtime of its own. It stops when it is dropped.
#[derive(Debug)]
pub struct FakeProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    ca_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What every connection needs.
#[derive(Clone)]
struct Shared {
    behaviour: ProxyBehaviour,
    asked: Arc<Mutex<Vec<String>>>,
    /// The fake: its TLS listener, or the plain one behind a TLS that is broken open.
    target: SocketAddr,
    acceptor: Option<TlsAcceptor>,
}

impl FakeProxy {
    /// Binds, then serves, in front of `fake`, which must have TLS.
    ///
    /// # Errors
    /// If no address can be bound, no certificate made, or the fake has no TLS.
    pub fn start(fake: &FakeOpenAi, behaviour: ProxyBehaviour) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let authority = behaviour.intercept.map(|validity| Authority::named("Corp FAKE Root CA", validity));
        let authority = authority.transpose()?;
        let tls = fake.tls_address().ok_or_else(|| io::Error::other("the fake has no TLS"))?;
        let asked = Arc::default();
        let shared = Shared {
            target: if authority.is_some() { fake.address() } else { tls },
            acceptor: authority.as_ref().map(Authority::acceptor),
            behaviour,
            asked: Arc::clone(&asked),
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("fake-proxy".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                crate::task::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        let shared = shared.clone();
                        // How a connection ends is its client's business.
                        crate::task::spawn(async move { drop(serve(stream, shared).await) });
                    }
                });
                // A dropped sender stops it as well.
                let _ = stopped.await;
            });
        })?;
        let ca_pem = authority.map(|authority| authority.pem);
        Ok(Self { address, asked, ca_pem, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same with a user name and a password in it.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("http://{user}:{password}@{}", self.address)
    }

    /// `host:port` of every CONNECT, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    /// The authority of a proxy that breaks TLS open.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }
}

impl Drop for FakeProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed there; a second one from drop would abort the test process.
            let _ = thread.join();
        }
    }
}

async fn serve(mut stream: TcpStream, shared: Shared) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD_BYTES {
            return Err(io::Error::other("the head is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let Some(host) = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
        return answer(&mut stream, "405 Method Not Allowed").await;
    };
    shared.asked.lock().push(host.to_owned());
    if shared.behaviour.silent {
        return std::future::pending().await;
    }
    if let Some((user, password)) = &shared.behaviour.login {
        let wanted = format!("basic {}", STANDARD.encode(format!("{user}:{password}")));
        let given = head.lines().filter_map(|line| line.split_once(": "));
        let mut given = given.filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
        let fits = |value: &str| {
            value.len() == wanted.len()
                && value[..6].eq_ignore_ascii_case("basic ")
                && value[6..] == wanted[6..]
        };
        if !given.any(|(_, value)| fits(value)) {
            let status = "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"FAKE\"";
            return answer(&mut stream, status).await;
        }
    }
    if let Some(status) = shared.behaviour.refuse {
        return answer(&mut stream, &format!("{status} No")).await;
    }
    let server = TcpStream::connect(shared.target).await?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    match shared.acceptor {
        None => pass(stream, server).await,
        Some(acceptor) => pass(acceptor.accept(stream).await?, server).await,
    }
}

async fn pass(mut client: impl AsyncRead + AsyncWrite + Unpin, mut server: TcpStream) -> io::Result<()> {
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn answer(stream: &mut TcpStream, status: &str) -> io::Result<()> {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
