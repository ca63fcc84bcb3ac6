#![cfg_attr(windows, allow(dead_code, reason = "what tests of Unix alone use"))]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::auth::NotRefreshable;
use crate::auth::slot::Holder;
#[cfg(unix)]
use crate::auth::store::StoreError;
use crate::auth::testing::issuer::{FakeIssuer, Reply, Seen};
use crate::auth::testing::{ACCOUNT, access_token, config, credentials, manager, put, put_login, read_json};
#[cfg(unix)]
use crate::auth::testing::{hard_link, remove};
use crate::secret::Secret;

#[cfg(unix)]
mod codex_file;
#[cfg(unix)]
mod crash;
mod disk;
#[cfg(unix)]
mod disk_errors;
mod freshness;
mod house;
#[cfg(unix)]
mod interleavings;
mod place;
mod recover;
mod refresh;
#[cfg(unix)]
mod restart;
mod served;
#[cfg(unix)]
mod torn;
mod trouble;

/// The shipped limits without the waits.
fn quick() -> Limits {
    Limits { reread_pause: Duration::ZERO, refusal_watch: Duration::ZERO, ..Limits::default() }
}

/// A manager over a fake issuer and a file in a directory of its own.
struct Rig {
    home: tempfile::TempDir,
    issuer: FakeIssuer,
    tokens: TokenManager,
    config: AuthConfig,
    limits: Limits,
}

/// A process that will have been killed when somebody looks: no process has this id.
fn killed() -> Seams {
    let nonce = crate::auth::pkce::random_id();
    Seams { holder: Holder { pid: 0, nonce }, ..Seams::default() }
}

impl Rig {
    async fn new(answer: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self::with(quick(), |_| {}, answer).await
    }

    async fn with(
        limits: Limits,
        configure: impl FnOnce(&mut AuthConfig),
        answer: impl FnMut(&Seen) -> Reply + Send + 'static,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let issuer = FakeIssuer::start(answer).await;
        let mut config = config(&issuer.url, home.path().join("auth.json"));
        configure(&mut config);
        let tokens = manager(config.clone(), limits.clone(), TaskTracker::new(), killed());
        Self { home, issuer, tokens, config, limits }
    }

    /// What a new process would find. The old one's tasks may hang, but its process counts as dead.
    fn restart(&self) -> TokenManager {
        manager(self.config.clone(), self.limits.clone(), TaskTracker::new(), killed())
    }

    /// Renews the login, to the end of it.
    async fn renewed(&self) -> Grant {
        let grant = self.tokens.grant().await.unwrap();
        self.tokens.refresh_ended().await;
        grant
    }

    fn slot(&self) -> PathBuf {
        self.config.file.with_file_name(".auth.json.refresh")
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    /// A login at the fake issuer whose access token ends in so many seconds.
    fn login(&self, seconds_left: i64) -> Credentials {
        login_at(&self.issuer.url, seconds_left, "old", "rt_old")
    }

    fn sign_in(&self, seconds_left: i64) {
        put_login(&self.file(), &self.login(seconds_left));
    }

    fn record(&self) -> Value {
        read_json(&self.file())["openai_codex"].clone()
    }
}

fn login_at(url: &str, seconds_left: i64, jti: &str, refresh_token: &str) -> Credentials {
    let mut login = credentials("", refresh_token);
    login.access_token = access_token(seconds_left, jti);
    login.expires_at = crate::auth::claims::Claims::of(&login.access_token).expires_at;
    let bound = &mut login.own.as_mut().unwrap().bound;
    (bound.issuer, bound.backend_origin) = (url.to_owned(), url.to_owned());
    login
}

/// A new pair, `number` in its names.
fn pair(number: usize) -> String {
    json!({
        "access_token": access_token(86_400, &format!("new-{number}")).expose(),
        "refresh_token": format!("rt_new_{number}"),
        "id_token": access_token(86_400, "id").expose(),
    })
    .to_string()
}

/// Answers each request with the next pair.
fn pairs() -> impl FnMut(&Seen) -> Reply {
    let mut number = 0;
    move |_| {
        number += 1;
        Reply::Now(200, pair(number))
    }
}

fn refused(_: &Seen) -> Reply {
    Reply::Now(401, json!({"error": {"code": "refresh_token_reused", "message": "used"}}).to_string())
}

fn unavailable(_: &Seen) -> Reply {
    Reply::Now(503, "busy".to_owned())
}
