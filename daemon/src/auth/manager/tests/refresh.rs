//! Renewing an old token.

use super::*;

#[tokio::test]
async fn a_success_that_cannot_be_read_may_have_spent_the_token_so_it_is_not_sent_while_the_old_one_is_good()
{
    for body in ["<html>blocked</html>", "", r#"{"access_token": ["at"], "refresh_token": "rt_new"}"#] {
        let rig = Rig::new(move |_| Reply::Now(200, body.to_owned())).await;
        rig.sign_in(200);
        for grant in [rig.tokens.grant().await, rig.tokens.grant().await, rig.restart().grant().await] {
            assert_eq!(grant.unwrap().access_token, rig.login(200).access_token, "{body}");
        }
        assert_eq!(rig.issuer.seen().len(), 1, "{body}");
    }
}

#[tokio::test]
async fn a_valid_token_is_handed_out_without_a_request() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(3600);
    let grant = rig.tokens.grant().await.unwrap();
    assert_eq!((grant.access_token, grant.account_id.as_str()), (rig.login(3600).access_token, ACCOUNT));
    assert!(rig.issuer.seen().is_empty());
}

#[tokio::test]
async fn five_hundred_callers_of_an_expired_token_cause_one_request() {
    let rig = Rig::new(pairs()).await;
    rig.sign_in(-10);
    let grants = join_all((0..500).map(|_| rig.tokens.grant())).await;
    let new = access_token(86_400, "new-1");
    assert!(grants.into_iter().all(|grant| grant.unwrap().access_token.fingerprint() == new.fingerprint()));
    assert_eq!(rig.issuer.seen().len(), 1);
    assert_eq!(rig.issuer.seen()[0].json()["refresh_reason"], "proactive_expiry");
    assert_eq!(rig.issuer.seen()[0].json()["refresh_token"], "rt_old");
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_new_1");
    assert!(rig.record()["grant"]["last_refresh"].is_u64());
    let keys: Vec<_> = read_json(&rig.file()).as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["zed", "openai_codex", "alpha", "beta"]);
}

#[tokio::test]
async fn what_the_answer_leaves_out_stays_as_it_was() {
    let answer = json!({"access_token": access_token(86_400, "only").expose()}).to_string();
    let rig = Rig::new(move |_| Reply::Now(200, answer.clone())).await;
    let mut login = rig.login(-10);
    login.id_token = Some(Secret::new("the-old-id-token"));
    put_login(&rig.file(), &login);
    rig.tokens.grant().await.unwrap();
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_old");
    assert_eq!(rig.record()["id_token"], "the-old-id-token");
    assert_eq!(rig.record()["account_id"], ACCOUNT);
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nothing() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let rig = Rig::new(move |_| Reply::When(Arc::clone(&held), 200, pair(1))).await;
    rig.sign_in(-10);
    tokio::select! {
        grant = rig.tokens.grant() => panic!("{grant:?}"),
        () = rig.issuer.reached(1) => {}
    }
    let (grant, ()) = tokio::join!(rig.tokens.grant(), async { gate.notify_one() });
    assert_eq!(grant.unwrap().access_token, access_token(86_400, "new-1"));
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_refresh_that_nobody_waits_for_is_written_before_the_login_is_given_up() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let rig = Rig::new(move |_| Reply::When(Arc::clone(&held), 200, pair(1))).await;
    rig.sign_in(-10);
    tokio::select! {
        grant = rig.tokens.grant() => panic!("{grant:?}"),
        () = rig.issuer.reached(1) => {}
    }
    let ((), grant, ()) = tokio::join!(rig.tokens.release(), rig.tokens.grant(), async { gate.notify_one() });
    assert_eq!(grant.unwrap().access_token, access_token(86_400, "new-1"), "who comes now still joins it");
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_new_1");
}

#[tokio::test]
async fn after_the_login_is_given_up_its_token_is_used_and_never_renewed_or_removed() {
    let rig = Rig::new(unavailable).await;
    rig.sign_in(200);
    rig.tokens.release().await;
    let grant = rig.tokens.grant().await.unwrap();
    assert_eq!(grant.access_token, rig.login(200).access_token);
    assert!(matches!(rig.tokens.recover(&grant).await, Err(AuthError::Closed)));
    assert!(matches!(rig.tokens.logout().await, Err(AuthError::Closed)));
    rig.sign_in(-10);
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::Closed)));
    // What the successor has written is found.
    rig.sign_in(900);
    assert_eq!(rig.tokens.recover(&grant).await.unwrap().access_token, rig.login(900).access_token);
    assert_eq!(rig.issuer.seen().len(), 0);
}

