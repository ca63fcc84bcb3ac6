//! The SDK's messages as lines on the session's socket.
//!
//! The SDK's own line transport drops what it cannot read and knows a request by the client's id. Here every request is
//! answered, is known to the SDK by its number, and requests of the daemon's own carry the connection in their id, so
//! that an answer meant for an earlier connection cannot be taken for one of this.
//!
//! Questions do not reach the SDK: it would pass each through three tasks and two queues, a fifth of what a question costs the
//! daemon. What they need of it, the versions of the protocol, is seen from what it sends ([`Era`]).

use std::borrow::Cow;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestMethod, ClientJsonRpcMessage, ClientNotification, ClientRequest, ConstString as _,
    ErrorCode, ErrorData, JsonRpcMessage, ProtocolVersion, RequestId, RequestMetaObject,
    ServerJsonRpcMessage, ServerResult,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::calls::{Cancellation, Open};
use super::handler::{Call, Handler};
use super::message::{self, Asked};
use crate::debug::Tag;
use crate::line_io::{LineReader, Read};
use crate::server::Server;
use crate::shutdown::Phase;
use crate::task;

/// Requests beyond the running calls that may be in hand: what is answered at once, and answers that are being written. With
/// these used up no further line is read, so a client that does not read its answers holds a bounded amount.
const SLACK: usize = 32;

/// How long the end of a connection waits for the answers to questions: they are written at once, unless the client does not read.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The version of JSON-RPC (its specification, §4).
const VERSION: &str = "2.0";

/// What the SDK has agreed on with the client, seen from what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Era {
    /// Nothing yet.
    Unknown,
    /// A version of the protocol in which requests say nothing of themselves.
    Negotiated,
    /// Each request says how it is to be understood (2026-07-28).
    Stateless,
}

/// One connection, as the SDK sees it.
pub(super) struct SocketTransport {
    handler: Arc<Handler>,
    reader: LineReader,
    /// A place for each request from its line to the last byte of its answer.
    in_hand: Arc<Semaphore>,
    places: u32,
    /// The place of the request that is read next.
    place: Option<OwnedSemaphorePermit>,
    /// Whether a request has come. The SDK gives a connection up whose first message is anything else.
    begun: bool,
    era: Era,
    /// Nothing more is read; what is in hand is still answered.
    ended: bool,
}

impl SocketTransport {
    pub(super) fn new(handler: Arc<Handler>, reader: LineReader) -> Self {
        let places = handler.server.limits.calls_per_session + SLACK;
        Self {
            handler,
            reader,
            in_hand: Arc::new(Semaphore::new(places)),
            places: u32::try_from(places).unwrap_or(u32::MAX),
            place: None,
            begun: false,
            era: Era::Unknown,
            ended: false,
        }
    }

