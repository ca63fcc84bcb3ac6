//! What a turn does, from the token to its end.

use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};
use parking_lot::Mutex;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::askers::Askers;
use super::teller::Teller;
use super::tracer::Tracer;
use super::{Outcome, PROGRESS_EVERY, Question, Running, Usage, millis};
use crate::auth::{Account, AuthError};
use crate::debug::{self, Tag};
use crate::grant::Grant;
use crate::kill_point;
use crate::service::models::Choice;
use crate::service::{Inner, interrupted, summary};
use crate::shutdown::Phase;
use crate::upstream::{
    self, ErrorKind, InputMessage, OnEvent, ResponsesRequest, Role, UpstreamError, UpstreamEvent,
};

/// A login that takes longer than this to hand out a token is being renewed; shorter is not worth a word.
const NOTICEABLE: Duration = Duration::from_millis(50);

/// The longest answer in one line of the socket, escapes included: what is left of the line's cap without its frame.
const MAX_ENCODED_ANSWER: usize = codex_oauth_proto::MAX_LINE_BYTES - 64 * 1024;

/// What is asked when no system prompt is given. The backend refuses a request without one (WIRE §7.5).
const DEFAULT_INSTRUCTIONS: &str = "You are Codex, a careful coding assistant. Answer the question directly.";

/// Runs a turn to its end. `running` is its entry in the table, given up last.
pub(super) async fn work(
    running: Running,
    question: Question,
    cancel: CancellationToken,
    askers: Askers,
    tracer: Box<Tracer>,
) {
    let began = tracer.accepted();
    let teller = Teller { askers, began };
    let mut course = Course { sent: false, partial: Mutex::default(), served: Served::default(), tracer };
    course.tracer.begins();
    // In a box: `select!` moves it.
    let asking = Box::pin(ask(&running, &question, &teller, &mut course));
    let result = tokio::select! {
        () = cancel.cancelled() => None,
        result = asking => Some(result),
    };
    let Course { sent, partial, served, mut tracer } = course;
    let partial = partial.into_inner();
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
    if let Some(error) = outcome.error.as_mut().filter(|error| error.code != ErrorCode::Cancelled) {
        error.turn_id = Some(running.id.clone());
    }
    outcome.account.clone_from(&served.name);
    outcome.summary = outcome.error.is_none().then(|| {
        let limits = running.inner.upstream_limits(&served.account_id);
        summary::line(&outcome, served.is_one_of_several, &limits)
    });
    tracer.ends(&outcome, outcome.status());
    let phases = &tracer.trace().phases;
    tracing::info!(
        model = outcome.model,
        request_id = outcome.request_id,
        attempts = tracer.trace().attempts.len(),
        token_ms = phases.token_ms,
        sent_ms = phases.sent_ms,
        first_byte_ms = phases.first_byte_ms,
        first_token_ms = phases.first_token_ms,
        ms = millis(outcome.duration),
        answer_bytes = outcome.answer.as_ref().map(String::len),
        error = outcome.error.as_ref().map(|error| tracing::field::debug(error.code)),
        "turn ended"
    );
    debug::tell(Tag::Codex, || {
        let how = outcome.error.as_ref().map_or("answered".to_owned(), |error| debug::word(error.code));
        format!("Turn {} ended: {how}, after {}", running.id, debug::ms(outcome.duration))
    });
    kill_point::reached("ended");
    if sent {
        // Before the last word, so that whoever comes too late for it finds the outcome.
        let is_alone = !teller.askers.is_heard();
        running.inner.state.end(running.key(), outcome.to_api(running.id.clone()), is_alone);
    }
    // What is left to the next daemon is told there.
    if outcome.error.as_ref().is_none_or(|error| error.code != ErrorCode::Draining) {
        running.inner.state.keep_trace(tracer.into_trace());
    }
    if kill_point::is("kept") {
        running.inner.state.committed().await;
        kill_point::reached("kept");
    }
    teller.askers.end(Box::new(outcome)).await;
    drop(running);
}

/// What is known of a turn at any point where it may fail or be dropped.
struct Course {
    /// Something may have gone upstream.
    sent: bool,
    /// What had come of the answer.
    partial: Mutex<String>,
    served: Served,
    tracer: Box<Tracer>,
}

/// From the token to the answer.
async fn ask(
    running: &Running,
    question: &Question,
    teller: &Teller,
    course: &mut Course,
) -> Result<Outcome, WireError> {
    let mut notes = Vec::new();
    if question.temperature.is_some() {
        notes.push("temperature was left out: Codex models take none".to_owned());
    }
    let inner = &running.inner;
    let account = inner.of_asked(question.account.as_deref(), teller.began).await?;
    course.served.name = Some(account.name.clone());
    course.served.is_one_of_several = account.is_one_of_several;
    let mut grant = match fetch_grant(&account, teller).await {
        Ok(grant) => grant,
        Err(error) => return Err(Box::pin(inner.without_token(&error, question.account.as_deref())).await),
    };
    course.served.account_id.clone_from(&grant.account_id);
    course.tracer.has_token();
    let mut renewed = false;
    loop {
        match attempt(running, &grant, question, teller, course, &mut notes).await {
            Ok(outcome) => {
                account.tokens.accepted(&grant);
                return Ok(Outcome { notes, ..outcome });
            }
            Err(Failure::Unauthorized(refused)) if renewed => return Err(refused.to_wire()),
            Err(Failure::Unauthorized(_)) => {
                course.tracer.renews();
                teller.tell("refreshing login").await;
                grant =
                    Box::pin(account.tokens.recover(&grant)).await.map_err(|error| not_renewed(&error))?;
                renewed = true;
            }
            Err(Failure::Other(error)) => return Err(error),
        }
    }
}

