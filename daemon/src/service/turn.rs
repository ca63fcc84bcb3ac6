//! One question and its answer. A turn is a task of the service: it goes on when its asker is gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codex_oauth_proto::api::turn::{Completed, InputItem, StartParams, TurnStatus, Usage};
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use codex_oauth_proto::people::words;

use super::models::Choice;
use super::{CodexService, Inner, interrupted, summary};
use crate::grant::Grant;
use crate::session::draining;
use crate::shutdown::Phase;
use crate::task;
use crate::upstream::{self, ErrorKind, InputMessage, ResponsesRequest, Role, UpstreamError, UpstreamEvent};

/// Events between a turn and its asker. One event is all text of one network read, so this holds a few hundred KiB at
/// most; a slower asker slows the stream down.
const EVENTS: usize = 16;

/// A login that takes longer than this to hand out a token is being renewed; shorter is not worth a word.
const NOTICEABLE: Duration = Duration::from_millis(50);

/// How often the asker hears that the turn still lives.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The longest answer in one line of the socket, escapes included: what is left of the line's cap without its frame.
const MAX_ENCODED_ANSWER: usize = codex_oauth_proto::MAX_LINE_BYTES - 64 * 1024;

/// What is asked when no system prompt is given. The backend refuses a request without one (WIRE §7.5).
const DEFAULT_INSTRUCTIONS: &str = "You are Codex, a careful coding assistant. Answer the question directly.";

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Question {
    pub(crate) prompt: String,
    pub(crate) model: Option<String>,
    pub(crate) effort: Option<String>,
    pub(crate) instructions: Option<String>,
    pub(crate) temperature: Option<f64>,
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
        })
    }
}

/// What a turn tells its asker.
#[derive(Debug)]
pub(crate) enum TurnEvent {
    /// The next piece of the answer.
    Delta(String),
    /// What it is doing.
    Progress { message: String, elapsed_ms: u64 },
    /// It has ended; nothing follows.
    Ended(Box<Outcome>),
}

/// How a turn ended: with an answer, or with an error and perhaps a part of one.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) answer: Option<String>,
    pub(crate) error: Option<WireError>,
    pub(crate) model: Option<String>,
    pub(crate) effort: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) duration: Duration,
    pub(crate) notes: Vec<String>,
    pub(crate) summary: Option<String>,
    /// The backend's name for the request, for the log.
    pub(crate) request_id: Option<String>,
}

impl Outcome {
    pub(crate) fn to_api(&self, turn_id: String) -> Completed {
        let status = match &self.error {
            None => TurnStatus::Completed,
            Some(error) if error.code == ErrorCode::Cancelled => TurnStatus::Interrupted,
            Some(_) => TurnStatus::Failed,
        };
        Completed {
            turn_id,
            status,
            answer: self.answer.clone(),
            error: self.error.clone(),
            model: self.model.clone(),
            effort: self.effort.clone(),
            usage: self.usage,
            duration_ms: millis(self.duration),
            notes: self.notes.clone(),
            summary: self.summary.clone(),
        }
    }
}

/// A running turn, as its asker holds it. Dropping it detaches the turn; it does not call it off.
#[derive(Debug)]
pub(crate) struct Turn {
    id: String,
    events: mpsc::Receiver<TurnEvent>,
}

impl Turn {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The next event; `None` after the end.
    pub(crate) async fn next(&mut self) -> Option<TurnEvent> {
        self.events.recv().await
    }
}

impl CodexService {
    /// Starts a turn.
    ///
    /// # Errors
    /// When nothing was started: an empty prompt, a daemon that is full or going away.
    pub(crate) fn start_turn(&self, question: Question) -> Result<Turn, WireError> {
        if question.prompt.trim().is_empty() {
            let error = WireError::caller(ErrorCode::InvalidArguments, "prompt is required, and it is empty");
            return Err(error.next(NextStep::FixArguments));
        }
        if self.inner.shutdown.phase() != Phase::Serving {
            return Err(draining());
        }
        let id = codex_oauth_proto::Nonce::random()
            .map_err(|error| super::internal("name a turn", &error))?
            .to_string()
            .split_off(20);
        let cancel = CancellationToken::new();
        {
            let mut running = self.inner.running.lock();
            if running.len() >= self.inner.limits.turns {
                return Err(super::overloaded("turns", self.inner.limits.turns));
            }
            running.insert(id.clone(), cancel.clone());
            self.inner.count.send_replace(running.len());
        }
        let (sender, events) = mpsc::channel(EVENTS);
        let running = Running { inner: Arc::clone(&self.inner), id: id.clone() };
        let work = work(running, question, cancel, sender);
        let _detached = task::spawn(&self.inner.tracker, "turn", work);
        Ok(Turn { id, events })
    }

