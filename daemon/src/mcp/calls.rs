//! Which request is which: JSON-RPC ids are the client's and may repeat, so inside the daemon a request has a number.

use std::collections::{BTreeMap, HashMap, VecDeque};

use codex_oauth_proto::hello::Hello;
use parking_lot::Mutex;
use rmcp::model::RequestId;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::service::Abandoned;

/// Cancellations that wait to be looked at. Only a running question looks, at once; those of other requests, which are over
/// before anybody could look, are pushed out.
const MOST_CANCELLED: usize = 64;

/// Answered questions whose cancellation may be on its way: a client waits for a minute at least, so few cross in one session.
const MOST_ANSWERED: usize = 8;

/// How the client called a request off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancellation {
    /// A person did, or nobody says otherwise: the turn is called off.
    Interrupt,
    /// The client only stopped waiting: the turn goes on and its answer is kept.
    Detach,
}

impl Cancellation {
    /// MCP clients give a timeout as the reason in words (MCP.md §1: `SdkError: Request timed out`).
    pub(super) fn from_reason(reason: Option<&str>) -> Self {
        if reason.is_some_and(|reason| reason.to_ascii_lowercase().contains("timed out")) {
            Self::Detach
        } else {
            Self::Interrupt
        }
    }
}

/// The requests of one connection that have no answer yet.
#[derive(Debug)]
pub(super) struct Calls(Mutex<Table>);

#[derive(Debug)]
struct Table {
    next: u64,
    /// Numbers that the client gave to requests on an earlier connection, by their id, oldest first.
    resumed: HashMap<RequestId, VecDeque<u64>>,
    /// Unanswered requests by number.
    open: BTreeMap<u64, Open>,
    /// How the latest requests were called off, oldest first.
    cancelled: VecDeque<(u64, Cancellation)>,
    /// The latest questions that have their answer, oldest first.
    answered: VecDeque<Answered>,
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Open {
    /// The client's.
    pub(super) id: RequestId,
    /// What it holds from its line to its answer.
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// Tells whoever carries it out that it was called off, where that is not the SDK.
    pub(super) called_off: Option<CancellationToken>,
}

impl Open {
    /// A request of the SDK's.
    pub(super) const fn new(id: RequestId, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { id, place, called_off: None }
    }
}

#[derive(Debug)]
struct Answered {
    n: u64,
    id: RequestId,
    turn: Abandoned,
}

impl Calls {
    pub(super) fn new(hello: &Hello) -> Self {
        let mut resumed: HashMap<RequestId, VecDeque<u64>> = HashMap::new();
        for entry in &hello.resume {
            if let Ok(id) = serde_json::from_value(entry.id.clone()) {
                resumed.entry(id).or_default().push_back(entry.n);
            }
        }
        Self(Mutex::new(Table {
            next: hello.next,
            resumed,
            open: BTreeMap::new(),
            cancelled: VecDeque::new(),
            answered: VecDeque::new(),
        }))
    }

    /// A request came in: its number. It is held until [`Self::close`] gives it back, or it is called off.
    pub(super) fn open(&self, request: Open) -> u64 {
        let mut table = self.0.lock();
        // Nearly every connection is its client's first.
        let resumed = (!table.resumed.is_empty())
            .then(|| table.resumed.get_mut(&request.id).and_then(VecDeque::pop_front))
            .flatten();
        let n = resumed.unwrap_or_else(|| {
            table.next += 1;
            table.next - 1
        });
        table.open.insert(n, request);
        drop(table);
        n
    }

    /// The client called off its latest request with this id: its number, if it has no answer yet.
    pub(super) fn cancel(&self, id: &RequestId, cancellation: Cancellation) -> Option<u64> {
        let mut table = self.0.lock();
        let n = *table.open.iter().rev().find(|(_, open)| open.id == *id)?.0;
        let called_off = table.open.remove(&n).and_then(|open| open.called_off);
        if table.cancelled.len() >= MOST_CANCELLED {
            table.cancelled.pop_front();
        }
        table.cancelled.push_back((n, cancellation));
        drop(table);
        if let Some(called_off) = called_off {
            called_off.cancel();
        }
        Some(n)
    }

    /// How request `n` was called off. The record is gone after this.
    pub(super) fn cancellation(&self, n: u64) -> Option<Cancellation> {
        let mut table = self.0.lock();
        let at = table.cancelled.iter().position(|(cancelled, _)| *cancelled == n)?;
        table.cancelled.remove(at).map(|(_, how)| how)
    }

    /// The answer to question `n` is about to go out. Its client may have stopped waiting all the same.
    pub(super) fn answered(&self, n: u64, turn: Abandoned) {
        let mut table = self.0.lock();
        let Some(id) = table.open.get(&n).map(|open| open.id.clone()) else { return };
        if table.answered.len() >= MOST_ANSWERED {
            table.answered.pop_front();
        }
        table.answered.push_back(Answered { n, id, turn });
    }

