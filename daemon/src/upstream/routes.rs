//! The route of each account, asked for once per grant: before the first turn and after each refresh (WIRE §6). A failure
//! does not stop a turn: the route known from before stays, else the configured backend is used.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::client::Backend;
use super::error::{ErrorKind, Facts, Retry, UpstreamError, sample};
use super::routing::Routing;
use crate::grant::Grant;
use crate::secret::Secret;

/// A few hundred bytes per workspace.
const MAX_CHECK_BYTES: usize = 1024 * 1024;

/// After a failure, turns go on without asking again for this long: a dead endpoint must not slow each of them down.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Accounts whose route is kept.
const MAX_ACCOUNTS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Routes {
    known: Mutex<BTreeMap<String, Known>>,
    /// Sessions that start together ask once.
    one_at_a_time: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Known {
    /// The token that was asked with last.
    asked_with: Secret,
    /// The last good route, maybe of an earlier grant.
    routing: Option<Routing>,
    /// When that question failed.
    failed_at: Option<Instant>,
}

impl Routes {
    /// The account's route, asked for unless this grant has it.
    pub(super) async fn check(&self, backend: &Backend, grant: &Grant) -> Result<Routing, UpstreamError> {
        let _turn = self.one_at_a_time.lock().await;
        let before = self.known.lock().get(&grant.account_id).cloned();
        if let Some(Known { asked_with, routing: Some(routing), failed_at: None }) = &before
            && *asked_with == grant.access_token
        {
            return Ok(routing.clone());
        }
        let outcome = ask(backend, grant).await;
        let routing = outcome.as_ref().ok().cloned().or_else(|| before?.routing);
        let failed_at = outcome.is_err().then(Instant::now);
        let mut known = self.known.lock();
        if known.len() < MAX_ACCOUNTS || known.contains_key(&grant.account_id) {
            let asked_with = grant.access_token.clone();
            known.insert(grant.account_id.clone(), Known { asked_with, routing, failed_at });
        }
        outcome
    }

    /// The route for a turn, and what to tell the person when it could not be asked for.
    pub(super) async fn for_turn(&self, backend: &Backend, grant: &Grant) -> (Routing, Option<String>) {
        if let Some(settled) = self.settled(grant) {
            return (settled, None);
        }
        match Box::pin(self.check(backend, grant)).await {
            Ok(routing) => (routing, None),
            Err(error) => {
                tracing::warn!(%error, request_id = error.facts.request_id, "the workspace routing could not be checked");
                let known = self.known.lock().get(&grant.account_id).and_then(|known| known.routing.clone());
                let instead = if known.is_some() { "the last known route" } else { "the configured backend" };
                let note = format!("workspace routing could not be checked ({error}); {instead} is used");
                (known.unwrap_or_default(), Some(note))
            }
        }
    }

    /// A good answer for this grant, or a failure so recent that asking again would only cost time.
    fn settled(&self, grant: &Grant) -> Option<Routing> {
        let known = self.known.lock().get(&grant.account_id).cloned()?;
        let is_due = known.failed_at.is_some_and(|failed_at| failed_at.elapsed() >= ASK_AGAIN_AFTER);
        (known.asked_with == grant.access_token && !is_due).then(|| known.routing.unwrap_or_default())
    }
}

pub(super) async fn ask(backend: &Backend, grant: &Grant) -> Result<Routing, UpstreamError> {
    let url = backend.settings.url("wham/accounts/check");
    let reply = backend.get(url, grant, HeaderMap::new(), MAX_CHECK_BYTES).await?;
    Routing::parse(&reply.body, &grant.account_id, &backend.settings.backend).map_err(|problem| {
        let facts =
            Facts { status: Some(reply.status.as_u16()), sample: sample(&reply.body), ..Facts::default() };
        UpstreamError::new(ErrorKind::Routing(problem), Retry::Never).with_facts(facts)
    })
}
