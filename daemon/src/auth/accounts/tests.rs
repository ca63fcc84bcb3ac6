use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::auth::config::Workspaces;
use crate::auth::credentials::Credentials;
use crate::auth::record;
#[cfg(unix)]
use crate::auth::testing::hard_link;
use crate::auth::testing::issuer::{FakeIssuer, Reply};
use crate::auth::testing::memory::Strict;
use crate::auth::testing::{ACCOUNT, access_token, config, credentials, put, read_json};
use crate::codex_locks::FileLock;
use crate::secret::Secret;

/// Accounts over a fake issuer that gives a new pair for each token.
struct Rig {
    home: tempfile::TempDir,
    issuer: FakeIssuer,
    accounts: Accounts,
}

impl Rig {
    async fn new() -> Self {
        let mut number = 0;
        let issuer = FakeIssuer::start(move |_| {
            number += 1;
            let pair = json!({
                "access_token": access_token(864_000, &format!("new-{number}")).expose(),
                "refresh_token": format!("rt_new_{number}"),
            });
            Reply::Now(200, pair.to_string())
        })
        .await;
        let home = tempfile::tempdir().unwrap();
        let accounts = accounts(&issuer, home.path());
        Self { home, issuer, accounts }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("auth.json")
    }

    fn codex_file(&self) -> PathBuf {
        self.home.path().join("codex/auth.json")
    }

    fn login(&self, seconds_left: i64, name: &str) -> Credentials {
        let mut login = credentials("", &format!("rt_{name}"));
        login.access_token = access_token(seconds_left, name);
        login.expires_at = crate::auth::claims::Claims::of(&login.access_token).expires_at;
        let bound = &mut login.own.as_mut().unwrap().bound;
        (bound.issuer, bound.backend_origin) = (self.issuer.url.clone(), self.issuer.url.clone());
        login
    }

    /// The first login, and one called `work`; both end in so many seconds.
    fn two_logins(&self, seconds_left: i64) {
        let record = |name: &str| record::render(&self.login(seconds_left, name));
        let document = json!({"zed": 1, "openai_codex": record("first"),
            "openai_codex_accounts": {"logins": {"work": record("work")}}});
        put(&self.file(), &document.to_string());
    }

    /// What the Codex CLI writes, with what a newer one may add.
    fn codex_login(&self, seconds_left: i64) {
        std::fs::create_dir_all(self.codex_file().parent().unwrap()).unwrap();
        let file = json!({
            "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
            "tokens": {"id_token": access_token(60, "id").expose(),
                "access_token": access_token(seconds_left, "codex").expose(), "refresh_token": "rt_codex",
                "oauth_provenance": {"issuer": self.issuer.url, "client_id": "app_CODEX"},
                "account_id": ACCOUNT, "of_tomorrow": [1]},
            "last_refresh": "2020-01-01T00:00:00Z", "agent_identity": {"k": 1},
        });
        put(&self.codex_file(), &file.to_string());
    }

    fn sent(&self) -> usize {
        self.issuer.seen().len()
    }

    async fn token(&self, account: Option<&str>) -> Result<Secret, AuthError> {
        let grant = self.accounts.of(account).await?.grant().await?;
        Ok(grant.access_token)
    }
}

fn accounts(issuer: &FakeIssuer, home: &Path) -> Accounts {
    let config = config(&issuer.url, home.join("auth.json"));
    Accounts::new(config, Limits::default(), TaskTracker::new()).unwrap()
}

#[tokio::test]
async fn each_account_has_its_own_token_and_a_choice_is_never_replaced() {
    let rig = Rig::new().await;
    rig.two_logins(86_400);
    assert_eq!(rig.token(None).await.unwrap(), access_token(86_400, "first"));
    assert_eq!(rig.token(Some("work")).await.unwrap(), access_token(86_400, "work"));
    assert_eq!(rig.token(Some(FIRST)).await.unwrap(), access_token(86_400, "first"));
    let unknown = rig.token(Some("home")).await.unwrap_err().to_string();
    assert!(unknown.contains("`home`") && unknown.contains("`default`, `work`"), "{unknown}");
    // Its record is gone, by whatever hand: an error, not the other account.
    rig.accounts.set_default("work").await.unwrap();
    let mut document = read_json(&rig.file());
    document["openai_codex_accounts"]["logins"] = json!({});
    put(&rig.file(), &document.to_string());
    assert!(matches!(rig.token(None).await, Err(AuthError::NoSuchAccount { .. })));
}

