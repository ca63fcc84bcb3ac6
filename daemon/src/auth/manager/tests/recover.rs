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
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_token_rejected_after_another_account_signed_in_is_a_mismatch() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(3600);
    let rejected = Grant { account_id: "before".to_owned(), ..rig.tokens.grant().await.unwrap() };
    assert!(matches!(rig.tokens.recover(&rejected).await, Err(AuthError::AccountMismatch { .. })));
    assert!(rig.issuer.seen().is_empty());
}
