//! Turns against real sockets: a tiny responder that writes scripted bytes, cuts, or falls silent.

mod http2;
mod limits;
mod server;
mod side;
mod stream;
mod turns;

use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::network::Network;
use crate::secret::Secret;
use server::Server;

const ACCOUNT: &str = "11111111-2222-4333-8444-555555555555";
const TOKEN: &str = "FAKE-access-token-never-print";
const PROMPT: &str = "FAKE prompt never print";

/// Waits that a test can afford, long enough for a busy machine.
fn short_limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        response_head: Duration::from_secs(20),
        stream_idle: Duration::from_secs(20),
        backoff_first: Duration::from_millis(1),
        backoff_max: Duration::from_millis(2),
        turn_retries: 2,
        ..Limits::default()
    }
}

fn upstream_at(backend: String, limits: Limits) -> Upstream {
    Upstream::new(config(backend), limits).expect("a usable configuration")
}

fn config(backend: String) -> UpstreamConfig {
    UpstreamConfig {
        backend,
        originator: "codex_oauth".into(),
        user_agent: "codex-oauth/0.1.0".into(),
        client_version: "0.169.0".into(),
        network: Network::default(),
    }
}

fn upstream(server: &Server) -> Upstream {
    upstream_at(server.url(), short_limits())
}

fn grant() -> Grant {
    Grant { access_token: Secret::new(TOKEN), account_id: ACCOUNT.into(), expires_at: None }
}

fn renewed_grant() -> Grant {
    Grant { access_token: Secret::new("FAKE-renewed"), ..grant() }
}

fn request() -> ResponsesRequest<'static> {
    ResponsesRequest {
        model: "gpt-5.5",
        instructions: None,
        input: &[InputMessage { role: Role::User, text: PROMPT }],
        effort: Some("low"),
        verbosity: None,
        session_id: "session-1",
    }
}

impl OnEvent for mpsc::Sender<UpstreamEvent> {
    async fn on_event(&mut self, event: UpstreamEvent) {
        let _nobody_listens = self.send(event).await;
    }
}

/// Runs a turn and returns its events with its outcome.
async fn respond(upstream: &Upstream) -> (Result<Completed, UpstreamError>, Vec<UpstreamEvent>) {
    respond_as(upstream, &grant()).await
}

async fn respond_as(
    upstream: &Upstream,
    grant: &Grant,
) -> (Result<Completed, UpstreamError>, Vec<UpstreamEvent>) {
    let (mut sender, mut receiver) = mpsc::channel(1);
    let request = request();
    let collect = async {
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        events
    };
    let run = async move { upstream.respond(grant, &request, &mut sender).await };
    tokio::join!(run, collect)
}
