//! One turn: sends it, retries what provably produced nothing, streams the answer.
//!
//! A turn that may have been executed is never sent again. Dropping the future of [`respond`] closes the stream at once.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::{Answer, End, Fed};
use super::classify;
use super::client::{Backend, not_prepared};
use super::config::RESPONSES_PATH;
use super::delay;
use super::error::{ErrorKind, Facts, Retry, UpstreamError, sample};
use super::rate_limits::{self, RateLimit};
use super::request::{self, Form, ResponsesRequest};
use super::routing::Routing;
use super::{Completed, Inner, OnEvent, UpstreamEvent};
use crate::debug::{self, Tag};
use crate::grant::Grant;
use crate::limits::Limits;
use crate::network::Response;
use crate::sleep::{Clocks, Silence};

/// Models remembered as wanting instructions; the catalogue holds a dozen.
const MAX_REMEMBERED_MODELS: usize = 64;

/// As many headers as a turn's request can have, so that their map is made once.
const MAX_REQUEST_HEADERS: usize = 16;

static SESSION_ID: HeaderName = HeaderName::from_static("session-id");

/// Sticky routing within a turn (WIRE §7.1).
const TURN_STATE: &str = "x-codex-turn-state";

pub(super) async fn respond<L: OnEvent>(
    inner: &Inner,
    grant: &Grant,
    request: &ResponsesRequest<'_>,
    listener: &mut L,
) -> Result<Completed, UpstreamError> {
    inner.refuse_known_limit(grant, request.model).await?;
    let (routing, note) = inner.routes.for_turn(&inner.backend, grant).await;
    let mut turn = Turn { inner, grant, request, listener, routing, sticky: None };
    let mut attempts = 0;
    let mut retries = 0;
    let mut instructions_sent = inner.needs_instructions(request.model);
    loop {
        attempts += 1;
        let started = Instant::now();
        let mut error = match turn.attempt(instructions_sent).await {
            Ok(mut completed) => {
                completed.attempts = attempts;
                completed.notes.extend(note);
                return Ok(completed);
            }
            Err(error) => error,
        };
        error.attempts = attempts;
        log_failure(&error, request.model, started.elapsed());
        tell_failure(&error);
        inner.known_limits.note(&grant.account_id, request.model, &error);
        if error.kind == ErrorKind::InstructionsRequired && !instructions_sent {
            instructions_sent = true;
            inner.remember_needs_instructions(request.model);
            continue;
        }
        let Some(after) = resend_after(&error, retries + 1, &inner.backend.limits) else { return Err(error) };
        retries += 1;
        debug::tell(Tag::Codex, || format!("Retry {retries} in {}", debug::ms(after)));
        let of = inner.backend.limits.turn_retries;
        turn.listener
            .on_event(UpstreamEvent::Retrying { attempt: retries, of, after, kind: error.kind })
            .await;
        sleep(after).await;
    }
}

struct Turn<'a, L> {
    inner: &'a Inner,
    grant: &'a Grant,
    request: &'a ResponsesRequest<'a>,
    listener: &'a mut L,
    routing: Routing,
    /// [`TURN_STATE`] of the turn's first response, repeated by its retries.
    sticky: Option<HeaderValue>,
}