    /// The turn of a question whose answer crossed the word that its client stopped waiting: `n`, if that answer had not gone
    /// out yet, else the latest one with this id.
    pub(super) fn crossed(&self, id: &RequestId, n: Option<u64>) -> Option<Abandoned> {
        let mut table = self.0.lock();
        let is_it = |it: &Answered| n.map_or(it.id == *id, |n| it.n == n);
        let at = table.answered.iter().rposition(is_it)?;
        table.answered.remove(at).map(|it| it.turn)
    }

    /// Request `n` has its answer. `None`: it was called off, and gets none.
    pub(super) fn close(&self, n: u64) -> Option<Open> {
        self.0.lock().open.remove(&n)
    }
}

#[cfg(test)]
mod tests {
    use codex_oauth_proto::hello::{Resume, Role};
    use codex_oauth_proto::{Nonce, PROTOCOL};

    use super::*;
    use crate::service::{Outcome, Question, Turn};

    fn hello(next: u64, resume: &[(u64, i64)]) -> Hello {
        Hello {
            protocol: PROTOCOL,
            build: "test".to_owned(),
            role: Role::Mcp,
            pid: 1,
            cwd: String::new(),
            nonce: Nonce::from("n"),
            next,
            resume: resume.iter().map(|(n, id)| Resume { n: *n, id: (*id).into(), sent: false }).collect(),
            auth_file: String::new(),
            env: BTreeMap::new(),
            proxy: None,
            no_proxy: None,
            ca_file: None,
        }
    }

    fn id(number: i64) -> RequestId {
        RequestId::Number(number)
    }

    fn open(calls: &Calls, number: i64) -> u64 {
        calls.open(Open::new(id(number), None))
    }

    #[test]
    fn a_repeated_id_names_two_requests() {
        let calls = Calls::new(&hello(1, &[]));
        assert_eq!((open(&calls, 7), open(&calls, 7), open(&calls, 8)), (1, 2, 3));
        assert_eq!(calls.close(1).map(|open| open.id), Some(id(7)));
        assert!(calls.close(1).is_none());
        assert_eq!(calls.close(2).map(|open| open.id), Some(id(7)));
    }

    #[test]
    #[expect(clippy::significant_drop_tightening, reason = "nobody waits for this table")]
    fn a_cancelled_request_gets_no_answer_and_says_how_it_was_called_off() {
        let calls = Calls::new(&hello(1, &[]));
        let n = open(&calls, 7);
        assert_eq!(calls.cancel(&id(7), Cancellation::Detach), Some(n));
        assert_eq!(calls.cancel(&id(7), Cancellation::Detach), None);
        assert!(calls.close(n).is_none());
        let called_off = CancellationToken::new();
        let ours = Open { called_off: Some(called_off.clone()), ..Open::new(id(8), None) };
        assert_eq!((calls.open(ours), called_off.is_cancelled()), (n + 1, false));
        assert_eq!(
            (calls.cancel(&id(8), Cancellation::Detach), called_off.is_cancelled()),
            (Some(n + 1), true)
        );
        assert_eq!((calls.cancellation(n), calls.cancellation(n)), (Some(Cancellation::Detach), None));
    }

    #[test]
    #[expect(clippy::significant_drop_tightening, reason = "nobody waits for this table")]
    fn an_answer_that_crosses_its_cancellation_is_found_before_and_after_it_went_out() {
        let turn = |id: &str| {
            Abandoned::new(
                &Turn::ended(id.to_owned(), Outcome::default()),
                &Nonce::from("n"),
                &Question::default(),
            )
        };
        let calls = Calls::new(&hello(1, &[]));
        let n = open(&calls, 7);
        calls.answered(n, turn("first"));
        assert_eq!(calls.cancel(&id(7), Cancellation::Detach), Some(n));
        assert_eq!(calls.crossed(&id(7), Some(n)), Some(turn("first")));
        // The id again, and once more without an answer.
        let (second, third) = (open(&calls, 7), open(&calls, 7));
        calls.answered(second, turn("second"));
        assert!(calls.close(second).is_some());
        assert_eq!(calls.cancel(&id(7), Cancellation::Detach), Some(third));
        assert_eq!(calls.crossed(&id(7), Some(third)), None);
        assert_eq!((calls.cancel(&id(7), Cancellation::Detach), calls.crossed(&id(8), None)), (None, None));
        assert_eq!(calls.crossed(&id(7), None), Some(turn("second")));
        assert_eq!(calls.crossed(&id(7), None), None);
    }

    #[test]
    fn a_request_sent_again_keeps_its_number() {
        let calls = Calls::new(&hello(10, &[(4, 7), (6, 7)]));
        assert_eq!((open(&calls, 7), open(&calls, 7), open(&calls, 7), open(&calls, 9)), (4, 6, 10, 11));
    }

    #[test]
    fn only_a_timeout_leaves_the_turn_running() {
        for (reason, expected) in [
            (None, Cancellation::Interrupt),
            (Some("AbortError: user-cancel"), Cancellation::Interrupt),
            (Some("SdkError: Request timed out"), Cancellation::Detach),
            (Some("Request Timed Out"), Cancellation::Detach),
        ] {
            assert_eq!(Cancellation::from_reason(reason), expected);
        }
    }
}
