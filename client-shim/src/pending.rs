//! Requests of the client that have no answer yet, by their number.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::head::Params;
use crate::link::LinkId;

/// What the shim has to know of a request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Initialize,
    Discover,
    Ping,
    ListTools,
    /// May do something. Sent a second time only under its number, so that the daemon knows it again.
    Call,
    /// Has no answer while it lasts.
    Listen,
    Other,
}

impl Kind {
    /// The kind of a method of any MCP revision.
    pub(crate) fn of(method: &str) -> Self {
        match method {
            "initialize" => Self::Initialize,
            "server/discover" => Self::Discover,
            "ping" => Self::Ping,
            "tools/list" => Self::ListTools,
            "tools/call" => Self::Call,
            "subscriptions/listen" => Self::Listen,
            _ => Self::Other,
        }
    }
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Value,
    pub(crate) kind: Kind,
    pub(crate) params: Params,
    /// How many connections it was queued for.
    pub(crate) tries: u32,
    /// It was given to a connection that was lost, in whole or in part: daemons may know its number.
    pub(crate) known: bool,
    /// It may have been sent upstream: its daemon said so, or does not say such things.
    pub(crate) sent: bool,
    /// A copy to send again, when that may be done and there is room for it.
    pub(crate) copy: Option<Vec<u8>>,
}

impl Request {
    /// A call that may have been carried out.
    pub(crate) fn is_sent_call(&self) -> bool {
        self.kind == Kind::Call && self.sent
    }
}

/// The copies of all requests together, in bytes. A prompt of a few hundred kilobytes is a long one; a call for whose copy
/// there is no room is not sent again, and its outcome is then unknown.
const MAX_COPIED_BYTES: usize = 4 * 1024 * 1024;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    requests: BTreeMap<u64, (LinkId, Request)>,
}

impl Pending {
    /// A copy of a request's line, to send it again; `None` when there is no room for it.
    pub(crate) fn copy(&self, line: &[u8]) -> Option<Vec<u8>> {
        let copies = self.requests.values().filter_map(|(_, request)| request.copy.as_ref());
        let copied: usize = copies.map(Vec::len).sum();
        (copied + line.len() <= MAX_COPIED_BYTES).then(|| line.to_vec())
    }

    /// Request `n` is being sent upstream.
    pub(crate) fn note_sent(&mut self, n: u64) {
        if let Some((_, request)) = self.requests.get_mut(&n) {
            request.sent = true;
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether an answer can be expected soon.
    pub(crate) fn awaits_answers(&self) -> bool {
        self.requests.values().any(|(_, request)| request.kind != Kind::Listen)
    }

    /// Whether `link` carries one.
    pub(crate) fn is_on(&self, link: LinkId) -> bool {
        self.requests.values().any(|(on, _)| *on == link)
    }

    /// Enters a request that was queued for `link`.
    pub(crate) fn insert(&mut self, n: u64, link: LinkId, request: Request) {
        self.requests.insert(n, (link, request));
    }

    /// Takes one out by its number.
    pub(crate) fn take(&mut self, n: u64) -> Option<Request> {
        self.requests.remove(&n).map(|(_, request)| request)
    }

    /// Takes the one that a response on `link` answers: the oldest with that id, since simple clients reuse ids.
    pub(crate) fn take_answered(&mut self, link: LinkId, id: &Value) -> Option<Request> {
        let found = self.requests.iter().find(|(_, (on, request))| *on == link && request.id == *id);
        let n = found.map(|(n, _)| *n)?;
        self.take(n)
    }

    /// Takes the one that the client cancels, and says where it is: the latest with that id, as the daemon does. MCP
    /// forbids to cancel `initialize`.
    pub(crate) fn take_cancelled(&mut self, id: &Value) -> Option<LinkId> {
        let cancelled = |request: &Request| request.id == *id && request.kind != Kind::Initialize;
        let found = self.requests.iter().rev().find(|(_, (_, request))| cancelled(request));
        let (n, link) = found.map(|(n, (on, _))| (*n, *on))?;
        self.requests.remove(&n);
        Some(link)
    }

    /// Whether a request with this id waits for its answer.
    pub(crate) fn has(&self, id: &Value) -> bool {
        self.requests.values().any(|(_, request)| request.id == *id)
    }

    /// Takes everything that `link` carried, oldest first.
    pub(crate) fn take_link(&mut self, link: LinkId) -> impl Iterator<Item = (u64, Request)> + use<> {
        self.requests
            .extract_if(.., |_, (on, _)| *on == link)
            .map(|(n, (_, request))| (n, request))
            .collect::<Vec<_>>()
            .into_iter()
    }
}
