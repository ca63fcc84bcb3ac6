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
    /// May do something: never sent a second time.
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
    /// Set once a connection that carried it, in whole or in part, was lost.
    pub(crate) sent_before: bool,
    /// A copy to send again, when that may be done and the line is short.
    pub(crate) copy: Option<Vec<u8>>,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    requests: BTreeMap<u64, (LinkId, Request)>,
}

impl Pending {
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

    /// Takes everything that `link` carried, oldest first.
    pub(crate) fn take_link(&mut self, link: LinkId) -> impl Iterator<Item = (u64, Request)> + use<> {
        self.requests
            .extract_if(.., |_, (on, _)| *on == link)
            .map(|(n, (_, request))| (n, request))
            .collect::<Vec<_>>()
            .into_iter()
    }
}
