//! One question and its answer. A turn is a task of the service: it goes on when its asker is gone.

mod askers;
mod names;
mod teller;
mod tracer;
mod work;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codex_oauth_proto::api::turn::{Completed, InputItem, StartParams, TurnStatus, Usage};
use codex_oauth_proto::people::errors::is_known;
use codex_oauth_proto::{ErrorCode, NextStep, WireError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{CodexService, Inner};
use crate::session::draining;
use crate::shutdown::Phase;
use crate::state::Key;
use crate::task;

pub(super) use askers::{Askers, Hears};
pub(crate) use names::Names;
use tracer::Tracer;

/// How often the asker hears that the turn still lives.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Question {
    pub(crate) prompt: String,
    pub(crate) model: Option<String>,
    pub(crate) effort: Option<String>,
    pub(crate) instructions: Option<String>,
    pub(crate) temperature: Option<f64>,
    /// Which account answers; the default one when absent.
    pub(crate) account: Option<String>,
}

impl TryFrom<StartParams> for Question {
    type Error = WireError;

    fn try_from(params: StartParams) -> Result<Self, WireError> {
        let texts: Vec<String> = params.input.into_iter().map(|InputItem::Text { text }| text).collect();
        Ok(Self {
            prompt: texts.join("\n\n"),
            model: params.model,
            effort: params.effort,
            instructions: params.instructions,
            temperature: params.temperature,
            account: params.account,
        })
    }
}

/// What a turn tells its asker.
#[derive(Debug)]
pub(crate) enum TurnEvent {
    /// The next piece of the answer.
    Delta(String),
    /// What it is doing. In a box, as one event a second is: with it inside, each of a turn's 16 places would be a third larger.
    Progress(Box<Progress>),
    /// It is about to be sent. Who might ask again has to know that for good, also if the daemon dies in the next instant; the
    /// turn goes on once somebody says that he does.
    Sent(oneshot::Sender<()>),
    /// It has ended; nothing follows.
    Ended(Box<Outcome>),
}

/// What a turn is doing, and for how long it has run.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) message: String,
    pub(crate) elapsed_ms: u64,
}

impl TurnEvent {
    /// The same for a further listener, where there is one at this time.
    fn copy(&self) -> Option<Self> {
        match self {
            Self::Delta(text) => Some(Self::Delta(text.clone())),
            Self::Progress(progress) => Some(Self::Progress(progress.clone())),
            Self::Sent(_) | Self::Ended(_) => None,
        }
    }
}

/// How a turn ended: with an answer, or with an error and perhaps a part of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answer: Option<String>,
    pub(crate) error: Option<WireError>,
    pub(crate) model: Option<String>,
    pub(crate) effort: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) duration: Duration,
    pub(crate) notes: Vec<String>,
    pub(crate) summary: Option<String>,
    /// The account that served it.
    pub(crate) account: Option<String>,
    /// The backend's name for the request, for the log.
    pub(crate) request_id: Option<String>,
}

impl Outcome {
    pub(crate) fn to_api(&self, turn_id: String) -> Completed {
        debug_assert!(self.error.as_ref().is_none_or(is_known), "not in the catalogue: {:?}", self.error);
        Completed {
            turn_id,
            status: self.status(),
            answer: self.answer.clone(),
            error: self.error.clone(),
            model: self.model.clone(),
            effort: self.effort.clone(),
            usage: self.usage,
            duration_ms: millis(self.duration),
            notes: self.notes.clone(),
            summary: self.summary.clone(),
            account: self.account.clone(),
        }
    }
}

impl Outcome {
    fn status(&self) -> TurnStatus {
        match &self.error {
            None => TurnStatus::Completed,
            Some(error) if error.code == ErrorCode::Cancelled => TurnStatus::Interrupted,
            Some(_) => TurnStatus::Failed,
        }
    }
}

impl From<Completed> for Outcome {
    fn from(kept: Completed) -> Self {
        Self {
            answer: kept.answer,
            error: kept.error,
            model: kept.model,
            effort: kept.effort,
            usage: kept.usage,
            duration: Duration::from_millis(kept.duration_ms),
            notes: kept.notes,
            summary: kept.summary,
            account: kept.account,
            request_id: None,
        }
    }
}

/// A turn, as its asker holds it. Dropping it detaches the turn; it does not call it off.
#[derive(Debug)]
pub(crate) struct Turn {
    id: String,
    events: mpsc::Receiver<TurnEvent>,
}