    /// One line as a message for the SDK; `None` when it was dealt with here.
    ///
    /// Not async, like everything between a line that was taken from the reader and its fate: the SDK drops the future of
    /// [`Transport::receive`] whenever something else is ready.
    fn accept(&mut self, line: &[u8]) -> Option<ClientJsonRpcMessage> {
        if self.era != Era::Unknown
            && let Some(asked) = message::question(line)
            && let Some(is_stateless) = self.understood(asked.meta.as_ref())
        {
            self.ask(asked, is_stateless, line.len());
            return None;
        }
        let Ok(message) = message::read(line) else {
            match serde_json::from_slice(line) {
                Ok(head) => self.refuse(&head),
                Err(_) => self.give_up(ErrorCode::PARSE_ERROR, "could not read the line: not JSON-RPC"),
            }
            return None;
        };
        match message {
            JsonRpcMessage::Request(mut request) => {
                self.begun = true;
                request.id = number(self.handler.calls.open(Open::new(request.id, self.place.take())));
                let method = match &request.request {
                    // It may say anything.
                    ClientRequest::CustomRequest(_) => "an unknown method",
                    known => known.method(),
                };
                self.tell(&request.id, method, line.len());
                Some(JsonRpcMessage::Request(request))
            }
            _ if !self.begun => None,
            JsonRpcMessage::Notification(mut notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &mut notification.notification {
                    let params = &mut cancelled.params;
                    let how = Cancellation::from_reason(params.reason.as_deref());
                    let id = params.request_id.as_ref()?;
                    let n = self.handler.calls.cancel(id, how);
                    // Its client takes no notice of an answer that it does not wait for.
                    if how == Cancellation::Detach
                        && let Some(turn) = self.handler.calls.crossed(id, n)
                    {
                        self.handler.server.service.abandon(turn);
                    }
                    // Without such a request it has its answer already.
                    params.request_id = Some(number(n?));
                }
                Some(JsonRpcMessage::Notification(notification))
            }
            JsonRpcMessage::Response(mut response) => {
                response.id = self.own_id(&response.id)?;
                Some(JsonRpcMessage::Response(response))
            }
            JsonRpcMessage::Error(mut error) => {
                error.id = Some(self.own_id(error.id.as_ref()?)?);
                Some(JsonRpcMessage::Error(error))
            }
        }
    }

    /// Whether a request with this metadata is of the stateless era. `None`: the SDK has to say that it cannot be answered.
    fn understood(&self, meta: Option<&RequestMetaObject>) -> Option<bool> {
        const STATELESS: ProtocolVersion = ProtocolVersion::V_2026_07_28;
        match meta.and_then(RequestMetaObject::protocol_version) {
            Some(version) => {
                let is_whole = meta.is_some_and(|meta| meta.missing_required_keys(&STATELESS).is_empty());
                (version == STATELESS && is_whole).then_some(true)
            }
            None => (self.era == Era::Negotiated).then_some(false),
        }
    }

    /// Has a question answered by a task of its own.
    fn ask(&mut self, asked: Asked, is_stateless: bool, bytes: usize) {
        let Asked { id, arguments, meta } = asked;
        let called_off = self.handler.session.over.child_token();
        let progress = meta.as_ref().and_then(RequestMetaObject::get_progress_token);
        let place = self.place.take();
        let n = self.handler.calls.open(Open { id, place, called_off: Some(called_off.clone()) });
        self.tell(&n, CallToolRequestMethod::VALUE, bytes);
        let handler = Arc::clone(&self.handler);
        let _detached = task::spawn(
            &self.handler.server.tracker,
            "question",
            async move {
                let question = handler.question(arguments, Call { n, progress, called_off });
                let mut result = tokio::select! {
                    biased;
                    result = question => result,
                    // Also one that waits for the disk: the daemon's end waits for this task.
                    () = handler.session.over.cancelled() => return,
                };
                if !is_stateless {
                    // Older peers know no such member.
                    result.result_type = None;
                }
                let Some(Open { id, place, .. }) = handler.calls.close(n) else { return };
                let answer = ServerJsonRpcMessage::response(ServerResult::CallToolResult(result), id);
                match message::write(&answer) {
                    // A session that is over has nobody to tell.
                    Ok(line) => drop(handler.session.writer.write(line).await),
                    Err(error) => tracing::error!(%error, "could not write an answer"),
                }
                drop(place);
            }
            .in_current_span(),
        );
    }

    /// Tells of a request whoever asked to hear.
    fn tell(&self, id: &impl Display, method: &str, bytes: usize) {
        let Some(listener) = self.handler.session.listener() else { return };
        listener.tell(Tag::Mcp, format_args!("Request {id}: {method}, {bytes} bytes"));
    }

