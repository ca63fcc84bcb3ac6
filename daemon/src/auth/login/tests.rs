use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;
use crate::auth::seams::Seams;
use crate::auth::testing::issuer::{FakeIssuer, Reply, Seen};
use crate::auth::testing::{ACCOUNT, access_token, config, credentials, manager, put_login, read_json};
#[cfg(unix)]
use crate::auth::testing::{hard_link, put};
use crate::auth::{AuthConfig, TokenManager};

mod proof;
mod ways;

struct Rig {
    home: tempfile::TempDir,
    issuer: FakeIssuer,
    tokens: TokenManager,
}

impl Rig {
    async fn new(answer: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self::with(Limits::default(), |_| {}, answer).await
    }

    async fn with(
        limits: Limits,
        configure: impl FnOnce(&mut AuthConfig),
        answer: impl FnMut(&Seen) -> Reply + Send + 'static,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let issuer = FakeIssuer::start(answer).await;
        let mut config = config(&issuer.url, home.path().join(".claude/auth.json"));
        configure(&mut config);
        let tokens = manager(config, limits, TaskTracker::new(), Seams::default());
        Self { home, issuer, tokens }
    }

    async fn start(&self) -> Result<PendingLogin, AuthError> {
        self.tokens.login_start(prover(|| Proof::Proven)).await
    }

    fn file(&self) -> std::path::PathBuf {
        self.home.path().join(".claude/auth.json")
    }