impl Turn {
    /// One that runs.
    pub(super) const fn running(id: String, events: mpsc::Receiver<TurnEvent>) -> Self {
        Self { id, events }
    }

    /// One that has ended so.
    pub(crate) fn ended(id: String, outcome: Outcome) -> Self {
        let (sender, events) = mpsc::channel(1);
        // The channel is new, so there is room.
        let _told = sender.try_send(TurnEvent::Ended(Box::new(outcome)));
        Self { id, events }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The next event; `None` after the end.
    pub(crate) async fn next(&mut self) -> Option<TurnEvent> {
        self.events.recv().await
    }
}

impl CodexService {
    /// Starts a turn. `key`: the request that it answers, when its client counts its requests; such a client waits for the
    /// whole answer.
    ///
    /// # Errors
    /// When nothing was started: an empty prompt, a daemon that is full or going away.
    pub(crate) fn start_turn(&self, question: Question, key: Option<Key>) -> Result<Turn, WireError> {
        if question.prompt.trim().is_empty() {
            let error = WireError::caller(ErrorCode::InvalidArguments, "prompt is required, and it is empty");
            return Err(error.next(NextStep::FixArguments));
        }
        // A drain takes what crossed its announcement.
        if self.inner.shutdown.phase() == Phase::Closing {
            return Err(draining());
        }
        let session_id = self.inner.names.conversation();
        let id = names::id_of(&session_id).to_owned();
        let (cancel, askers) = (CancellationToken::new(), Askers::default());
        let hears = if key.is_some() { Hears::Progress } else { Hears::Text };
        let events = askers.join(hears)?.ok_or_else(|| super::internal("start a turn", &"it has ended"))?;
        {
            let mut running = self.inner.running.lock();
            if running.len() >= self.inner.limits.turns {
                return Err(super::overloaded("turns", self.inner.limits.turns));
            }
            let (cancel, askers) = (cancel.clone(), askers.clone());
            running.insert(id.clone(), RunningTurn { key, cancel, askers });
        }
        let running = Running { inner: Arc::clone(&self.inner), id: id.clone(), session_id };
        let tracer = Box::new(Tracer::new(&id, &question));
        // In a box from the start: what a turn is made of is some KB, which each further move would copy.
        let work = Box::pin(work::work(running, question, cancel, askers, tracer));
        let work = work.instrument(tracing::info_span!("turn", id));
        let _detached = task::spawn(&self.inner.tracker, "turn", work);
        Ok(Turn::running(id, events))
    }

    /// Calls a running turn off. False: no such turn runs.
    pub(crate) fn interrupt(&self, id: &str) -> bool {
        self.inner.running.lock().get(id).map(|turn| turn.cancel.cancel()).is_some()
    }

    /// The client will not ask by this turn's number again: it is gone, or has called the request off.
    pub(crate) fn release(&self, id: &str) {
        if let Some(turn) = self.inner.running.lock().get_mut(id) {
            turn.key = None;
        }
    }
}

/// What is known of a running turn.
#[derive(Clone, Debug)]
pub(super) struct RunningTurn {
    /// The request that it answers, while its client may ask again.
    pub(super) key: Option<Key>,
    pub(super) cancel: CancellationToken,
    pub(super) askers: Askers,
}

/// The entry in the table of running turns: gone when the turn's task is, however it ends.
struct Running {
    inner: Arc<Inner>,
    id: String,
    /// The conversation's name upstream.
    session_id: String,
}

impl Running {
    /// The request that the turn answers, if its client may ask again.
    fn key(&self) -> Option<Key> {
        self.inner.running.lock().get(&self.id)?.key.clone()
    }

    fn may_be_asked_again(&self) -> bool {
        self.inner.running.lock().get(&self.id).is_some_and(|turn| turn.key.is_some())
    }

    /// To be called before the first byte goes upstream: once this is done, whoever may ask again knows that it may have gone. A
    /// client that cannot be told any more is gone, or asks the next daemon, and then this one must not.
    ///
    /// # Errors
    /// The turn is given up: nobody can join it any more.
    async fn announce(&self, askers: &Askers) -> Result<(), WireError> {
        while self.may_be_asked_again() && !askers.tell_sent().await {
            if askers.close_if_alone() {
                return Err(super::interrupted());
            }
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.inner.running.lock();
        running.remove(&self.id);
        if running.is_empty() {
            self.inner.none_runs.notify_waiters();
        }
        drop(running);
        self.inner.ended.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