impl<L: OnEvent> Turn<'_, L> {
    async fn attempt(&mut self, needs_instructions: bool) -> Result<Completed, UpstreamError> {
        let started = Instant::now();
        let inner = self.inner;
        let Backend { clocks, connects, .. } = &inner.backend;
        let connected = connects.count();
        let sent = Silence::since(clocks.read());
        let mut response =
            self.send(needs_instructions).await.map_err(|error| lost_in_sleep(error, &sent, clocks))?;
        let headers = response.headers();
        self.note_headers(headers);
        if self.sticky.is_none() {
            self.sticky = headers.get(TURN_STATE).cloned();
        }
        let status = response.status();
        let request_id = classify::request_id(headers);
        let head = UpstreamEvent::Headers {
            status: status.as_u16(),
            request_id: request_id.clone(),
            took: started.elapsed(),
            connect: connects.since(connected),
        };
        self.listener.on_event(head).await;
        if !status.is_success() {
            return Err(Box::pin(self.inner.backend.http_error(response)).await);
        }
        let mut answer = Answer::default();
        match self.read(&mut response, &mut answer).await {
            Ok(()) => {
                let served_model = classify::text(response.headers(), "openai-model");
                let completed = Completed {
                    text: answer.take_text(),
                    model: served_model.or_else(|| answer.completion.model.take()),
                    usage: answer.completion.usage,
                    request_id,
                    attempts: 1,
                    unparsable_events: answer.unparsable,
                    notes: Vec::new(),
                };
                debug::tell(Tag::Http, || {
                    let took = debug::ms(started.elapsed());
                    format!(
                        "Response body: {} bytes, {} events, whole after {took}",
                        answer.bytes, answer.events
                    )
                });
                tracing::debug!(
                    model = self.request.model, bytes = answer.bytes, events = answer.events,
                    unparsable = answer.unparsable, answer_bytes = completed.text.len(),
                    request_id = completed.request_id, took = ?started.elapsed(), "turn completed"
                );
                Ok(completed)
            }
            Err(error) => {
                let facts = classify::facts(Some(status), response.headers(), b"");
                Err(with_what_came(error, answer, facts))
            }
        }
    }

    async fn send(&self, needs_instructions: bool) -> Result<Response, UpstreamError> {
        let Inner { backend, catalogue, .. } = self.inner;
        let form =
            Form { lite: catalogue.is_lite(&self.grant.account_id, self.request.model), needs_instructions };
        let body = request::body(self.request, form).map_err(not_prepared)?;
        let url = match self.routing.origin.as_deref() {
            None => backend.settings.responses.clone(),
            other => backend.settings.url_at(other, RESPONSES_PATH),
        };
        let mut headers = HeaderMap::with_capacity(MAX_REQUEST_HEADERS);
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let session = HeaderValue::try_from(self.request.session_id).map_err(not_prepared)?;
        headers.insert(&SESSION_ID, session);
        if form.lite {
            let name = HeaderName::from_static("x-openai-internal-codex-responses-lite");
            headers.insert(name, HeaderValue::from_static("true"));
        }
        if let Some(value) = &self.routing.override_value {
            let value = HeaderValue::try_from(value).map_err(not_prepared)?;
            headers.insert(HeaderName::from_static("x-openai-account-routing-override"), value);
        }
        if let Some(state) = &self.sticky {
            headers.insert(HeaderName::from_static(TURN_STATE), state.clone());
        }
        tracing::debug!(model = self.request.model, bytes = body.len(), lite = form.lite, "sending a turn");
        let mut request = backend.request(Method::POST, url, self.grant, headers).map_err(not_prepared)?;
        request.body = body.into();
        backend.send(request, backend.limits.connect + backend.limits.response_head).await
    }

    async fn read(&mut self, response: &mut Response, answer: &mut Answer) -> Result<(), UpstreamError> {
        let inner = self.inner;
        let Backend { limits, clocks, .. } = &inner.backend;
        let idle = limits.stream_idle;
        let mut deadline = Instant::now() + idle;
        let mut silence = Silence::since(clocks.read());
        loop {
            let look = deadline.min(Instant::now() + limits.after_wake);
            let fed = match timeout_at(look, response.chunk()).await {
                Ok(Ok(Some(chunk))) => answer.feed(&chunk),
                Ok(Ok(None)) => answer.finish(),
                Ok(Err(source)) => {
                    let kind = ErrorKind::Interrupted { events: answer.events, bytes: answer.bytes };
                    let error = UpstreamError::new(kind, Retry::Unknown).with_source(source);
                    return Err(lost_in_sleep(error, &silence, clocks));
                }
                Err(_elapsed) if silence.outlasted_a_sleep(&clocks.read()) => {
                    let error = UpstreamError::new(ErrorKind::StreamIdle { after: idle }, Retry::Unknown);
                    return Err(lost_in_sleep(error, &silence, clocks));
                }
                Err(_elapsed) if Instant::now() < deadline => continue,
                Err(_elapsed) => {
                    return Err(UpstreamError::new(ErrorKind::StreamIdle { after: idle }, Retry::Unknown));
                }
            };
            let alive = fed.alive;
            match self.pass_on(fed).await {
                None if alive => {
                    deadline = Instant::now() + idle;
                    silence = Silence::since(clocks.read());
                }
                None => {}
                Some(End::Completed) => {
                    release(response).await;
                    return Ok(());
                }
                Some(End::Failed(kind, retry)) => {
                    // What was generated is paid for; only a person may ask for it again.
                    let spent = answer.generated && retry != Retry::Never;
                    return Err(UpstreamError::new(kind, if spent { Retry::Unknown } else { retry }));
                }
            }
        }
    }

    async fn pass_on(&mut self, fed: Fed) -> Option<End> {
        let news = fed.rate_limits.into_iter().map(RateLimit::from);
        self.inner.rate_limits.update(&self.grant.account_id, news);
        if let Some(etag) = fed.models_etag {
            self.inner.catalogue.note_etag(&self.grant.account_id, &etag);
        }
        if fed.reasoning {
            self.listener.on_event(UpstreamEvent::Reasoning).await;
        }
        if !fed.text.is_empty() {
            self.listener.on_event(UpstreamEvent::TextDelta { text: fed.text }).await;
        }
        fed.end
    }

    fn note_headers(&self, headers: &HeaderMap) {
        self.inner.rate_limits.update(&self.grant.account_id, rate_limits::from_headers(headers));
        if let Some(etag) = headers.get("x-models-etag").and_then(|etag| etag.to_str().ok()) {
            self.inner.catalogue.note_etag(&self.grant.account_id, etag);
        }
    }
}