#[tokio::test]
async fn the_default_changes_for_the_next_call_and_nobody_is_signed_out() {
    let rig = Rig::new().await;
    rig.two_logins(86_400);
    let before = read_json(&rig.file());
    rig.accounts.set_default("work").await.unwrap();
    assert_eq!(rig.token(None).await.unwrap(), access_token(86_400, "work"));
    // Another daemon, later: the choice is in the file.
    let later = accounts(&rig.issuer, rig.home.path());
    assert_eq!(later.of(None).await.unwrap().name, "work");
    rig.accounts.set_default(FIRST).await.unwrap();
    assert_eq!(rig.token(None).await.unwrap(), access_token(86_400, "first"));
    assert_eq!(read_json(&rig.file()), before, "the first login stays where earlier builds look");
    assert_eq!(rig.sent(), 0);
}

#[tokio::test]
async fn a_look_serves_who_asked_before_it_and_nobody_later() {
    let rig = Rig::new().await;
    rig.two_logins(86_400);
    let asked = Instant::now();
    while Instant::now() == asked {}
    assert_eq!(rig.accounts.of_asked(None, asked).await.unwrap().name, FIRST);
    // Another program chooses another default.
    let mut document = read_json(&rig.file());
    document["openai_codex_accounts"]["default"] = "work".into();
    put(&rig.file(), &document.to_string());
    assert_eq!(rig.accounts.of_asked(None, asked).await.unwrap().name, FIRST, "asked before the change");
    assert_eq!(rig.accounts.of(None).await.unwrap().name, "work");
    assert_eq!(rig.accounts.of_asked(None, asked).await.unwrap().name, "work");
}

#[tokio::test]
async fn a_question_from_before_it_does_not_bring_back_an_account_that_was_removed() {
    let rig = Rig::new().await;
    rig.two_logins(86_400);
    let asked = Instant::now();
    while Instant::now() == asked {}
    rig.accounts.remove("work").await.unwrap();
    let told = rig.accounts.of_asked(Some("work"), asked).await.map(|account| account.name);
    assert!(matches!(told, Err(AuthError::NoSuchAccount { .. })), "{told:?}");
}

#[tokio::test]
async fn two_accounts_renew_at_once_and_neither_write_loses_the_other() {
    let rig = Rig::new().await;
    rig.two_logins(-10);
    let (one, other) = tokio::join!(rig.token(None), rig.token(Some("work")));
    assert_ne!(one.unwrap(), other.unwrap());
    let document = read_json(&rig.file());
    let first = &document["openai_codex"]["grant"]["refresh_token"];
    let work = &document["openai_codex_accounts"]["logins"]["work"]["grant"]["refresh_token"];
    let mut tokens = [first.as_str().unwrap(), work.as_str().unwrap()];
    tokens.sort_unstable();
    assert_eq!((tokens, rig.sent()), (["rt_new_1", "rt_new_2"], 2));
    assert_eq!(document["zed"], 1);
}

#[tokio::test]
async fn removing_an_account_revokes_it_alone_and_the_default_one_is_kept() {
    let rig = Rig::new().await;
    rig.two_logins(86_400);
    rig.accounts.set_default("work").await.unwrap();
    assert!(matches!(rig.accounts.remove("work").await, Err(AuthError::DefaultAccount { .. })));
    rig.accounts.set_default(FIRST).await.unwrap();
    assert!(rig.accounts.remove("work").await.unwrap().unwrap().was_signed_in);
    assert_eq!(rig.sent(), 1, "one revocation");
    assert_eq!(rig.token(None).await.unwrap(), access_token(86_400, "first"));
    let names: Vec<String> =
        rig.accounts.list().await.unwrap().into_iter().map(|account| account.name).collect();
    assert_eq!(names, [FIRST]);
}

#[tokio::test]
async fn a_name_that_cannot_be_one_is_refused_before_anybody_signs_in() {
    let rig = Rig::new().await;
    for name in ["../x", "Work", "", "a b"] {
        assert!(
            matches!(rig.accounts.of_login(Some(name)).await, Err(AuthError::BadAccount { .. })),
            "{name}"
        );
    }
    assert!(rig.accounts.of_login(Some("work")).await.is_ok());
}

