//! The `api` dialect: JSON-RPC lines to the service and back. It holds no logic of its own.

mod methods;

use std::ops::ControlFlow;
use std::sync::Arc;

use codex_oauth_proto::api::Method;
use codex_oauth_proto::jsonrpc::{ErrorObject, PARSE_ERROR, Request, Response};
use codex_oauth_proto::people::errors::is_known;
use codex_oauth_proto::{ErrorCode, MAX_LINE_BYTES, WireError};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::line_io::{LineReader, Read};
use crate::server::Server;
use crate::session::Session;
use crate::shutdown::Phase;
use crate::{debug, task};

/// A session in this dialect.
#[derive(Debug)]
pub(crate) struct ApiSession {
    server: Arc<Server>,
    session: Arc<Session>,
}

/// Serves the dialect until the connection ends.
pub(crate) async fn serve(server: Arc<Server>, session: Arc<Session>, mut reader: LineReader) {
    let api = Arc::new(ApiSession { server, session });
    let workers = TaskTracker::new();
    api.take_requests(&mut reader, &workers).await;
    // A peer that has closed only its sending side still gets its answers, and so does everybody when the daemon ends.
    workers.close();
    tokio::select! {
        () = api.session.over.cancelled() => {}
        () = workers.wait() => {}
        () = api.session.writer.peer_gone() => {}
    }
}

impl ApiSession {
    /// Reads requests until the peer's side ends, or the daemon does. Then it answers what has come, and what comes later does not
    /// leave the peer: so that nobody wonders whether a request was carried out.
    async fn take_requests(self: &Arc<Self>, reader: &mut LineReader, workers: &TaskTracker) {
        let places = Arc::new(Semaphore::new(self.server.limits.calls_per_session));
        let mut closed = false;
        loop {
            let read = tokio::select! {
                biased;
                () = self.session.over.cancelled() => return,
                read = reader.next() => read,
                () = self.server.shutdown.reached(Phase::Closing), if !closed => {
                    closed = reader.close();
                    if closed {
                        continue;
                    }
                    return;
                }
            };
            let line = match read {
                Read::Line(line) => line,
                Read::TooLong => {
                    let message =
                        format!("could not read a request: it is longer than {MAX_LINE_BYTES} bytes");
                    return self.refuse_line(ErrorCode::LineTooLong, message).await;
                }
                Read::End { half_line: true } => {
                    let message = "could not read a request: the connection ended in the middle of a line";
                    return self.refuse_line(ErrorCode::Malformed, message.to_owned()).await;
                }
                Read::End { half_line: false } => return,
            };
            let request: Request = match serde_json::from_slice(&line) {
                Ok(request) => request,
                Err(error) => {
                    let (answer, next) = unreadable(&line, &error);
                    self.write(&answer).await;
                    match next {
                        ControlFlow::Continue(()) => continue,
                        ControlFlow::Break(()) => return,
                    }
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                let error = crate::service::overloaded(
                    "requests of this session",
                    self.server.limits.calls_per_session,
                );
                self.respond(request.id, Err(error)).await;
                continue;
            };
            let (worker, listener) = (Arc::clone(self), self.session.listener());
            let work = async move {
                methods::handle(&worker, request).await;
                drop(place);
            };
            let _detached = task::spawn(workers, "api request", debug::scope(listener, work));
        }
    }

    /// Answers a request; a notification gets none.
    async fn respond(&self, id: Option<Value>, result: Result<Value, WireError>) {
        let Some(id) = id else { return };
        let response = match result {
            Ok(result) => Response::ok(id, result),
            Err(error) => {
                debug_assert!(is_known(&error), "not in the catalogue: {error:?}");
                Response::err(id, &error)
            }
        };
        self.write(&response).await;
    }

    async fn notify(&self, method: &str, params: &impl Serialize) {
        match serde_json::to_value(params) {
            Ok(params) => self.write(&Request::notification(method, params)).await,
            Err(error) => tracing::error!(%error, method, "could not encode a notification"),
        }
    }

    /// The end of a connection whose lines cannot be told apart any more.
    async fn refuse_line(&self, code: ErrorCode, message: String) {
        tracing::info!(session = self.session.incarnation, ?code, "{message}");
        self.write(&Response::err(Value::Null, &WireError::caller(code, message))).await;
    }

    async fn write(&self, message: &impl Serialize) {
        let line = match serde_json::to_vec(message) {
            Ok(line) => line,
            Err(error) => return tracing::error!(%error, "could not encode an answer"),
        };
        // A session that is over has nobody to tell; its turns go on.
        let _over = self.session.writer.write(line).await;
    }
}

/// What is said to a line that is no request, and whether the next one may be better: a line that is not even JSON cannot be
/// told apart from its neighbours. Its text is not quoted: it may be a prompt that went astray.
fn unreadable(line: &[u8], error: &serde_json::Error) -> (Response, ControlFlow<()>) {
    let message = format!("could not read a request: not JSON-RPC (column {})", error.column());
    let wire = WireError::caller(ErrorCode::Malformed, message);
    if let Ok(value) = serde_json::from_slice::<Value>(line) {
        let id = value.get("id").cloned().unwrap_or_default();
        return (Response::err(id, &wire), ControlFlow::Continue(()));
    }
    let error = ErrorObject { code: PARSE_ERROR, ..ErrorObject::from(&wire) };
    let response = Response { error: Some(error), ..Response::err(Value::Null, &wire) };
    (response, ControlFlow::Break(()))
}

/// Reads parameters; absent ones are an empty object.
fn params<M: Method>(params: Value) -> Result<M::Params, WireError> {
    let params = if params.is_null() { Value::Object(serde_json::Map::new()) } else { params };
    serde_json::from_value(params).map_err(|error| {
        WireError::caller(
            ErrorCode::InvalidArguments,
            format!("could not read the parameters of {}: {error}", M::NAME),
        )
        .next(codex_oauth_proto::NextStep::FixArguments)
    })
}