    /// Calls a running turn off. False: no such turn runs.
    pub(crate) fn interrupt(&self, id: &str) -> bool {
        self.inner.running.lock().get(id).map(CancellationToken::cancel).is_some()
    }
}

/// The entry in the table of running turns: gone when the turn's task is, however it ends.
struct Running {
    inner: Arc<Inner>,
    id: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.inner.running.lock();
        running.remove(&self.id);
        self.inner.count.send_replace(running.len());
        drop(running);
        self.inner.ended.fetch_add(1, Ordering::Relaxed);
    }
}

async fn work(
    running: Running,
    question: Question,
    cancel: CancellationToken,
    sender: mpsc::Sender<TurnEvent>,
) {
    let began = Instant::now();
    let teller = Teller { sender, began };
    let mut partial = String::new();
    let mut account_id = String::new();
    let asking = ask(&running.inner, &question, &teller, &mut partial, &mut account_id);
    let result = tokio::select! {
        () = cancel.cancelled() => None,
        result = asking => Some(result),
    };
    let mut outcome = match result {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => Outcome { error: Some(error), answer: given(partial), ..Outcome::default() },
        // Dropping the future has closed the stream upstream.
        None => {
            Outcome { error: Some(called_off(&running.inner)), answer: given(partial), ..Outcome::default() }
        }
    };
    outcome.duration = began.elapsed();
    fit(&mut outcome);
    outcome.summary = outcome.error.is_none().then(|| {
        let limits = running.inner.upstream_limits(&account_id);
        summary::line(&outcome, &limits)
    });
    tracing::info!(
        turn = running.id,
        model = outcome.model,
        request_id = outcome.request_id,
        ms = millis(outcome.duration),
        answer_bytes = outcome.answer.as_ref().map(String::len),
        error = outcome.error.as_ref().map(|error| tracing::field::debug(error.code)),
        "turn ended"
    );
    // A detached turn has nobody to tell.
    let _detached = teller.sender.send(TurnEvent::Ended(Box::new(outcome))).await;
    drop(running);
}

/// From the token to the answer. `partial` holds what had come of it when this fails or is dropped.
async fn ask(
    inner: &Inner,
    question: &Question,
    teller: &Teller,
    partial: &mut String,
    account_id: &mut String,
) -> Result<Outcome, WireError> {
    let mut notes = Vec::new();
    if question.temperature.is_some() {
        notes.push("temperature was left out: Codex models take none".to_owned());
    }
    let mut grant = inner.grant(teller).await?;
    account_id.clone_from(&grant.account_id);
    let mut renewed = false;
    loop {
        match attempt(inner, &grant, question, teller, partial, &mut notes).await {
            Ok(outcome) => return Ok(Outcome { notes, ..outcome }),
            Err(Failure::Unauthorized(refused)) if renewed => return Err(refused.to_wire()),
            Err(Failure::Unauthorized(_)) => {
                teller.tell("refreshing login").await;
                grant = inner.tokens.recover(&grant).await.map_err(|error| error.to_wire())?;
                renewed = true;
            }
            Err(Failure::Other(error)) => return Err(error),
        }
    }
}

enum Failure {
    Unauthorized(Box<UpstreamError>),
    Other(WireError),
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        match error.kind {
            ErrorKind::Unauthorized { .. } => Self::Unauthorized(Box::new(error)),
            _ => Self::Other(error.to_wire()),
        }
    }
}

impl From<Choice> for Failure {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Upstream(error) => (*error).into(),
            Choice::Wire(error) => Self::Other(error),
        }
    }
}

