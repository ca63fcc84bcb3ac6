//! What other programs do to the file meanwhile.

use super::*;

#[tokio::test]
async fn a_token_that_another_program_wrote_is_adopted_without_a_request() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let rejected = rig.login(-10).grant();
    let theirs = login_at(&rig.issuer.url, 3600, "theirs", "rt_theirs");
    put_login(&rig.file(), &theirs);
    assert_eq!(rig.tokens.grant().await.unwrap().access_token, theirs.access_token);
    assert_eq!(rig.tokens.recover(&rejected).await.unwrap().access_token, theirs.access_token);
    assert!(rig.issuer.seen().is_empty());
}

/// Runs `change` on the file while the refresh is on its way.
async fn change_during_refresh(
    seconds_left: i64,
    change: impl Fn(&Path) + Send + 'static,
) -> (Rig, Result<Grant, AuthError>) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("auth.json");
    let changed = file.clone();
    let rig = Rig::with(
        quick(),
        |config| config.file = file,
        move |seen: &Seen| {
            if seen.path == "/oauth/revoke" {
                return Reply::Now(200, String::new());
            }
            change(&changed);
            Reply::Now(200, pair(1))
        },
    )
    .await;
    let rig = Rig { home, ..rig };
    rig.sign_in(seconds_left);
    let grant = rig.tokens.grant().await;
    (rig, grant)
}

#[tokio::test]
async fn a_newer_login_on_disk_wins_over_the_refresh_that_was_on_its_way() {
    let (rig, grant) = change_during_refresh(-10, |file| {
        let record = &read_json(file)["openai_codex"];
        let url = record["grant"]["issuer"].as_str().unwrap();
        let mut login = login_at(url, 3600, "newer", "rt_newer");
        login.own.as_mut().unwrap().obtained_at = Some(SystemTime::now());
        put_login(file, &login);
    })
    .await;
    rig.issuer.reached(2).await;
    assert_eq!(rig.issuer.seen()[1].json()["token"], "rt_new_1", "the pair that nobody has is revoked");
    assert_eq!(grant.unwrap().access_token, access_token(3600, "newer"));
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_newer");
}

#[tokio::test]
async fn another_account_that_signed_in_during_the_refresh_is_a_mismatch_also_for_a_valid_token() {
    for seconds_left in [-10, 200] {
        let (rig, grant) = change_during_refresh(seconds_left, |file| {
            let record = &read_json(file)["openai_codex"];
            let mut login = login_at(record["grant"]["issuer"].as_str().unwrap(), 3600, "newer", "rt_newer");
            login.account_id = "other".to_owned();
            put_login(file, &login);
        })
        .await;
        match grant {
            Err(AuthError::AccountMismatch { expected, found }) => {
                assert_eq!((expected.as_str(), found.as_str()), (ACCOUNT, "other"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.record()["grant"]["refresh_token"], "rt_newer");
        assert_eq!(
            rig.tokens.grant().await.unwrap().account_id,
            "other",
            "the next call is the new account's"
        );
    }
}

#[tokio::test]
async fn a_pair_that_arrives_after_a_logout_is_revoked_and_not_written() {
    let (rig, grant) = change_during_refresh(-10, |file| put(file, r#"{"zed":1}"#)).await;
    assert!(matches!(grant, Err(AuthError::NotLoggedIn)), "{grant:?}");
    rig.issuer.reached(2).await;
    let seen = rig.issuer.seen();
    assert_eq!((seen[1].path.as_str(), &seen[1].json()["token"]), ("/oauth/revoke", &json!("rt_new_1")));
    assert_eq!(read_json(&rig.file()), json!({"zed": 1}));
}

#[cfg(unix)]
#[tokio::test]
async fn a_pair_that_cannot_be_written_is_kept_and_written_as_soon_as_it_can() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("auth.json");
    let limits = Limits { refresh_backoff_first: Duration::ZERO, ..quick() };
    let spoiled = file.clone();
    let spoil = move |_: &Seen| {
        hard_link(&spoiled);
        Reply::Now(200, pair(1))
    };
    let rig = Rig::with(limits, |config| config.file = file.clone(), spoil).await;
    let rig = Rig { home, ..rig };
    rig.sign_in(-10);
    for _ in 0..2 {
        assert!(matches!(rig.tokens.grant().await, Err(AuthError::NotSaved { .. })));
    }
    remove(&file.with_extension("link"));
    assert_eq!(rig.tokens.grant().await.unwrap().access_token, access_token(86_400, "new-1"));
    assert_eq!(rig.issuer.seen().len(), 1);
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_new_1");
}

#[cfg(unix)]
#[tokio::test]
async fn a_pair_that_could_not_be_written_gets_its_last_chance_when_the_login_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("auth.json");
    let spoiled = file.clone();
    let spoil = move |_: &Seen| {
        hard_link(&spoiled);
        Reply::Now(200, pair(1))
    };
    let rig = Rig::with(Limits::default(), |config| config.file = file.clone(), spoil).await;
    let rig = Rig { home, ..rig };
    rig.sign_in(-10);
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::NotSaved { .. })));
    remove(&file.with_extension("link"));
    rig.tokens.release().await;
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_new_1");
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_spent_when_the_result_could_not_be_written() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    hard_link(&rig.file());
    match rig.tokens.grant().await {
        Err(AuthError::Store(error)) => assert!(matches!(*error, StoreError::Unwritable { .. })),
        other => panic!("{other:?}"),
    }
    assert!(rig.issuer.seen().is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn a_logout_revokes_the_renewed_pair_that_could_not_be_written() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("auth.json");
    let spoiled = file.clone();
    let spoil = move |seen: &Seen| {
        if seen.path == "/oauth/token" {
            hard_link(&spoiled);
        }
        Reply::Now(200, pair(1))
    };
    let rig = Rig::with(quick(), |config| config.file = file.clone(), spoil).await;
    let rig = Rig { home, ..rig };
    rig.sign_in(-10);
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::NotSaved { .. })));
    remove(&file.with_extension("link"));
    assert!(matches!(rig.tokens.logout().await.unwrap().revocation, Revocation::Done));
    assert_eq!(rig.issuer.seen()[1].json()["token"], "rt_new_1");
}
