//! The `mcp` dialect: the Model Context Protocol, served by the official SDK over our own transport, which answers questions itself. It
//! holds no logic of its own: each tool is a call of the service.

mod calls;
mod handler;
mod login;
mod message;
mod progress;
mod render;
mod tools;
mod transport;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use handler::Handler;
use rmcp::RoleServer;
use rmcp::service::{DynService, RunningService, ServerInitializeError, serve_server_with_ct};
use tokio_util::sync::CancellationToken;
use transport::SocketTransport;

use crate::life;
use crate::line_io::LineReader;
use crate::server::Server;
use crate::session::Session;

/// Serves the dialect until the connection ends.
pub(crate) async fn serve(server: Arc<Server>, session: Arc<Session>, reader: LineReader) {
    let handler = Arc::new(Handler::new(Arc::clone(&server), Arc::clone(&session)));
    let transport = SocketTransport::new(Arc::clone(&handler), reader);
    let over = session.over.child_token();
    let serving = async {
        let served = begin(Box::new(handler), transport, over).await;
        let Ok(running) = served else {
            // The SDK's message may quote what came, so only that it happened is logged.
            return tracing::info!(session = session.incarnation, "the MCP session ended before it began");
        };
        if let Err(error) = running.waiting().await {
            tracing::error!(session = session.incarnation, %error, "the MCP session failed");
        }
    };
    tokio::select! {
        biased;
        () = serving => {}
        () = tell_moved(&server, &session) => {}
    }
}

/// The handler as the SDK's boxed kind, which puts each request's future in a box too: it is that of all methods, 4 KB, and the
/// SDK moves it several times.
type Boxed = Box<dyn DynService<RoleServer>>;

/// The handshake, in a box that ends with it: its state is ten times what the session needs from then on.
fn begin(
    handler: Boxed,
    transport: SocketTransport,
    over: CancellationToken,
) -> BoxFuture<'static, Result<RunningService<RoleServer, Boxed>, ServerInitializeError>> {
    Box::pin(serve_server_with_ct(handler, transport, over))
}

/// Tells the shim when a successor takes its new lines (DESIGN §4). What it sent before it hears of it is still answered here.
/// Never returns.
async fn tell_moved(server: &Server, session: &Session) {
    server.moved.cancelled().await;
    // A session that is over has moved already.
    let _over = session.writer.write(life::MOVED.to_vec()).await;
    std::future::pending::<()>().await;
}