async fn attempt(
    inner: &Inner,
    grant: &Grant,
    question: &Question,
    teller: &Teller,
    partial: &mut String,
    notes: &mut Vec<String>,
) -> Result<Outcome, Failure> {
    let model = inner.choose_model(grant, question, notes).await?;
    let request = ResponsesRequest {
        model: model.clone(),
        instructions: Some(question.instructions.clone().unwrap_or_else(|| DEFAULT_INSTRUCTIONS.to_owned())),
        input: vec![InputMessage { role: Role::User, text: question.prompt.clone() }],
        effort: question.effort.clone(),
        verbosity: None,
        session_id: session_id().map_err(Failure::Other)?,
    };
    let (sender, mut events) = mpsc::channel(EVENTS);
    let mut answering = std::pin::pin!(inner.upstream.respond(grant, &request, &sender));
    let mut tick = interval_at(Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let completed = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => teller.pass_on(event, partial).await,
            completed = &mut answering => break completed,
            _ = tick.tick() => teller.still(partial).await,
        }
    };
    // What was read before the end and not yet passed on.
    while let Ok(event) = events.try_recv() {
        teller.pass_on(event, partial).await;
    }
    let completed = completed.map_err(|mut error| {
        if let Some(text) = error.partial_text.take() {
            *partial = text.into();
        }
        Failure::from(error)
    })?;
    notes.extend(completed.notes.iter().cloned());
    if let Some(other) = completed.model.as_deref().filter(|other| *other != model) {
        notes.push(format!("the backend answered with {other} instead of {model}"));
    }
    Ok(Outcome {
        answer: Some(completed.text),
        model: Some(completed.model.unwrap_or(model)),
        effort: question.effort.clone(),
        usage: completed.usage.map(usage),
        request_id: completed.request_id,
        ..Outcome::default()
    })
}

/// Tells the asker, as long as there is one.
struct Teller {
    sender: mpsc::Sender<TurnEvent>,
    began: Instant,
}

impl Teller {
    async fn tell(&self, message: impl Into<String>) {
        let elapsed_ms = millis(self.began.elapsed());
        let _detached = self.sender.send(TurnEvent::Progress { message: message.into(), elapsed_ms }).await;
    }

    async fn pass_on(&self, event: UpstreamEvent, partial: &mut String) {
        match event {
            UpstreamEvent::TextDelta { text } => {
                partial.push_str(&text);
                let _detached = self.sender.send(TurnEvent::Delta(text)).await;
            }
            UpstreamEvent::Retrying { attempt, of, after, reason } => {
                self.tell(format!("retry {attempt}/{of} in {}: {reason}", words::duration(after))).await;
            }
            // Shown by the next tick, with how long it has lasted.
            UpstreamEvent::Headers { .. } | UpstreamEvent::Reasoning => {}
        }
    }

    async fn still(&self, partial: &str) {
        let message = if partial.is_empty() {
            format!("thinking {}", words::duration(self.began.elapsed()))
        } else {
            // The backend counts tokens only at the end; four bytes each is what text comes to.
            format!("writing {} tok", words::thousands(partial.len() as u64 / 4))
        };
        self.tell(message).await;
    }
}

impl Inner {
    async fn grant(&self, teller: &Teller) -> Result<Grant, WireError> {
        let mut grant = std::pin::pin!(self.tokens.grant());
        let soon = tokio::time::timeout(NOTICEABLE, &mut grant).await;
        let result = if let Ok(result) = soon {
            result
        } else {
            teller.tell("refreshing login").await;
            grant.await
        };
        result.map_err(|error| error.to_wire())
    }
}

/// Cuts an answer that would not fit a line of the socket, and says so.
fn fit(outcome: &mut Outcome) {
    let Some(answer) = &mut outcome.answer else { return };
    let total = answer.len();
    let mut encoded = 0;
    let kept = answer
        .char_indices()
        .find(|(_, c)| {
            encoded += match c {
                '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
                c if c.is_control() && c.is_ascii() => 6,
                c => c.len_utf8(),
            };
            encoded > MAX_ENCODED_ANSWER
        })
        .map_or(total, |(at, _)| at);
    if kept < total {
        answer.truncate(kept);
        outcome.notes.push(format!("the answer is cut: its first {kept} of {total} bytes are shown"));
    }
}

fn called_off(inner: &Inner) -> WireError {
    if inner.shutdown.phase() == Phase::Serving {
        return interrupted();
    }
    let message = "could not finish the answer: the daemon was shut down while it came";
    WireError::daemon(ErrorCode::StreamInterrupted, Retry::Unknown, message).next(NextStep::AskAgain)
}

fn session_id() -> Result<String, WireError> {
    let nonce = codex_oauth_proto::Nonce::random().map_err(|error| super::internal("name a turn", &error))?;
    Ok(nonce.to_string())
}

fn given(partial: String) -> Option<String> {
    (!partial.is_empty()).then_some(partial)
}

const fn usage(usage: upstream::TokenUsage) -> Usage {
    Usage {
        input_tokens: usage.input,
        cached_input_tokens: usage.cached,
        output_tokens: usage.output,
        reasoning_tokens: usage.reasoning,
        total_tokens: usage.total,
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