impl Inner {
    /// Fails fast while a usage limit is known to hold, unless the usage endpoint says that it was lifted.
    async fn refuse_known_limit(&self, grant: &Grant, model: &str) -> Result<(), UpstreamError> {
        while let Some(held) = self.known_limits.in_force(&grant.account_id, model, SystemTime::now()) {
            if !self.known_limits.may_ask(&grant.account_id, Instant::now()) {
                return Err(held.error);
            }
            match Box::pin(self.usage(grant)).await {
                Ok(usage) if usage.lifts(&held.limit_id) => {
                    self.known_limits.lift(&grant.account_id, &held.limit_id);
                }
                Ok(_) => return Err(held.error),
                Err(error) if matches!(error.kind, ErrorKind::Unauthorized { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the usage endpoint could not be asked; the known limit is taken to hold");
                    return Err(held.error);
                }
            }
        }
        Ok(())
    }

    fn needs_instructions(&self, model: &str) -> bool {
        self.instructions_required.lock().contains(model)
    }

    fn remember_needs_instructions(&self, model: &str) {
        let mut models = self.instructions_required.lock();
        if models.len() < MAX_REMEMBERED_MODELS {
            models.insert(model.to_owned());
        }
    }
}

/// How long to wait before retry number `retry`; `None`: the error is the caller's.
fn resend_after(error: &UpstreamError, retry: u32, limits: &Limits) -> Option<Duration> {
    if retry > limits.turn_retries {
        return None;
    }
    match (&error.kind, error.retry) {
        // Its time is for the person to know, not for us to wait.
        (ErrorKind::UsageLimit { .. }, _) => None,
        (_, Retry::Safe) => Some(delay::backoff(retry, limits, delay::random_spread())),
        // A little later than asked, so that many sessions do not come back in the same instant.
        (_, Retry::After(named)) if named <= limits.retry_after_max => {
            Some(named + delay::backoff(1, limits, delay::random_spread()) / 4)
        }
        (_, Retry::After(_) | Retry::Never | Retry::Unknown) => None,
    }
}

/// What broke off, or never answered, over a sleep is told as that.
fn lost_in_sleep(mut error: UpstreamError, silence: &Silence, clocks: &Clocks) -> UpstreamError {
    let broke_off = matches!(
        error.kind,
        ErrorKind::Interrupted { .. } | ErrorKind::StreamIdle { .. } | ErrorKind::Timeout { .. }
    );
    if let (true, Some(slept)) = (broke_off, silence.slept(&clocks.read())) {
        error.kind = ErrorKind::LostInSleep { slept };
    }
    error
}

/// Adds the text so far and the facts of the response.
fn with_what_came(error: UpstreamError, mut answer: Answer, facts: Facts) -> UpstreamError {
    let mut error = error.with_facts(Facts { sample: sample(&answer.head), ..facts });
    if matches!(
        error.kind,
        ErrorKind::Interrupted { .. }
            | ErrorKind::StreamIdle { .. }
            | ErrorKind::LostInSleep { .. }
            | ErrorKind::Failed { .. }
    ) && answer.generated
    {
        // The sample would be the answer's own beginning, which is in `partial_text`.
        error.facts.sample = None;
    }
    let text = answer.take_text();
    error.partial_text = (!text.is_empty()).then(|| text.into_boxed_str());
    error
}

/// Lets an HTTP/1.1 connection return to the pool: its end of body usually lies ready behind the terminal event. What is not
/// there at once is not waited for.
async fn release(response: &mut Response) {
    /// The connection's task needs a few turns to pass the end on.
    const YIELDS: usize = 3;
    for _ in 0..YIELDS {
        tokio::task::yield_now().await;
        match response.chunk().now_or_never() {
            Some(Ok(Some(_))) | None => {}
            Some(Ok(None) | Err(_)) => return,
        }
    }
}

/// For whoever listens. Of what came only the size is told: it may quote the prompt.
fn tell_failure(error: &UpstreamError) {
    if matches!(error.kind, ErrorKind::EmptyAnswer | ErrorKind::Unparsable) {
        debug::tell(Tag::Codex, || "No response from Codex (parse error)");
    }
    debug::tell(Tag::Codex, || {
        let partial = error.partial_text.as_ref().map_or(0, |text| text.len());
        format!(
            "Attempt {} failed: {}, {partial} bytes of an answer came",
            error.attempts,
            error.kind.redacted()
        )
    });
}

fn log_failure(error: &UpstreamError, model: &str, took: Duration) {
    tracing::warn!(
        model,
        status = error.facts.status,
        request_id = error.facts.request_id,
        cf_ray = error.facts.cf_ray,
        retry = ?error.retry,
        attempt = error.attempts,
        partial_bytes = error.partial_text.as_ref().map(|text| text.len()),
        ?took,
        kind = debug::variant(&error.kind),
        "turn failed"
    );
}