#[tokio::test]
async fn a_borrowed_login_is_read_while_it_is_valid_and_never_renewed() {
    let rig = Rig::new().await;
    rig.two_logins(86_400);
    rig.codex_login(120);
    let before = std::fs::read(rig.codex_file()).unwrap();
    rig.accounts.attach("codex", &rig.codex_file(), Mode::Borrow).await.unwrap();
    assert_eq!(rig.token(Some("codex")).await.unwrap(), access_token(120, "codex"));
    assert_eq!(std::fs::read(rig.codex_file()).unwrap(), before);
    // The Codex CLI renewed it: the next call has that.
    rig.codex_login(600);
    assert_eq!(rig.token(Some("codex")).await.unwrap(), access_token(600, "codex"));
    rig.codex_login(-1);
    let ended = rig.token(Some("codex")).await.unwrap_err();
    assert!(ended.to_string().contains("borrowed from the Codex CLI"), "{ended}");
    let tokens = rig.accounts.of(Some("codex")).await.unwrap().tokens;
    assert!(matches!(tokens.logout().await, Err(AuthError::CodexOwns { .. })));
    rig.accounts.remove("codex").await.unwrap();
    assert!(rig.codex_file().exists());
    assert_eq!(rig.sent(), 0);
}

#[tokio::test]
async fn a_shared_login_is_renewed_long_before_its_end_and_all_else_in_the_file_stays() {
    let rig = Rig::new().await;
    rig.codex_login(3_600);
    let mut expected = read_json(&rig.codex_file());
    rig.accounts.attach("codex", &rig.codex_file(), Mode::Share).await.unwrap();
    let token = rig.token(Some("codex")).await.unwrap();
    let found = read_json(&rig.codex_file());
    expected["tokens"]["access_token"] = token.expose().into();
    expected["tokens"]["refresh_token"] = "rt_new_1".into();
    assert_ne!(found["last_refresh"], expected["last_refresh"]);
    expected["last_refresh"] = found["last_refresh"].clone();
    assert_eq!(found, expected);
    let order = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(order(&found), ["auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh", "agent_identity"]);
    assert_eq!(rig.token(Some("codex")).await.unwrap(), token);
    let seen = rig.issuer.seen();
    assert_eq!((seen.len(), seen[0].json()["client_id"].as_str()), (1, Some("app_CODEX")));
}

