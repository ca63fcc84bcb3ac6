//! An issuer without a connection, so that a test can pause the clock: either a closure, or a strict one that rotates
//! refresh tokens, knows families and punishes reuse (WIRE §5.7).

#![cfg_attr(windows, allow(dead_code, reason = "what tests of Unix alone use"))]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::access_token;
use crate::auth::issuer::IssuerError;
use crate::network::{Cause, Network};

type Answer = BoxFuture<'static, Result<(u16, String), IssuerError>>;

/// Answers requests: path, JSON body and time limit to status and body.
#[derive(Clone)]
pub(in crate::auth) struct InMemory(Arc<dyn Fn(String, Value, Duration) -> Answer + Send + Sync>);

/// The strict one.
#[derive(Clone, Debug, Default)]
pub(in crate::auth) struct Strict(Arc<Mutex<Ledger>>);

#[derive(Debug, Default)]
struct Ledger {
    /// The family of each live token.
    live: BTreeMap<String, u32>,
    /// The family of each spent one.
    spent: BTreeMap<String, u32>,
    /// How often each token came.
    posts: BTreeMap<String, usize>,
    issued: BTreeMap<u32, u32>,
    reused: Vec<String>,
    /// How long the access tokens are good for from the start of the test process, in seconds.
    life: i64,
    latency: Duration,
}

impl InMemory {
    pub(in crate::auth) fn new(
        answer: impl Fn(String, Value, Duration) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(answer))
    }

    /// What the daemon would have sent, and what it gets.
    pub(in crate::auth) async fn answer(
        &self,
        timeout: Duration,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<(u16, String), IssuerError> {
        static CLIENT: LazyLock<Client> =
            LazyLock::new(|| Network::default().client(|builder| builder).unwrap());
        let request = request(&CLIENT).build().unwrap();
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        (self.0)(request.url().path().to_owned(), body, timeout).await
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InMemory")
    }
}

/// What a client makes of an issuer that says nothing.
pub(in crate::auth) fn no_answer() -> IssuerError {
    IssuerError::Broken(Cause::of(&std::io::Error::from(std::io::ErrorKind::TimedOut)))
}

impl Strict {
    /// Access tokens last `life` seconds, counted from the start of the test process; an answer takes `latency`.
    pub(in crate::auth) fn new(life: i64, latency: Duration) -> Self {
        Self(Arc::new(Mutex::new(Ledger { life, latency, ..Ledger::default() })))
    }

    /// A first token of a family: what a login gets.
    pub(in crate::auth) fn grant(&self, family: u32) -> String {
        let mut ledger = self.0.lock();
        let token = format!("rt_{family}_0");
        ledger.live.insert(token.clone(), family);
        token
    }

    /// Changes how long access tokens last.
    pub(in crate::auth) fn set_life(&self, life: i64) {
        self.0.lock().life = life;
    }

    /// Spends `token` as a request would.
    #[allow(clippy::significant_drop_tightening, reason = "one request at a time")]
    pub(in crate::auth) fn refresh(&self, token: &str) -> (u16, String) {
        let mut ledger = self.0.lock();
        *ledger.posts.entry(token.to_owned()).or_default() += 1;
        if let Some(family) = ledger.spent.get(token).copied() {
            ledger.reused.push(token.to_owned());
            ledger.live.retain(|_, theirs| *theirs != family);
            let error = json!({"error": {"code": "refresh_token_reused", "message": "used"}});
            return (401, error.to_string());
        }
        let Some(family) = ledger.live.remove(token) else {
            return (401, json!({"error": {"code": "refresh_token_invalidated"}}).to_string());
        };
        ledger.spent.insert(token.to_owned(), family);
        let count = ledger.issued.entry(family).or_default();
        *count += 1;
        let next = format!("rt_{family}_{count}");
        ledger.live.insert(next.clone(), family);
        let access = access_token(ledger.life, &next);
        (200, json!({"access_token": access.expose(), "refresh_token": next}).to_string())
    }

    /// Tokens that came after they were spent.
    pub(in crate::auth) fn reused(&self) -> Vec<String> {
        self.0.lock().reused.clone()
    }

    /// How often each token came.
    pub(in crate::auth) fn posts(&self) -> BTreeMap<String, usize> {
        self.0.lock().posts.clone()
    }

    /// Whether `token` would be renewed.
    pub(in crate::auth) fn is_live(&self, token: &str) -> bool {
        self.0.lock().live.contains_key(token)
    }

    /// The issuer as the daemon meets it. `committed` is called when a token has been spent, before the answer goes out.
    pub(in crate::auth) fn in_memory(
        &self,
        committed: impl Fn() + Send + Sync + Clone + 'static,
    ) -> InMemory {
        let this = self.clone();
        InMemory::new(move |path, body, _| {
            let (this, committed) = (this.clone(), committed.clone());
            Box::pin(async move {
                let latency = this.0.lock().latency;
                tokio::time::sleep(latency / 2).await;
                let answer = if path == "/oauth/revoke" {
                    this.0.lock().live.remove(body["token"].as_str().unwrap_or_default());
                    (200, String::new())
                } else {
                    let answer = this.refresh(body["refresh_token"].as_str().unwrap_or_default());
                    committed();
                    answer
                };
                tokio::time::sleep(latency / 2).await;
                Ok(answer)
            })
        })
    }
}
