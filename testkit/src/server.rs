//! The listeners: plain and TLS, HTTP/1.1 and HTTP/2 on both.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::router;
use crate::shared::Shared;
use crate::task;

/// Wait after a failed accept, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Longest TLS handshake, so that a silent peer does not keep a task.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// One TCP connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) connection: u64,
    pub(crate) tls: bool,
    /// Notified to close the connection at once.
    pub(crate) kill: Arc<Notify>,
}

/// Accepts until the runtime ends.
pub(crate) async fn listen(shared: Arc<Shared>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                let peer = Peer { connection, tls: tls.is_some(), kill: Arc::default() };
                task::spawn(connect(Arc::clone(&shared), peer, stream, tls.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connect(shared: Arc<Shared>, peer: Peer, stream: TcpStream, tls: Option<TlsAcceptor>) {
    // Without it, small events would wait for acknowledgements; if it fails, the connection is already gone.
    let _ = stream.set_nodelay(true);
    match tls {
        None => converse(shared, peer, stream).await,
        Some(acceptor) => {
            // A handshake that fails is the client's business: it sees the alert.
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                converse(shared, peer, stream).await;
            }
        }
    }
}

async fn converse<S>(shared: Arc<Shared>, peer: Peer, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let kill = Arc::clone(&peer.kill);
    let service = service_fn(move |request| router::serve(Arc::clone(&shared), peer.clone(), request));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // How the connection ended is in the journal, request by request.
        _ = connection => {}
        () = kill.notified() => {}
    }
}