/// Which account a turn is served by, once that is known.
#[derive(Default)]
struct Served {
    name: Option<String>,
    is_one_of_several: bool,
    account_id: String,
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
    running: &Running,
    grant: &Grant,
    question: &Question,
    teller: &Teller,
    course: &mut Course,
    notes: &mut Vec<String>,
) -> Result<Outcome, Failure> {
    let inner = &running.inner;
    let Course { sent, partial, tracer, .. } = course;
    let model = inner.choose_model(grant, question, notes).await.inspect_err(|choice| {
        if let Choice::Upstream(error) = choice {
            tracer.fails(error, false);
        }
    })?;
    let request = ResponsesRequest {
        model: &model,
        instructions: question.instructions.as_deref().or(Some(DEFAULT_INSTRUCTIONS)),
        input: &[InputMessage { role: Role::User, text: &question.prompt }],
        effort: question.effort.as_deref(),
        verbosity: None,
        session_id: &running.session_id,
    };
    if !*sent {
        kill_point::reached("announcing");
        running.announce(&teller.askers).await.map_err(Failure::Other)?;
        *sent = true;
        kill_point::reached("announced");
    }
    tracer.sending(&model);
    debug::tell(Tag::Codex, || "Sending query to Codex");
    debug::tell(Tag::Codex, || {
        let instructions = question.instructions.as_ref().map_or(0, String::len);
        let sizes = format!("prompt {} bytes, instructions {instructions} bytes", question.prompt.len());
        format!("  turn {}, model {model}, {sizes}", running.id)
    });
    let completed = {
        let mut hearing = Hearing { tracer, teller, partial };
        let mut answering = std::pin::pin!(inner.upstream.respond(grant, &request, &mut hearing));
        let mut tick = interval_at(Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let completed = loop {
            tokio::select! {
                biased;
                completed = &mut answering => break completed,
                _ = tick.tick() => {
                    let written = partial.lock().len();
                    teller.still(written).await;
                }
            }
        };
        inner.spent_tick.lock().replace(tick);
        completed
    };
    let completed = completed.map_err(|mut error| {
        tracer.fails(&error, true);
        if let Some(text) = error.partial_text.take() {
            *partial.lock() = text.into();
        }
        Failure::from(error)
    })?;
    debug::tell(Tag::Codex, || {
        format!("Extracted content from message: {} chars", completed.text.chars().count())
    });
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

/// Takes note of what a turn reports, and passes it on.
struct Hearing<'a> {
    tracer: &'a mut Tracer,
    teller: &'a Teller,
    partial: &'a Mutex<String>,
}

impl OnEvent for Hearing<'_> {
    async fn on_event(&mut self, event: UpstreamEvent) {
        self.tracer.hears(&event);
        if let UpstreamEvent::TextDelta { text } = &event {
            self.partial.lock().push_str(text);
        }
        self.teller.pass_on(event).await;
    }
}

async fn fetch_grant(account: &Account, teller: &Teller) -> Result<Grant, AuthError> {
    let mut grant = std::pin::pin!(account.grant());
    let soon = tokio::time::timeout(NOTICEABLE, &mut grant).await;
    if let Ok(result) = soon {
        return result;
    }
    teller.tell("refreshing login").await;
    grant.await
}

/// Cuts an answer that would not fit a line of the socket, and says so.
fn fit(outcome: &mut Outcome) {
    /// Of one byte in JSON, as `\u0007`.
    const LONGEST_ESCAPE: usize = 6;
    let Some(answer) = &mut outcome.answer else { return };
    let total = answer.len();
    if total <= MAX_ENCODED_ANSWER / LONGEST_ESCAPE {
        return;
    }
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

/// This question was sent: it is answered here, and not left to the next daemon.
fn not_renewed(error: &AuthError) -> WireError {
    if !matches!(error, AuthError::Closed) {
        return error.to_wire();
    }
    let message = "could not renew the login: this daemon has given it up";
    WireError::daemon(ErrorCode::AuthUnavailable, Retry::Safe, message).next(NextStep::Retry)
}

fn called_off(inner: &Inner) -> WireError {
    if inner.shutdown.phase() == Phase::Serving {
        return interrupted();
    }
    let message = "could not finish the answer: the daemon was shut down while it came";
    WireError::daemon(ErrorCode::StreamInterrupted, Retry::Unknown, message).next(NextStep::AskAgain)
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
