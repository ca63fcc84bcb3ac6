//! From a request to an answer: which endpoint, which script, which handler, and all the waiting.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::Value;

use crate::journal::Outcome;
use crate::received::Received;
use crate::reply::{Content, Recorder, Reply, ReplyBody, response};
use crate::script::{Action, Effect, Endpoint, Pace, StreamFault};
use crate::server::Peer;
use crate::shared::Shared;
use crate::{admin, backend, issuer, sse};

/// Answers one request. A script that closes the connection does so through the peer's kill switch, so this then
/// never returns.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let received = match Received::read(peer, request).await {
        Ok(received) => received,
        Err(error) => {
            let reply = Reply::json(413, serde_json::json!({"detail": error.to_string()}));
            return Ok(whole(&reply));
        }
    };
    if let Some(path) = received.path.strip_prefix("/__admin/") {
        return Ok(whole(&admin::handle(&shared, &received, path)));
    }
    let endpoint = endpoint_of(&received);
    shared.tokens.lock().receive(&received);
    let entry = received.entry(endpoint, &shared.tokens.lock());
    let recorder = Recorder::new(Arc::clone(&shared), shared.journal.push(entry));
    let effect = shared.next_effect(endpoint);
    Ok(follow(shared, received, endpoint, effect, recorder).await)
}

async fn follow(
    shared: Arc<Shared>,
    received: Received,
    endpoint: Endpoint,
    effect: Effect,
    mut recorder: Recorder,
) -> Response<ReplyBody> {
    let Effect { hold, latency_ms, action, hold_answer } = effect;
    if let Some(gate) = hold {
        shared.pass(&gate).await;
    }
    wait(Duration::from_millis(latency_ms.saturating_add(shared.behaviour().latency_ms))).await;
    let mut reply = match &action {
        Action::Hang => pending().await,
        Action::Close => return close(&received.peer, recorder).await,
        Action::Respond { status, headers, body } => scripted(*status, headers, body),
        _ => handle(&shared, &received, endpoint),
    };
    if is_backend(endpoint) {
        reply = backend::stamp(reply);
    }
    if let Action::OmitFields { fields } = &action {
        omit(&mut reply, fields);
    }
    wait(reply.delay).await;
    if let Some(gate) = hold_answer {
        shared.pass(&gate).await;
    }
    if action == Action::LoseAnswer {
        recorder.status(reply.status, reply.note.take());
        return close(&received.peer, recorder).await;
    }
    recorder.status(reply.status, reply.note.take());
    let Content::Events(answer) = reply.content else {
        recorder.end(Outcome::Complete);
        return whole(&reply);
    };
    let (fault, pace) = stream_parts(action);
    let body = ReplyBody::stream(recorder, |pieces| sse::produce(shared, *answer, fault, pace, pieces));
    response(reply.status, &reply.headers, body)
}

fn handle(shared: &Shared, received: &Received, endpoint: Endpoint) -> Reply {
    match endpoint {
        Endpoint::Authorize
        | Endpoint::CodeExchange
        | Endpoint::ApiKeyExchange
        | Endpoint::Refresh
        | Endpoint::TokenOther
        | Endpoint::Revoke
        | Endpoint::DeviceUserCode
        | Endpoint::DevicePoll
        | Endpoint::DevicePage => issuer::handle(shared, received, endpoint),
        _ if is_backend(endpoint) => backend::handle(shared, received, endpoint),
        _ => Reply::not_found(),
    }
}

fn is_backend(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::AccountsCheck
            | Endpoint::Models
            | Endpoint::Responses
            | Endpoint::ResponsesUpgrade
            | Endpoint::Usage
    )
}

fn endpoint_of(received: &Received) -> Endpoint {
    let get = received.method == Method::GET;
    let post = received.method == Method::POST;
    // Both path styles of WIRE §1.
    let backend =
        received.path.strip_prefix("/backend-api/").map(|path| path.strip_prefix("wham/").unwrap_or(path));
    let path = backend.or_else(|| received.path.strip_prefix("/api/codex/")).unwrap_or(&received.path);
    let old_style = received.path.starts_with("/api/codex/");
    match path {
        "/oauth/authorize" if get || post => Endpoint::Authorize,
        "/oauth/token" if post => issuer::grant_of(received),
        "/oauth/revoke" if post => Endpoint::Revoke,
        "/api/accounts/deviceauth/usercode" if post => Endpoint::DeviceUserCode,
        "/api/accounts/deviceauth/token" if post => Endpoint::DevicePoll,
        "/codex/device" if get || post => Endpoint::DevicePage,
        "/deviceauth/callback" if get => Endpoint::DevicePage,
        "accounts/check" if get => Endpoint::AccountsCheck,
        "usage" if get => Endpoint::Usage,
        "codex/models" if get => Endpoint::Models,
        "models" if get && old_style => Endpoint::Models,
        "codex/responses" if post => Endpoint::Responses,
        "responses" if post && old_style => Endpoint::Responses,
        "codex/responses" => Endpoint::ResponsesUpgrade,
        "responses" if old_style => Endpoint::ResponsesUpgrade,
        _ => Endpoint::Other,
    }
}

fn scripted(status: u16, headers: &[(String, String)], body: &Value) -> Reply {
    let reply = match body {
        Value::Null => Reply::empty(status),
        Value::String(text) => Reply::text(status, text.clone()),
        other => Reply::json(status, other.clone()),
    };
    headers.iter().fold(reply, |reply, (name, value)| reply.header(name, value.clone()))
}

fn omit(reply: &mut Reply, fields: &[String]) {
    if let Content::Json(Value::Object(body)) = &mut reply.content {
        body.retain(|name, _| !fields.contains(name));
    }
}

fn stream_parts(action: Action) -> (StreamFault, Option<Pace>) {
    match action {
        Action::Stream { fault, pace } => (fault, pace),
        _ => (StreamFault::None, None),
    }
}

fn whole(reply: &Reply) -> Response<ReplyBody> {
    let bytes = match &reply.content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Json(value) => value.to_string().into(),
        Content::Events(_) => Bytes::new(),
    };
    response(reply.status, &reply.headers, ReplyBody::Whole(Some(bytes)))
}

async fn close(peer: &Peer, mut recorder: Recorder) -> Response<ReplyBody> {
    recorder.end(Outcome::CutByScript);
    peer.kill.notify_one();
    pending().await
}

async fn wait(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