#[tokio::test]
async fn the_old_token_is_used_while_it_is_valid_and_the_issuer_is_not_pressed() {
    let rig = Rig::new(unavailable).await;
    rig.sign_in(200);
    for _ in 0..5 {
        assert_eq!(rig.tokens.grant().await.unwrap().access_token, rig.login(200).access_token);
    }
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn without_a_valid_token_a_passing_failure_names_the_time_to_come_back() {
    let rig = Rig::new(unavailable).await;
    rig.sign_in(-10);
    for _ in 0..5 {
        let before = SystemTime::now();
        match rig.tokens.grant().await {
            Err(AuthError::Unavailable { retry_at, source }) => {
                assert!(retry_at <= before + Duration::from_secs(2));
                assert!(source.to_string().contains("503"), "{source}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_failure_that_passes_is_tried_again_after_the_backoff() {
    let limits = Limits { refresh_backoff_first: Duration::ZERO, ..quick() };
    let mut answers = pairs();
    let count = AtomicUsize::new(0);
    let rig = Rig::with(
        limits,
        |_| {},
        move |seen| match count.fetch_add(1, Ordering::Relaxed) {
            0 => unavailable(seen),
            _ => answers(seen),
        },
    )
    .await;
    rig.sign_in(-10);
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::Unavailable { .. })));
    rig.tokens.grant().await.unwrap();
    assert_eq!(rig.issuer.seen().len(), 2);
}

#[tokio::test]
async fn a_refused_refresh_token_is_not_sent_again_until_the_file_holds_another() {
    let rig = Rig::new(refused).await;
    rig.sign_in(-10);
    for _ in 0..3 {
        match rig.tokens.grant().await {
            Err(AuthError::Refused(refusal)) => {
                assert_eq!(refusal.code.as_deref(), Some("refresh_token_reused"));
                assert!(!refusal.interrupted);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rig.issuer.seen().len(), 1);
    assert!(matches!(rig.tokens.status().await.state, AuthState::Expired));
    put_login(&rig.file(), &login_at(&rig.issuer.url, -10, "old", "rt_other"));
    assert!(rig.tokens.grant().await.is_err());
    assert_eq!(rig.issuer.seen().len(), 2);
}

#[tokio::test]
async fn a_refresh_without_an_answer_is_not_repeated_while_the_old_token_is_valid() {
    let limits = Limits {
        issuer_request: Duration::from_millis(100),
        refresh_backoff_first: Duration::ZERO,
        ..quick()
    };
    let rig = Rig::with(limits, |_| {}, |_| Reply::Never).await;
    rig.sign_in(200);
    for _ in 0..3 {
        rig.tokens.grant().await.unwrap();
    }
    assert_eq!(rig.issuer.seen().len(), 1);
}

#[tokio::test]
async fn a_refusal_after_a_refresh_without_an_answer_is_called_what_it_is() {
    let limits = Limits { refresh_backoff_first: Duration::ZERO, ..quick() };
    let count = AtomicUsize::new(0);
    let rig = Rig::with(
        limits,
        |_| {},
        move |seen| match count.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::Cut(""),
            _ => refused(seen),
        },
    )
    .await;
    rig.sign_in(-10);
    assert!(matches!(rig.tokens.grant().await, Err(AuthError::OutcomeUnknown { .. })));
    match rig.tokens.grant().await {
        Err(AuthError::Refused(refusal)) => assert!(refusal.interrupted),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_without_an_access_token_is_passing_but_its_refresh_token_is_kept() {
    let rig = Rig::new(|_| Reply::Now(200, r#"{"refresh_token":"rt_rotated"}"#.to_owned())).await;
    rig.sign_in(-10);
    for _ in 0..3 {
        assert!(matches!(rig.tokens.grant().await, Err(AuthError::Unavailable { .. })));
    }
    assert_eq!(rig.issuer.seen().len(), 1);
    assert_eq!(rig.record()["grant"]["refresh_token"], "rt_rotated");
    assert_eq!(rig.record()["access_token"], rig.login(-10).access_token.expose());
}

#[tokio::test]
async fn on_a_machine_with_a_wrong_clock_a_new_token_is_used_all_the_same() {
    let expired = json!({"access_token": access_token(-3600, "skewed").expose()}).to_string();
    let rig = Rig::new(move |_| Reply::Now(200, expired.clone())).await;
    rig.sign_in(-10);
    for _ in 0..3 {
        assert_eq!(rig.tokens.grant().await.unwrap().access_token, access_token(-3600, "skewed"));
    }
    assert_eq!(rig.issuer.seen().len(), 1);
}
