//! The model list of each account, kept fresh: asked for again after `Limits::models_fresh`, with its `ETag`, or as soon as a
//! response names another one (WIRE §9.5). A list that cannot be renewed is better than none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use tokio::time::Instant;

use super::client::{Backend, Reply};
use super::error::{ErrorKind, Facts, Retry, UpstreamError, sample};
use super::models::Models;
use crate::grant::Grant;

/// The real list is 750 kB, nearly all of it prompts.
const MAX_MODELS_BYTES: usize = 8 * 1024 * 1024;

/// After a failed renewal the old list is used for this long before the next try.
const RENEW_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Accounts whose list is kept.
const MAX_ACCOUNTS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Catalogue {
    lists: Mutex<BTreeMap<String, List>>,
    /// Sessions that start together ask once.
    one_at_a_time: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct List {
    models: Arc<Models>,
    etag: Option<HeaderValue>,
    /// `None`: now.
    renew_at: Option<Instant>,
}

impl Catalogue {
    /// The account's list, asked for only when it is not fresh.
    pub(super) async fn get(&self, backend: &Backend, grant: &Grant) -> Result<Arc<Models>, UpstreamError> {
        if let Some(fresh) = self.fresh(&grant.account_id) {
            return Ok(fresh);
        }
        // Boxed, so that a turn's future has no room for what it rarely does.
        Box::pin(self.renewed(backend, grant)).await
    }

    async fn renewed(&self, backend: &Backend, grant: &Grant) -> Result<Arc<Models>, UpstreamError> {
        let _turn = self.one_at_a_time.lock().await;
        if let Some(fresh) = self.fresh(&grant.account_id) {
            return Ok(fresh);
        }
        let known = self.known(&grant.account_id);
        let etag = known.as_ref().and_then(|(_, etag)| etag.clone());
        match (ask(backend, grant, etag).await, known) {
            (Ok(Some((models, etag))), _) | (Ok(None), Some((models, etag))) => {
                Ok(self.keep(backend, grant, models, etag))
            }
            (Ok(None), None) => Err(unexpected_not_modified()),
            // A refused token is the service's business, whatever we have.
            (Err(error), Some((models, _))) if !matches!(error.kind, ErrorKind::Unauthorized { .. }) => {
                tracing::warn!(%error, "the model list could not be renewed; the last one is used");
                self.renew(&grant.account_id, Some(Instant::now() + RENEW_AGAIN_AFTER));
                Ok(models)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Whether the model speaks Responses Lite, by the last list, fresh or not.
    pub(super) fn is_lite(&self, account_id: &str, model: &str) -> bool {
        self.known(account_id)
            .and_then(|(models, _)| models.find(model).map(|model| model.lite))
            .unwrap_or(false)
    }

    /// A response has named `etag` as the current one.
    pub(super) fn note_etag(&self, account_id: &str, etag: &str) {
        let known = self.known(account_id).and_then(|(_, etag)| etag);
        if known.is_some_and(|known| known.as_bytes() != etag.as_bytes()) {
            self.renew(account_id, None);
        }
    }

    fn fresh(&self, account_id: &str) -> Option<Arc<Models>> {
        let is_fresh = |list: &&List| list.renew_at.is_some_and(|at| at > Instant::now());
        self.lists.lock().get(account_id).filter(is_fresh).map(|list| Arc::clone(&list.models))
    }

    fn known(&self, account_id: &str) -> Option<(Arc<Models>, Option<HeaderValue>)> {
        self.lists.lock().get(account_id).map(|list| (Arc::clone(&list.models), list.etag.clone()))
    }

    fn renew(&self, account_id: &str, at: Option<Instant>) {
        if let Some(list) = self.lists.lock().get_mut(account_id) {
            list.renew_at = at;
        }
    }

    fn keep(
        &self,
        backend: &Backend,
        grant: &Grant,
        models: Arc<Models>,
        etag: Option<HeaderValue>,
    ) -> Arc<Models> {
        let mut lists = self.lists.lock();
        if lists.len() < MAX_ACCOUNTS || lists.contains_key(&grant.account_id) {
            let renew_at = Some(Instant::now() + backend.limits.models_fresh);
            let list = List { models: Arc::clone(&models), etag, renew_at };
            lists.insert(grant.account_id.clone(), list);
        }
        models
    }
}

type Fetched = (Arc<Models>, Option<HeaderValue>);

/// `None`: not modified.
async fn ask(
    backend: &Backend,
    grant: &Grant,
    etag: Option<HeaderValue>,
) -> Result<Option<Fetched>, UpstreamError> {
    let mut url = backend.settings.url("codex/models");
    url.query_pairs_mut().append_pair("client_version", &backend.settings.client_version);
    let extra: HeaderMap = etag.into_iter().map(|etag| (IF_NONE_MATCH, etag)).collect();
    let Reply { status, headers, body } = backend.get(url, grant, extra, MAX_MODELS_BYTES).await?;
    if status == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let models = Models::parse(&body).map_err(|source| {
        let facts = Facts { status: Some(status.as_u16()), sample: sample(&body), ..Facts::default() };
        UpstreamError::new(ErrorKind::Unparsable, Retry::Never).with_facts(facts).with_source(source)
    })?;
    Ok(Some((Arc::new(models), headers.get(ETAG).cloned())))
}

/// 304 although no `If-None-Match` was sent.
fn unexpected_not_modified() -> UpstreamError {
    let facts = Facts { status: Some(304), ..Facts::default() };
    UpstreamError::new(ErrorKind::UnexpectedStatus { message: "HTTP 304".into() }, Retry::Safe)
        .with_facts(facts)
}