    /// A message that is JSON and not MCP: whoever asked gets an answer.
    fn refuse(&mut self, head: &Head<'_>) {
        let Some(id) = &head.id else { return };
        let (code, message) = if let Some(method) = &head.method {
            let method = crate::session::printable(method);
            if head.version.as_ref().and_then(Value::as_str) != Some(VERSION) {
                let theirs = head.version.as_ref().map_or_else(|| "missing".to_owned(), Value::to_string);
                let theirs = crate::session::printable(&theirs);
                let message =
                    format!("could not read {method}: its `jsonrpc` is {theirs}, and must be \"{VERSION}\"");
                return self.refuse_as(id, ErrorCode::INVALID_REQUEST, message);
            }
            (ErrorCode::INVALID_PARAMS, format!("could not read the parameters of {method}"))
        } else {
            (ErrorCode::INVALID_REQUEST, "could not read the message: it has no method".to_owned())
        };
        self.refuse_as(id, code, message);
    }

    fn refuse_as(&mut self, id: &Value, code: ErrorCode, message: String) {
        // The shim counts every request line; so does this side, also one that the SDK never sees.
        if let Ok(id) = RequestId::deserialize(id) {
            let n = self.handler.calls.open(Open::new(id, None));
            self.handler.calls.close(n);
        }
        self.answer(id, code, message);
    }

    /// Lines cannot be told apart any more. The shim sends nothing of the kind: whoever does is not understood.
    fn give_up(&mut self, code: ErrorCode, message: &str) {
        self.answer(&Value::Null, code, message.to_owned());
        self.ended = true;
    }

    /// Answers without the SDK. Its own type does not fit: an id that it does not know, such as 1.5, is echoed as it is.
    fn answer(&mut self, id: &Value, code: ErrorCode, message: String) {
        let error = ErrorData::new(code, message, None);
        let line = serde_json::json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string().into_bytes();
        let (session, place) = (Arc::clone(&self.handler.session), self.place.take());
        let _detached = task::spawn(&self.handler.server.tracker, "mcp refusal", async move {
            // A session that is over has nobody to tell.
            let _over = session.writer.write(line).await;
            drop(place);
        });
    }

    /// Waits until everything in hand is answered, or nobody is there to read it.
    async fn last_answers(&self) {
        tokio::select! {
            () = self.handler.session.over.cancelled() => {}
            () = self.handler.session.writer.peer_gone() => {}
            _all = self.in_hand.acquire_many(self.places) => {}
        }
    }

    /// The SDK's id of a request of ours, from the id that the client was shown.
    fn own_id(&self, shown: &RequestId) -> Option<RequestId> {
        let RequestId::String(shown) = shown else { return None };
        let (incarnation, n) = shown.strip_prefix("codex-oauth-")?.split_once('-')?;
        (incarnation == self.handler.session.incarnation.to_string()).then_some(())?;
        n.parse().ok().map(RequestId::Number)
    }

    /// Puts the client's ids back on what goes out, with the place that it holds until it is written. `None`: there is
    /// nobody to answer any more.
    fn outward(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> Option<(ServerJsonRpcMessage, Option<OwnedSemaphorePermit>)> {
        Some(match message {
            JsonRpcMessage::Response(mut response) => {
                self.era = self.era.after(&response.result);
                let Open { id, place, .. } = self.handler.calls.close(as_number(&response.id)?)?;
                response.id = id;
                (JsonRpcMessage::Response(response), place)
            }
            JsonRpcMessage::Error(mut error) => {
                let n = error.id.as_ref().and_then(as_number)?;
                let Open { id, place, .. } = self.handler.calls.close(n)?;
                error.id = Some(id);
                (JsonRpcMessage::Error(error), place)
            }
            JsonRpcMessage::Request(mut request) => {
                let shown = format!("codex-oauth-{}-{}", self.handler.session.incarnation, request.id);
                request.id = RequestId::String(shown.into());
                (JsonRpcMessage::Request(request), None)
            }
            notification @ JsonRpcMessage::Notification(_) => (notification, None),
        })
    }
}

impl Transport<RoleServer> for SocketTransport {
    type Error = io::Error;

