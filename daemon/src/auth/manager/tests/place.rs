//! Where a login may go, status and logout.

use super::*;

#[tokio::test]
async fn a_login_of_another_issuer_backend_or_machine_is_not_sent_anywhere() {
    let rig = Rig::new(pairs()).await;
    let mut login = rig.login(3600);
    login.own.as_mut().unwrap().bound.issuer = "https://auth.openai.com".to_owned();
    put_login(&rig.file(), &login);
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::GrantElsewhere { .. })));
    assert!(matches!(rig.tokens.status().await.state, AuthState::Elsewhere(_)));

    let adopted = json!({"openai_codex": {"access_token": rig.login(3600).access_token.expose()}});
    put(&rig.file(), &adopted.to_string());
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::GrantElsewhere { .. })));

    let mut login = rig.login(-10);
    login.own.as_mut().unwrap().bound.machine = Some("other".to_owned());
    put_login(&rig.file(), &login);
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::OtherMachine)));
    let mut login = rig.login(200);
    login.own.as_mut().unwrap().bound.machine = Some("other".to_owned());
    put_login(&rig.file(), &login);
    rig.tokens.grant().await.unwrap();
    assert!(matches!(rig.tokens.logout().await.unwrap().revocation, Revocation::NotSent(Some(_))));
    assert!(rig.issuer.seen().is_empty());
}

#[tokio::test]
async fn a_login_of_another_workspace_than_the_configured_ones_is_neither_used_nor_renewed() {
    let only = |config: &mut AuthConfig| config.workspaces.allowed = vec!["ws-a".to_owned()];
    let rig = Rig::with(quick(), only, pairs()).await;
    for seconds_left in [3600, 200, -10] {
        rig.sign_in(seconds_left);
        match rig.tokens.grant().await {
            Err(AuthError::Workspace { wanted, found }) => {
                assert_eq!((&*wanted.allowed[0], &*found), ("ws-a", ACCOUNT));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(rig.tokens.status().await.state, AuthState::Elsewhere(AuthError::Workspace { .. })));
    }
    // Also when only the tokens say so, as after a renewal that gave those of another workspace.
    let mut login = rig.login(3600);
    login.account_id = "ws-a".to_owned();
    put_login(&rig.file(), &login);
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::Workspace { .. })));
    assert!(rig.issuer.seen().is_empty());

    let ours =
        |config: &mut AuthConfig| config.workspaces.allowed = vec!["ws-a".to_owned(), ACCOUNT.to_owned()];
    let rig = Rig::with(quick(), ours, pairs()).await;
    rig.sign_in(-10);
    rig.tokens.grant().await.unwrap();
}

#[tokio::test]
async fn the_status_says_what_the_file_says() {
    let rig = Rig::new(pairs()).await;
    assert!(matches!(rig.tokens.status().await.state, AuthState::NotAuthenticated));
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::NotLoggedIn)));
    rig.sign_in(3600);
    let status = rig.tokens.status().await;
    assert!(matches!(status.state, AuthState::Authenticated));
    assert_eq!((status.email.as_deref(), status.plan.as_deref()), (Some("ada@example.com"), Some("plus")));
    assert_eq!(status.account_id.as_deref(), Some(ACCOUNT));
    assert!(status.has_refresh_token && status.not_refreshable.is_none());
    for seconds in [200, -10] {
        rig.sign_in(seconds);
        assert!(matches!(rig.tokens.status().await.state, AuthState::NeedsRefresh));
    }
    put(&rig.file(), "{");
    assert!(matches!(rig.tokens.status().await.state, AuthState::Unreadable(_)));
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::Store(_))));
    assert!(rig.issuer.seen().is_empty());
}

#[tokio::test]
async fn the_original_record_is_used_for_its_access_token_only() {
    let public = |config: &mut AuthConfig| {
        config.issuer = crate::auth::PUBLIC_ISSUER.to_owned();
        config.backend_origin = crate::auth::PUBLIC_BACKEND_ORIGIN.to_owned();
    };
    let rig = Rig::with(quick(), public, pairs()).await;
    let write = |seconds| {
        let access = access_token(seconds, "theirs");
        let record = json!({"access_token": access.expose(), "refresh_token": "rt_THEIRS", "expires_at": 1});
        put(&rig.file(), &json!({"openai_codex": record}).to_string());
    };
    write(200);
    assert_eq!(rig.tokens.grant().await.unwrap().access_token, access_token(200, "theirs"));
    write(-10);
    match rig.tokens.grant().await {
        Err(AuthError::Expired { why }) => assert_eq!(why, NotRefreshable::Adopted),
        other => panic!("{other:?}"),
    }
    let status = rig.tokens.status().await;
    assert!(matches!(status.state, AuthState::Expired) && !status.has_refresh_token);
    assert_eq!(rig.record()["refresh_token"], "rt_THEIRS");
}

#[tokio::test]
async fn a_logout_revokes_our_token_and_removes_only_our_record() {
    let rig = Rig::new(|_| Reply::Now(200, String::new())).await;
    rig.sign_in(3600);
    let report = rig.tokens.logout().await.unwrap();
    assert!(report.was_signed_in && matches!(report.revocation, Revocation::Done));
    assert_eq!(rig.issuer.seen()[0].json()["token"], "rt_old");
    assert_eq!(read_json(&rig.file()), json!({"zed": {"k": 1}, "alpha": [1, 2], "beta": null}));
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::NotLoggedIn)));
    let again = rig.tokens.logout().await.unwrap();
    assert!(!again.was_signed_in && matches!(again.revocation, Revocation::NotSent(None)));
}

#[cfg(unix)]
#[tokio::test]
async fn a_logout_works_without_the_issuer_and_not_without_the_file() {
    let rig = Rig::new(unavailable).await;
    rig.sign_in(3600);
    let report = rig.tokens.logout().await.unwrap();
    assert!(report.was_signed_in && matches!(report.revocation, Revocation::Failed(_)));

    rig.sign_in(3600);
    hard_link(&rig.file());
    assert!(matches!(rig.tokens.logout().await, Err(AuthError::Store(_))));
    remove(&rig.file().with_extension("link"));
    put(&rig.file(), "{");
    assert!(matches!(rig.tokens.logout().await, Err(AuthError::Store(_))));
    assert_eq!(std::fs::read(rig.file()).unwrap(), b"{");
    assert_eq!(rig.issuer.seen().len(), 1, "a token was revoked whose record could not be removed");
}
