//! After a 401 of the backend.

use super::*;

#[tokio::test]
async fn a_rejected_token_is_renewed_once_for_all_who_were_rejected() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(3600);
    let rejected = rig.tokens.grant().await.unwrap();
    let grants = join_all((0..50).map(|_| rig.tokens.recover(&rejected))).await;
    let new = access_token(86_400, "new-1");
    assert!(grants.into_iter().all(|grant| grant.unwrap().access_token == new));
    assert_eq!(rig.tokens.recover(&rejected).await.unwrap().access_token, new);
    assert_eq!(rig.issuer.seen().len(), 1);
    assert_eq!(rig.issuer.seen()[0].json()["refresh_reason"], "unauthorized_recovery");
}

#[tokio::test]
async fn a_token_that_is_rejected_right_after_its_renewal_is_not_renewed_again() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(3600);
    let first = rig.tokens.grant().await.unwrap();
    let second = rig.tokens.recover(&first).await.unwrap();
    assert!(matches!(rig.tokens.recover(&second).await, Err(AuthError::Rejected { .. })));
    assert!(matches!(rig.tokens.status().await.state, AuthState::Authenticated), "the issuer stands by it");
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_login_that_the_issuer_refused_has_ended_however_long_its_token_lives() {
    let rig = Rig::new(refused).await;
    rig.sign_in(86_400);
    let grant = rig.tokens.grant().await.unwrap();
    assert!(matches!(rig.tokens.status().await.state, AuthState::Authenticated));
    assert!(matches!(rig.tokens.recover(&grant).await, Err(AuthError::Refused(_))));
    let later = rig.restart();
    later.begin().await;
    for tokens in [&rig.tokens, &later] {
        let status = tokens.status().await;
        assert!(matches!(status.state, AuthState::Expired) && status.refused_at.is_some(), "{status:?}");
    }
    put_login(&rig.file(), &login_at(&rig.issuer.url, 86_400, "new", "rt_new"));
    let status = rig.tokens.status().await;
    assert!(matches!(status.state, AuthState::Authenticated) && status.refused_at.is_none(), "{status:?}");
}

#[tokio::test]
async fn a_refused_token_without_a_successor_has_ended_until_the_backend_takes_it() {
    let public = |config: &mut AuthConfig| {
        config.issuer = crate::auth::PUBLIC_ISSUER.to_owned();
        config.backend_origin = crate::auth::PUBLIC_BACKEND_ORIGIN.to_owned();
    };
    let rig = Rig::with(quick(), public, refused).await;
    let access = access_token(86_400, "theirs");
    let record = json!({"access_token": access.expose(), "refresh_token": "rt_THEIRS", "expires_at": 1});
    put(&rig.file(), &json!({"openai_codex": record}).to_string());
    let grant = rig.tokens.grant().await.unwrap();
    assert!(matches!(rig.tokens.recover(&grant).await, Err(AuthError::Expired { .. })));
    let status = rig.tokens.status().await;
    assert!(matches!(status.state, AuthState::Expired) && status.refused_at.is_some(), "{status:?}");
    rig.tokens.accepted(&grant);
    assert!(matches!(rig.tokens.status().await.state, AuthState::Authenticated));
    assert!(rig.issuer.seen().is_empty());
}

#[tokio::test]
async fn a_token_rejected_after_another_account_signed_in_is_a_mismatch() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(3600);
    let rejected = Grant { account_id: "before".to_owned(), ..rig.tokens.grant().await.unwrap() };
    assert!(matches!(rig.tokens.recover(&rejected).await, Err(AuthError::AccountMismatch { .. })));
    assert!(rig.issuer.seen().is_empty());
}