    fn name() -> Cow<'static, str> {
        "socket".into()
    }

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let session = Arc::clone(&self.handler.session);
        let encoded = self.outward(in_words(item)).map(|(message, place)| (message::write(&message), place));
        async move {
            let Some((line, place)) = encoded else { return Ok(()) };
            let written = session.writer.write(line?).await;
            drop(place);
            written
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        while !self.ended {
            if self.place.is_none() {
                let place = tokio::select! {
                    () = self.handler.session.over.cancelled() => return None,
                    () = self.handler.server.shutdown.reached(Phase::Closing) => return None,
                    // The semaphore is never closed.
                    place = Arc::clone(&self.in_hand).acquire_owned() => place.ok()?,
                };
                self.place = Some(place);
            }
            let read = tokio::select! {
                () = self.handler.session.over.cancelled() => return None,
                () = self.handler.server.shutdown.reached(Phase::Closing) => return None,
                () = left(&self.handler.leaving, &self.handler.server) => {
                    self.ended = true;
                    break;
                }
                read = self.reader.next() => read,
            };
            // From here to the end of the round nothing is awaited: what was read would be lost with this future.
            match read {
                Read::Line(line) => {
                    if let Some(message) = self.accept(&line) {
                        return Some(message);
                    }
                }
                Read::TooLong => {
                    self.give_up(ErrorCode::INVALID_REQUEST, "could not read the line: too long");
                }
                Read::End { half_line: true } => {
                    self.give_up(
                        ErrorCode::PARSE_ERROR,
                        "could not read the line: the connection ended in its middle",
                    );
                }
                Read::End { half_line: false } => self.ended = true,
            }
        }
        self.place = None;
        tokio::select! {
            () = self.handler.server.shutdown.reached(Phase::Closing) => {}
            () = self.last_answers() => {}
        }
        None
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        // Turns that the daemon's end has cut short: the SDK has waited for its own, and questions are not among them.
        self.place = None;
        let _late = timeout(LAST_ANSWERS, self.last_answers()).await;
        self.handler.session.over.cancel();
        Ok(())
    }
}

impl Era {
    /// What is known when the SDK has sent `result`.
    fn after(self, result: &ServerResult) -> Self {
        match (self, result) {
            (Self::Unknown, ServerResult::InitializeResult(begun))
                if begun.protocol_version < ProtocolVersion::V_2026_07_28 =>
            {
                Self::Negotiated
            }
            // Answered before it has made up its mind.
            (
                Self::Unknown,
                ServerResult::InitializeResult(_)
                | ServerResult::DiscoverResult(_)
                | ServerResult::EmptyResult(_),
            ) => Self::Unknown,
            (Self::Unknown, _) => Self::Stateless,
            (known, _) => known,
        }
    }
}

/// The SDK says of a method that this server lacks nothing but its name.
fn in_words(mut message: TxJsonRpcMessage<RoleServer>) -> TxJsonRpcMessage<RoleServer> {
    if let JsonRpcMessage::Error(refused) = &mut message
        && refused.error.code == ErrorCode::METHOD_NOT_FOUND
    {
        refused.error.message = format!("unknown method: {}", refused.error.message).into();
    }
    message
}

/// Returns when a call was left to the next daemon and that one can be found: the end of this connection is what tells the
/// shim to ask it.
async fn left(leaving: &CancellationToken, server: &Server) {
    leaving.cancelled().await;
    server.moved.cancelled().await;
}

/// What a message is, whatever its parameters are.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default, borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(default, rename = "params")]
    _params: IgnoredAny,
    #[serde(default, rename = "jsonrpc")]
    version: Option<Value>,
}

fn number(n: u64) -> RequestId {
    // A client would have to send requests for 10^11 years to get past `i64`.
    RequestId::Number(i64::try_from(n).unwrap_or(i64::MAX))
}

fn as_number(id: &RequestId) -> Option<u64> {
    match id {
        RequestId::Number(n) => u64::try_from(*n).ok(),
        RequestId::String(_) => None,
    }
}
