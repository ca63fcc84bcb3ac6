//! Requests that are made again: after a lost connection, after the daemon's death, or because their client stopped
//! waiting. What was paid for is given out, and nothing is sent upstream twice for one request (DESIGN §4).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use codex_oauth_proto::api::trace;
use codex_oauth_proto::api::turn::{Kept, ListResult};
use codex_oauth_proto::{ErrorCode, NextStep, Nonce, Retry, WireError};

use super::CodexService;
use super::turn::{Hears, Outcome, Question, Turn};
use crate::state::{Key, StateError};

/// Turns whose clients stopped waiting and may ask again. More than one person's sessions leave behind in the ten minutes
/// for which an answer is kept.
const MOST_ABANDONED: usize = 64;

/// A turn whose client stopped waiting for it, or did so while the answer was on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned {
    client: Nonce,
    question: u64,
    turn: String,
}

impl Abandoned {
    /// `client` asked `question` and got `turn` for it.
    pub(crate) fn new(turn: &Turn, client: &Nonce, question: &Question) -> Self {
        Self { client: client.clone(), question: fingerprint(question), turn: turn.id().to_owned() }
    }
}

/// How an answer is introduced that was asked for before.
pub(crate) const ASKED_BEFORE: &str =
    "this question was asked before and its client stopped waiting: here is that answer, not a second one";

impl CodexService {
    /// Takes a question for the first time as this request. The same question of a client that stopped waiting for it is not
    /// asked twice: the flag says that the turn is the earlier one.
    ///
    /// # Errors
    /// As [`Self::start_turn`].
    pub(crate) async fn ask(&self, question: Question, key: Key) -> Result<(Turn, bool), WireError> {
        if let Some(turn) = self.claim(&question, &key).await? {
            return Ok((turn, true));
        }
        self.start_turn(question, Some(key)).map(|turn| (turn, false))
    }

    /// Takes a question once more, whose connection was lost: joins its turn, gives its kept outcome, or asks it if it was
    /// never sent. `sent`: whether it may have been, here or by an earlier daemon.
    ///
    /// # Errors
    /// `outcome_unknown`, when it may have been sent and its end is not known; else as [`Self::start_turn`].
    pub(crate) async fn resume(&self, question: Question, key: Key, sent: bool) -> Result<Turn, WireError> {
        if let Some(turn) = self.join(&key)? {
            return Ok(turn);
        }
        if !sent {
            return self.start_turn(question, Some(key));
        }
        match self.inner.state.find(key).await {
            Ok(Some(kept)) => Ok(Turn::ended(kept.turn_id.clone(), Outcome::from(kept))),
            Ok(None) => Err(outcome_unknown()),
            Err(error) => {
                tracing::warn!(%error, "could not look a question up");
                Err(outcome_unknown())
            }
        }
    }

    /// The client stopped waiting for this turn, and may ask the same again, as another request.
    pub(crate) fn abandon(&self, left: Abandoned) {
        self.release(&left.turn);
        let mut abandoned = self.inner.abandoned.lock();
        if abandoned.len() >= MOST_ABANDONED {
            abandoned.pop_front();
        }
        abandoned.push_back(left);
    }

    /// The outcomes that are kept.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn kept_turns(&self) -> Result<ListResult, WireError> {
        let turns =
            self.inner.state.outcomes().await.map_err(|error| unreadable("the kept answers", &error))?;
        Ok(ListResult { turns })
    }

    /// One of them.
    ///
    /// # Errors
    /// When it is not kept, or the database cannot be used.
    pub(crate) async fn kept_turn(&self, id: &str) -> Result<Kept, WireError> {
        let kept = self.inner.state.outcome(id.to_owned()).await;
        let kept = kept.map_err(|error| unreadable("the kept answers", &error))?;
        kept.ok_or_else(|| {
            let id = crate::session::printable(id);
            let message = format!("could not find the answer `{id}`: answers are kept for ten minutes");
            WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments)
        })
    }

    /// What became of the last turns, step by step.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn traces(&self, asked: trace::ListParams) -> Result<trace::ListResult, WireError> {
        /// More than are kept.
        const ALL: u32 = 1_000;
        let (prefix, limit) = (asked.turn_id.unwrap_or_default(), asked.limit.unwrap_or(ALL).min(ALL));
        let traces = self.inner.state.traces(prefix, limit).await;
        let traces = traces.map_err(|error| unreadable("the traces", &error))?;
        Ok(trace::ListResult { traces })
    }

    /// Why answers are not kept at the moment, if so.
    pub(crate) fn ledger_fault(&self) -> Option<String> {
        self.inner.state.fault()
    }

    /// Waits for the last commits, and for the database to be closed.
    pub(crate) async fn close(&self) {
        self.inner.state.close().await;
    }

    /// The running turn of this request.
    fn join(&self, key: &Key) -> Result<Option<Turn>, WireError> {
        let running = self.inner.running.lock();
        let found = running.iter().find(|(_, turn)| turn.key.as_ref() == Some(key));
        let joined = found
            .map(|(id, turn)| Ok::<_, WireError>((id.clone(), turn.askers.join(Hears::Progress)?)))
            .transpose()?;
        drop(running);
        Ok(joined.and_then(|(id, events)| Some(Turn::running(id, events?))))
    }

    /// The turn of the same question that this client stopped waiting for, if its answer can still be had.
    async fn claim(&self, question: &Question, key: &Key) -> Result<Option<Turn>, WireError> {
        let Some(id) = self.take_abandoned(question, key) else { return Ok(None) };
        let joined = {
            let mut running = self.inner.running.lock();
            match running.get_mut(&id) {
                Some(turn) => {
                    turn.key = Some(key.clone());
                    turn.askers.join(Hears::Progress)?
                }
                None => None,
            }
        };
        if let Some(events) = joined {
            return Ok(Some(Turn::running(id, events)));
        }
        let kept = self.inner.state.outcome(id).await.ok().flatten();
        // A failure is no answer: it is asked again.
        let kept = kept.filter(|kept| kept.outcome.error.is_none());
        Ok(kept.map(|kept| Turn::ended(kept.outcome.turn_id.clone(), Outcome::from(kept.outcome))))
    }

    fn take_abandoned(&self, question: &Question, key: &Key) -> Option<String> {
        let mut abandoned = self.inner.abandoned.lock();
        // Few clients have any: most questions need no fingerprint.
        abandoned.iter().any(|left| left.client == key.nonce).then_some(())?;
        let question = fingerprint(question);
        let at = abandoned.iter().position(|left| left.client == key.nonce && left.question == question)?;
        abandoned.remove(at).map(|left| left.turn)
    }
}

/// The question may have been carried out, and nobody knows how it ended.
fn outcome_unknown() -> WireError {
    let message = "could not get the answer: the daemon was lost after the question had been sent";
    WireError::daemon(ErrorCode::OutcomeUnknown, Retry::Unknown, message).next(NextStep::AskAgain)
}

/// A database that can be used again is opened again; what keeps it from that, `doctor` finds.
fn unreadable(what: &str, error: &StateError) -> WireError {
    let message = format!("could not read {what}: {error}");
    WireError::daemon(ErrorCode::Internal, Retry::Safe, message).next(NextStep::Mend)
}

/// Tells questions of one client apart without keeping them. It is taken of every question, so it is a cheap one.
fn fingerprint(question: &Question) -> u64 {
    let Question { prompt, model, effort, instructions, temperature, account } = question;
    let mut hasher = DefaultHasher::new();
    (prompt, model, effort, instructions, temperature.map(f64::to_bits), account).hash(&mut hasher);
    hasher.finish()
}