    /// Why the login failed.
    async fn failure(&self) -> LoginError {
        match self.end().await {
            LoginState::Failed { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn end(&self) -> LoginState {
        let mut logins = self.tokens.logins();
        let ended = |state: &LoginState| !matches!(state, LoginState::Pending(_) | LoginState::Idle);
        logins.wait_for(ended).await.unwrap().clone()
    }
}

fn prover(proof: impl Fn() -> Proof + Send + Sync + 'static) -> Prover {
    Arc::new(move |_grant| Box::pin(std::future::ready(proof())))
}

fn tokens() -> String {
    json!({
        "access_token": access_token(86_400, "access").expose(),
        "id_token": access_token(86_400, "id").expose(),
        "refresh_token": "rt_FAKE",
    })
    .to_string()
}

fn field(url: &str, name: &str) -> String {
    let query = url.split_once('?').unwrap().1;
    form::decode(query).find(|(found, _)| found == name).unwrap().1
}

async fn browse(port: u16, query: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let request = format!("GET /auth/callback?{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn approve(pending: &PendingLogin) -> String {
    let state = field(&pending.authorize_url, "state");
    browse(pending.redirect_port.unwrap(), &format!("code=ac_FAKE&state={state}")).await
}

#[tokio::test]
async fn the_link_is_that_of_the_wire_in_its_order() {
    let rig = Rig::new(|_| Reply::Never).await;
    let pending = rig.start().await.unwrap();
    let (challenge, state) =
        (field(&pending.authorize_url, "code_challenge"), field(&pending.authorize_url, "state"));
    assert_eq!((challenge.len(), state.len()), (43, 43));
    assert_eq!(
        pending.authorize_url,
        format!(
            "{}/oauth/authorize?response_type=code&client_id=app_TEST\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A{}%2Fauth%2Fcallback&code_challenge={challenge}\
             &code_challenge_method=S256&state={state}&scope=openid+profile+email+offline_access\
             &id_token_add_organizations=true&codex_cli_simplified_flow=true&originator=codex_oauth",
            rig.issuer.url,
            pending.redirect_port.unwrap()
        )
    );
}

#[tokio::test]
async fn a_person_signs_in_and_the_login_is_on_disk_and_usable() {
    let rig = Rig::new(|_| Reply::Now(200, tokens())).await;
    let pending = rig.start().await.unwrap();
    let page = approve(&pending).await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("ada@example.com"), "{page}");
    for secret in ["rt_FAKE", "ac_FAKE", "eyJ", &field(&pending.authorize_url, "state")] {
        assert!(!page.contains(secret), "{secret} in {page}");
    }
    match rig.end().await {
        LoginState::Succeeded { login_id, who } => {
            assert_eq!(login_id, pending.login_id);
            assert_eq!((who.email.as_deref(), who.plan.as_deref()), (Some("ada@example.com"), Some("plus")));
            assert_eq!(who.account_id, ACCOUNT);
        }
        other => panic!("{other:?}"),
    }
    let record = &read_json(&rig.file())["openai_codex"];
    assert_eq!(record["grant"]["refresh_token"], "rt_FAKE");
    assert_eq!(record["grant"]["issuer"], rig.issuer.url);
    assert_eq!(record["grant"]["client_id"], "app_TEST");
    assert!(record["grant"]["obtained_at"].is_u64() && record["grant"]["last_refresh"].is_null());
    assert_eq!(record["grant"]["machine"].as_str().unwrap().len(), 32);
    assert_eq!(rig.tokens.grant().await.unwrap().access_token, access_token(86_400, "access"));

    let exchange = &rig.issuer.seen()[0];
    let sent: Vec<_> = form::decode(&exchange.body).map(|(name, _)| name).collect();
    assert_eq!(sent, ["grant_type", "client_id", "code", "redirect_uri", "code_verifier"]);
    Listeners::bind(&[pending.redirect_port.unwrap()]).unwrap();
}

#[tokio::test]
async fn whoever_asks_while_a_login_waits_gets_the_same_link() {
    let rig = Rig::new(|_| Reply::Never).await;
    let first = rig.start().await.unwrap();
    assert_eq!(rig.start().await.unwrap(), first);
    rig.tokens.login_cancel(&first.login_id).await.unwrap();
    assert_ne!(rig.start().await.unwrap().login_id, first.login_id);
}

#[tokio::test]
async fn a_hundred_wrong_states_do_not_end_a_login() {
    let rig = Rig::new(|_| Reply::Now(200, tokens())).await;
    let pending = rig.start().await.unwrap();
    for number in 0..100 {
        let answer = browse(pending.redirect_port.unwrap(), &format!("code=x&state=wrong{number}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    approve(&pending).await;
    assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn the_old_login_is_in_force_until_the_new_one_is_written() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let rig = Rig::new(move |_| Reply::When(Arc::clone(&held), 200, tokens())).await;
    std::fs::create_dir(rig.file().parent().unwrap()).unwrap();
    let mut old = credentials("old-access", "rt_old");
    let bound = &mut old.own.as_mut().unwrap().bound;
    (bound.issuer, bound.backend_origin) = (rig.issuer.url.clone(), rig.issuer.url.clone());
    put_login(&rig.file(), &old);
    let pending = rig.start().await.unwrap();
    let before = async {
        rig.issuer.reached(1).await;
        assert_eq!(rig.tokens.grant().await.unwrap().access_token.expose(), "old-access");
        gate.notify_one();
    };
    tokio::join!(approve(&pending), before);
    rig.end().await;
    assert_eq!(rig.tokens.grant().await.unwrap().access_token, access_token(86_400, "access"));
    let keys: Vec<_> = read_json(&rig.file()).as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["zed", "openai_codex", "alpha", "beta"]);
}

#[tokio::test]
async fn a_denial_ends_the_login_with_its_reason() {
    let rig = Rig::new(|_| Reply::Never).await;
    let pending = rig.start().await.unwrap();
    let state = field(&pending.authorize_url, "state");
    let query = format!("error=access_denied&error_description=%3Cb%3Eno%3C%2Fb%3E&state={state}");
    let page = browse(pending.redirect_port.unwrap(), &query).await;
    assert!(page.contains("&lt;b&gt;no&lt;/b&gt; (access_denied)"), "{page}");
    match rig.failure().await {
        LoginError::Denied(denial) => assert_eq!(denial.error, "access_denied"),
        other => panic!("{other:?}"),
    }
    assert!(!rig.file().exists() && rig.issuer.seen().is_empty());
}

#[tokio::test]
async fn a_refused_code_ends_the_login_with_the_words_of_the_issuer() {
    let body = json!({"error": "invalid_grant", "error_description": "code is old"}).to_string();
    let rig = Rig::new(move |_| Reply::Now(400, body.clone())).await;
    let pending = rig.start().await.unwrap();
    let page = approve(&pending).await;
    assert!(page.contains("code is old") && page.contains("Not signed in"), "{page}");
    assert!(matches!(rig.failure().await, LoginError::Exchange(_)));
    assert!(!rig.file().exists());
}

#[tokio::test]
async fn tokens_without_an_account_are_no_login() {
    let body =
        json!({"access_token": "opaque", "id_token": "opaque", "refresh_token": "rt_FAKE"}).to_string();
    let rig = Rig::new(move |_| Reply::Now(200, body.clone())).await;
    let pending = rig.start().await.unwrap();
    approve(&pending).await;
    assert!(matches!(rig.failure().await, LoginError::NoAccount));
    assert!(!rig.file().exists());
}

#[tokio::test]
async fn a_login_ends_when_its_time_is_over_and_frees_its_port() {
    let limits = Limits { login: Duration::from_millis(20), ..Limits::default() };
    let rig = Rig::with(limits, |_| {}, |_| Reply::Never).await;
    let pending = rig.start().await.unwrap();
    assert!(matches!(rig.failure().await, LoginError::TimedOut));
    Listeners::bind(&[pending.redirect_port.unwrap()]).unwrap();
}

#[tokio::test]
async fn a_cancelled_login_frees_its_port_also_during_the_exchange() {
    let rig = Rig::new(|_| Reply::Never).await;
    let pending = rig.start().await.unwrap();
    let cancel = async {
        rig.issuer.reached(1).await;
        rig.tokens.login_cancel(&pending.login_id).await.unwrap();
        Listeners::bind(&[pending.redirect_port.unwrap()]).unwrap();
    };
    let (page, ()) = tokio::join!(approve(&pending), cancel);
    assert!(page.contains("the login was cancelled"), "{page}");
    assert!(matches!(rig.failure().await, LoginError::Cancelled));
    for id in [pending.login_id.as_str(), "never-started"] {
        assert!(matches!(rig.tokens.login_cancel(id).await, Err(AuthError::NoSuchLogin { .. })));
    }
}

#[tokio::test]
async fn a_logout_ends_a_pending_login() {
    let rig = Rig::new(|_| Reply::Never).await;
    rig.start().await.unwrap();
    rig.tokens.logout().await.unwrap();
    assert!(matches!(rig.failure().await, LoginError::Cancelled));
}

#[tokio::test]
async fn a_login_that_is_given_up_ends_and_no_other_is_started() {
    let rig = Rig::new(|_| Reply::Never).await;
    rig.start().await.unwrap();
    rig.tokens.release().await;
    assert!(matches!(rig.failure().await, LoginError::Cancelled));
    assert!(matches!(rig.start().await, Err(AuthError::Closed)));
}

#[cfg(unix)]
#[tokio::test]
async fn a_login_is_refused_when_its_result_could_not_be_written() {
    let limits = Limits { reread_pause: Duration::ZERO, ..Limits::default() };
    let rig = Rig::with(limits, |_| {}, |_| Reply::Never).await;
    std::fs::create_dir(rig.file().parent().unwrap()).unwrap();
    put(&rig.file(), "{}");
    hard_link(&rig.file());
    assert!(matches!(rig.start().await, Err(AuthError::Store(_))));
    assert!(matches!(*rig.tokens.logins().borrow(), LoginState::Idle));
}
