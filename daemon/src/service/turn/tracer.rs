//! When a turn reached what: the one account of its phases, read by the log line and by the recorder.
//!
//! Promises: no text of the question, the answer or the backend is in it.

use std::time::{SystemTime, UNIX_EPOCH};

use codex_oauth_proto::api::trace::{Attempt, Phases, Trace};
use codex_oauth_proto::api::turn::TurnStatus;
use codex_oauth_proto::people::errors;
use codex_oauth_proto::{Origin, WireError};
use tokio::time::Instant;

use super::{Outcome, Question, millis};
use crate::upstream::{UpstreamError, UpstreamEvent};

/// The account of one turn, kept while it runs.
#[derive(Debug)]
pub(super) struct Tracer {
    accepted: Instant,
    trace: Trace,
    /// The request that has no end yet.
    attempt: Option<Attempt>,
    /// Why the backend failed it, in our words.
    cause: Option<String>,
}

impl Tracer {
    /// Of a turn that was just taken on.
    pub(super) fn new(turn_id: &str, question: &Question) -> Self {
        let began_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let bytes = question.prompt.len() + question.instructions.as_ref().map_or(0, String::len);
        let trace = Trace {
            turn_id: turn_id.to_owned(),
            began_at: millis(began_at),
            status: TurnStatus::Unknown,
            account: None,
            model: question.model.clone(),
            effort: question.effort.clone(),
            question_bytes: bytes as u64,
            answer_bytes: 0,
            usage: None,
            phases: Phases::default(),
            attempts: Vec::with_capacity(1),
            error: None,
        };
        Self { accepted: Instant::now(), trace, attempt: None, cause: None }
    }

    /// When the turn was taken on.
    pub(super) const fn accepted(&self) -> Instant {
        self.accepted
    }

    /// The whole account.
    pub(super) fn into_trace(self) -> Trace {
        self.trace
    }

    /// So far.
    pub(super) const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// It need not wait for others any more.
    pub(super) fn begins(&mut self) {
        self.trace.phases.queued_ms = Some(self.now());
    }

    /// It has an access token.
    pub(super) fn has_token(&mut self) {
        self.trace.phases.token_ms = Some(self.now());
    }

    /// `model` is about to be asked.
    pub(super) fn sending(&mut self, model: &str) {
        self.end_attempt(None);
        let sent_ms = self.now();
        self.trace.phases.sent_ms.get_or_insert(sent_ms);
        model.clone_into(self.trace.model.get_or_insert_default());
        self.attempt = Some(Attempt { sent_ms, ..Attempt::default() });
    }

    /// The backend, or the wait for it, has news.
    pub(super) fn hears(&mut self, event: &UpstreamEvent) {
        let now = self.now();
        match event {
            UpstreamEvent::Headers { status, request_id, took, connect } => {
                if let Some(earlier) = self.attempt.as_ref().filter(|open| open.first_byte_ms.is_some()) {
                    // Sent again without a wait, since the backend named what it missed.
                    let refused = format!("HTTP {}", earlier.status.unwrap_or_default());
                    self.end_attempt(Some(refused));
                }
                let sent_ms = now.saturating_sub(millis(*took));
                if self.trace.attempts.is_empty() {
                    self.trace.phases.sent_ms = Some(sent_ms);
                }
                self.trace.phases.first_byte_ms.get_or_insert(now);
                self.attempt = Some(Attempt {
                    sent_ms,
                    connect_ms: connect.map(millis),
                    first_byte_ms: Some(now),
                    status: Some(*status),
                    request_id: request_id.clone(),
                    failure: None,
                    wait_ms: None,
                });
            }
            UpstreamEvent::TextDelta { .. } => {
                self.trace.phases.first_token_ms.get_or_insert(now);
            }
            UpstreamEvent::Retrying { after, kind, .. } => {
                self.attempt.get_or_insert_default().wait_ms = Some(millis(*after));
                self.end_attempt(Some(kind.redacted()));
                let sent_ms = now + millis(*after);
                self.attempt = Some(Attempt { sent_ms, ..Attempt::default() });
            }
            UpstreamEvent::Reasoning => {}
        }
    }

    /// The backend failed it. `was_sent`: it failed the question itself, and not what is asked before.
    pub(super) fn fails(&mut self, error: &UpstreamError, was_sent: bool) {
        let cause = error.kind.redacted();
        if was_sent && error.attempts > 0 {
            self.end_attempt(Some(cause.clone()));
        } else {
            // Refused without a request.
            self.attempt = None;
            self.trace.phases.sent_ms.take_if(|_| self.trace.attempts.is_empty());
        }
        self.cause = Some(cause);
    }

    /// The backend refused the token; another one is got.
    pub(super) fn renews(&mut self) {
        self.cause = None;
    }

    /// It has ended so.
    pub(super) fn ends(&mut self, outcome: &Outcome, status: TurnStatus) {
        self.end_attempt(None);
        let trace = &mut self.trace;
        trace.phases.done_ms = Some(millis(self.accepted.elapsed()));
        trace.status = status;
        trace.account.clone_from(&outcome.account);
        trace.answer_bytes = outcome.answer.as_ref().map_or(0, String::len) as u64;
        trace.usage = outcome.usage;
        let cause = self.cause.take();
        trace.error = outcome.error.as_ref().map(|error| redacted(error, cause));
    }

    fn end_attempt(&mut self, failure: Option<String>) {
        if let Some(attempt) = self.attempt.take() {
            self.trace.attempts.push(Attempt { failure, ..attempt });
        }
    }

    fn now(&self) -> u64 {
        millis(self.accepted.elapsed())
    }
}

/// The error without what others wrote: the backend may quote the question, and the caller's arguments are the caller's.
fn redacted(error: &WireError, cause: Option<String>) -> WireError {
    let told = || match error.origin {
        Origin::Daemon => error.message.clone(),
        Origin::Caller | Origin::Upstream | Origin::Unknown => {
            errors::entry(error.code).meaning.trim_end_matches('.').to_owned()
        }
    };
    let message = cause.unwrap_or_else(told);
    WireError { message, ..error.clone() }
}
