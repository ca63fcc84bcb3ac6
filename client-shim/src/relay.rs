//! What becomes of each line: the memory of the cable. It holds the client's unanswered requests, the handshake, and the
//! server's requests that the client has not answered.

mod daemon;
mod links;

use std::time::Instant;

use codex_oauth_proto::jsonrpc::{INVALID_REQUEST, PARSE_ERROR};
use codex_oauth_proto::line::Line;
use codex_oauth_proto::{Nonce, WireError};
use serde_json::Value;

use crate::Limits;
use crate::answer;
use crate::connector::Connector;
use crate::cut;
use crate::handshake::{Handshake, INITIALIZED};
use crate::head::{Message, Params};
use crate::link::{Link, LinkId};
use crate::outbox::Output;
use crate::pending::{Kind, Pending, Request};

/// Requests without an answer that are remembered. Clients have a few dozen in flight; the daemon runs fewer.
const MAX_PENDING: usize = 1024;

/// The cancellation of a request, by either side.
const CANCELLED: &str = "notifications/cancelled";

/// The memory, and the connections that it is about.
#[derive(Debug)]
pub(crate) struct Relay<C> {
    /// Lines for the client.
    pub(crate) output: Output,
    connector: C,
    limits: Limits,
    nonce: Nonce,
    /// The number of the next request.
    next: u64,
    pending: Pending,
    handshake: Handshake,
    /// Requests of the daemon that the client has not answered.
    asked: Vec<(LinkId, Value)>,
    /// The current connection and those that only bring answers any more.
    links: Vec<Link>,
    /// The one that takes new lines.
    current: Option<LinkId>,
    newest: LinkId,
    /// A reason why no connection can be had that took long to find out, and until when it is believed.
    refused: Option<(WireError, Instant)>,
    /// The client will say no more.
    ending: bool,
}

/// A request on its way to a connection.
#[derive(Debug)]
struct Waiting {
    /// The number it has had on an earlier connection.
    sent_as: Option<u64>,
    request: Request,
    line: Vec<u8>,
}

impl<C: Connector> Relay<C> {
    /// No connection yet, and none before the client's first request.
    pub(crate) fn new(nonce: Nonce, connector: C, limits: Limits) -> Self {
        Self {
            output: Output::default(),
            connector,
            limits,
            nonce,
            next: 1,
            pending: Pending::default(),
            handshake: Handshake::default(),
            asked: Vec::new(),
            links: Vec::new(),
            current: None,
            newest: LinkId::default(),
            refused: None,
            ending: false,
        }
    }

    /// Takes a line of the client.
    pub(crate) fn client_line(&mut self, line: Line) {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong { head, tail } => return self.client_line_too_long(cut::id_of(&head, &tail)),
        };
        if line.trim_ascii().is_empty() {
            return;
        }
        match Message::read(&line) {
            Message::Request { id, method, params } => {
                let kind = Kind::of(&method);
                self.request(id, kind, params, line);
            }
            Message::Notification { method, params } => {
                let method = method.into_owned();
                self.notification(&method, &params, line);
            }
            Message::Response { id, .. } => self.client_response(&id, line),
            Message::Invalid { id, why } => {
                let message = format!("could not read the message: {why}");
                self.output.push(answer::error(&id, INVALID_REQUEST, &message));
            }
            Message::NotJson => self.not_json(),
        }
    }

    /// The client closed its side, perhaps in the middle of a line.
    pub(crate) fn client_ended(&mut self, half_a_line: bool) {
        if half_a_line {
            self.not_json();
        }
        self.ending = true;
    }

    /// Whether everything that the client asked for is on its way, and everything for it is written.
    pub(crate) fn is_done(&self) -> bool {
        self.output.len() == 0 && !self.pending.awaits_answers() && !self.links.iter().any(Link::wants_write)
    }

    fn not_json(&mut self) {
        self.output.push(answer::error(
            &Value::Null,
            PARSE_ERROR,
            "could not read the message: it is not JSON",
        ));
    }

    fn client_line_too_long(&mut self, id: Option<Value>) {
        let id = id.unwrap_or_default();
        // It may be the answer that the daemon waits for.
        let Some(link) = self.take_asked(&id) else {
            return self.output.push(answer::line_too_long(&id));
        };
        self.push(link, None, answer::line_too_long(&id));
    }

    fn request(&mut self, id: Value, kind: Kind, params: Params, line: Vec<u8>) {
        let copy = (kind != Kind::Listen).then(|| self.pending.copy(&line)).flatten();
        let request = Request { id, kind, params, tries: 0, known: false, sent: false, copy };
        if self.pending.len() >= MAX_PENDING {
            return self.output.push(answer::failure(&request, &answer::too_many_pending(MAX_PENDING)));
        }
        if kind == Kind::Initialize {
            self.handshake.begin(&line);
        }
        self.carry(vec![Waiting { sent_as: None, request, line }]);
    }

    fn notification(&mut self, method: &str, params: &Params, line: Vec<u8>) {
        if method == CANCELLED {
            let Some(id) = &params.request_id else { return };
            // One that has crossed its answer is the daemon's to judge: who only stopped waiting may ask the same again.
            let crossed = self.current.filter(|_| !self.pending.has(id));
            if let Some(link) = self.pending.take_cancelled(id).or(crossed) {
                self.push(link, None, line);
            }
            return;
        }
        if method == INITIALIZED {
            self.handshake.complete();
        }
        // Without a connection there is nobody whom it could concern.
        if let Some(link) = self.current {
            self.push(link, None, line);
        }
    }

    fn client_response(&mut self, id: &Value, line: Vec<u8>) {
        // An answer that nobody waits for was meant for a dead connection.
        if let Some(link) = self.take_asked(id) {
            self.push(link, None, line);
        }
    }

    fn take_asked(&mut self, id: &Value) -> Option<LinkId> {
        let at = self.asked.iter().position(|(_, asked)| asked == id)?;
        Some(self.asked.remove(at).0)
    }

    fn push(&mut self, link: LinkId, n: Option<u64>, line: Vec<u8>) {
        if let Some(link) = self.link(link) {
            link.outbox.push(n, line);
        }
    }

    fn link(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.id == id)
    }
}