#[tokio::test]
async fn while_the_codex_cli_holds_its_lock_a_shared_login_is_not_sent() {
    let rig = Rig::new().await;
    rig.codex_login(-10);
    rig.accounts.attach("codex", &rig.codex_file(), Mode::Share).await.unwrap();
    let [first, second] = ["auth.lock", "auth.json.lock"].map(|name| rig.codex_file().with_file_name(name));
    let held = FileLock::try_acquire(&second).unwrap();
    let tokens = rig.accounts.of(Some("codex")).await.unwrap().tokens;
    let asking = crate::task::spawn(&TaskTracker::new(), "asking", async move { tokens.grant().await });
    // It has the first lock, so it stands before the second: nothing has been sent and nothing is announced.
    while FileLock::try_acquire(&first).is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.sent(), 0);
    assert!(!rig.codex_file().with_file_name(".auth.json.refresh").exists());
    // It renewed the login itself meanwhile: that is what we use.
    rig.codex_login(864_000);
    drop(held);
    assert_eq!(asking.await.unwrap().unwrap().unwrap().access_token, access_token(864_000, "codex"));
    assert_eq!(rig.sent(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_could_not_be_written_is_not_shared() {
    let rig = Rig::new().await;
    rig.codex_login(3_600);
    let _link = hard_link(&rig.codex_file());
    let refused = rig.accounts.attach("codex", &rig.codex_file(), Mode::Share).await.unwrap_err();
    assert!(matches!(refused, AuthError::Store(_)), "{refused}");
    assert_eq!(rig.sent(), 0);
    rig.accounts.attach("codex", &rig.codex_file(), Mode::Borrow).await.unwrap();
}

#[tokio::test]
async fn an_import_takes_the_login_over_once_and_under_a_free_name_only() {
    let rig = Rig::new().await;
    rig.two_logins(86_400);
    rig.codex_login(-10);
    let before = std::fs::read(rig.codex_file()).unwrap();
    for taken in ["work", FIRST] {
        let refused = rig.accounts.import(taken, &rig.codex_file()).await;
        assert!(matches!(refused, Err(AuthError::BadAccount { .. })), "{taken}");
    }
    rig.accounts.import("mine", &rig.codex_file()).await.unwrap();
    assert_eq!(std::fs::read(rig.codex_file()).unwrap(), before, "the other program's file is left alone");
    rig.token(Some("mine")).await.unwrap();
    let record = read_json(&rig.file())["openai_codex_accounts"]["logins"]["mine"].clone();
    assert_eq!(record["grant"]["refresh_token"], "rt_new_1");
    assert_eq!((record["grant"]["client_id"].as_str(), rig.sent()), (Some("app_CODEX"), 1));
}

#[tokio::test]
async fn the_original_plugins_refresh_token_is_imported_when_a_person_asks_and_only_then() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("auth.json");
    let public = AuthConfig {
        issuer: crate::auth::PUBLIC_ISSUER.to_owned(),
        backend_origin: crate::auth::PUBLIC_BACKEND_ORIGIN.to_owned(),
        ..config("https://issuer.invalid", file.clone())
    };
    let issuer = Strict::new(86_400, Duration::ZERO);
    let seams = Seams { issuer: Some(issuer.in_memory(|| ())), ..Seams::default() };
    let accounts = Accounts::with(public, Limits::default(), TaskTracker::new(), seams).unwrap();
    let theirs = json!({"zed": 1, "openai_codex": {
        "access_token": access_token(-10, "theirs").expose(), "refresh_token": issuer.grant(1), "expires_at": 1,
    }});
    put(&file, &theirs.to_string());
    let first = accounts.of(None).await.unwrap().tokens;
    assert!(matches!(first.grant().await, Err(AuthError::Expired { .. })));
    assert!(matches!(accounts.import("work", &file).await, Err(AuthError::BadAccount { .. })));
    assert_eq!(read_json(&file), theirs, "nothing has been taken over");
    accounts.import(FIRST, &file).await.unwrap();
    let document = read_json(&file);
    assert_eq!((&document["zed"], &document["openai_codex"]["refresh_token"]), (&json!(1), &Value::Null));
    assert_eq!(document["openai_codex"]["grant"]["refresh_token"], "rt_1_0");
    assert_eq!(first.grant().await.unwrap().access_token, access_token(86_400, "rt_1_1"));
    assert!(matches!(accounts.import(FIRST, &file).await, Err(AuthError::BadAccount { .. })), "once");
    assert_eq!(issuer.posts().into_values().sum::<usize>(), 1);
}

#[tokio::test]
async fn a_login_of_another_workspace_than_the_configured_one_is_not_taken_up() {
    let rig = Rig::new().await;
    rig.codex_login(3_600);
    let workspaces = Workspaces { allowed: vec!["ws-a".to_owned()], ..Workspaces::default() };
    let config = AuthConfig { workspaces, ..config(&rig.issuer.url, rig.file()) };
    let accounts = Accounts::new(config, Limits::default(), TaskTracker::new()).unwrap();
    let file = rig.codex_file();
    for refused in [
        accounts.attach("codex", &file, Mode::Borrow).await,
        accounts.attach("codex", &file, Mode::Share).await,
        accounts.import("codex", &file).await,
    ] {
        assert!(matches!(refused, Err(AuthError::Workspace { .. })), "{refused:?}");
    }
    assert!(!rig.file().exists());
}

#[tokio::test]
async fn a_file_without_a_usable_login_is_named_and_not_taken_up() {
    let rig = Rig::new().await;
    let missing = rig.accounts.attach("codex", &rig.codex_file(), Mode::Borrow).await.unwrap_err();
    assert!(missing.to_string().contains("nobody is signed in"), "{missing}");
    rig.codex_login(600);
    let mut file = read_json(&rig.codex_file());
    (file["auth_mode"], file["OPENAI_API_KEY"]) = ("apikey".into(), "sk-secret".into());
    put(&rig.codex_file(), &file.to_string());
    let bills = rig.accounts.attach("codex", &rig.codex_file(), Mode::Share).await.unwrap_err();
    let text = format!("{bills:?}");
    assert!(text.contains("apikey") && !text.contains("sk-secret"), "{text}");
    rig.two_logins(600);
    assert!(rig.accounts.attach("codex", &rig.file(), Mode::Borrow).await.is_err(), "our own file");
    assert_eq!(rig.accounts.list().await.unwrap().len(), 2);
}
