//! What has to hold before the old login is given up.

use std::io;

use super::*;
use crate::auth::config::Workspaces;

/// A rig with an old login on disk, whose issuer gives tokens at once.
async fn signed_in(configure: impl FnOnce(&mut AuthConfig)) -> Rig {
    let rig = Rig::with(Limits::default(), configure, |_| Reply::Now(200, tokens())).await;
    std::fs::create_dir(rig.file().parent().unwrap()).unwrap();
    let mut old = credentials("old-access", "rt_old");
    let bound = &mut old.own.as_mut().unwrap().bound;
    (bound.issuer, bound.backend_origin) = (rig.issuer.url.clone(), rig.issuer.url.clone());
    put_login(&rig.file(), &old);
    rig
}

async fn token(rig: &Rig) -> String {
    rig.tokens.grant().await.unwrap().access_token.expose().to_owned()
}

#[tokio::test]
async fn a_login_that_the_backend_refuses_leaves_the_old_one() {
    let rig = signed_in(|_| {}).await;
    let refused = || Proof::Refused(Arc::new(io::Error::other("HTTP 401")));
    let pending = rig.tokens.login_start(prover(refused)).await.unwrap();
    let page = approve(&pending).await;
    assert!(page.contains("could not prove the new login: HTTP 401"), "{page}");
    assert!(matches!(rig.failure().await, LoginError::Unproven(_)));
    assert_eq!(token(&rig).await, "old-access");
    assert_eq!(read_json(&rig.file())["openai_codex"]["grant"]["refresh_token"], "rt_old");
}

#[tokio::test]
async fn a_login_that_cannot_be_tried_is_kept_with_a_note() {
    let rig = signed_in(|_| {}).await;
    let pending = rig.tokens.login_start(prover(|| Proof::Unknown("no answer".to_owned()))).await.unwrap();
    approve(&pending).await;
    match rig.end().await {
        LoginState::Succeeded { who, .. } => assert_eq!(who.note.as_deref(), Some("no answer")),
        other => panic!("{other:?}"),
    }
    assert_eq!(token(&rig).await, access_token(86_400, "access").expose());
}

#[tokio::test]
async fn another_workspace_than_the_configured_one_is_refused_by_name() {
    let rig = signed_in(|config| {
        let allowed = vec!["ws-a".to_owned(), "ws-b".to_owned()];
        config.workspaces = Workspaces { allowed, by: "KEY".to_owned() };
    })
    .await;
    let pending = rig.start().await.unwrap();
    assert!(
        pending.authorize_url.ends_with("&allowed_workspace_id=ws-a%2Cws-b"),
        "{}",
        pending.authorize_url
    );
    approve(&pending).await;
    let expected =
        format!("could not sign in: the workspace is `{ACCOUNT}`, and KEY allows only `ws-a` or `ws-b`");
    assert_eq!(rig.failure().await.to_string(), expected);
    assert_eq!(read_json(&rig.file())["openai_codex"]["access_token"], "old-access");
}

#[tokio::test]
async fn the_configured_workspace_signs_in() {
    let rig =
        signed_in(|config| config.workspaces.allowed = vec!["ws-a".to_owned(), ACCOUNT.to_owned()]).await;
    approve(&rig.start().await.unwrap()).await;
    assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
}

#[tokio::test]
async fn a_login_that_is_called_off_while_it_is_proven_leaves_the_old_one() {
    let rig = signed_in(|_| {}).await;
    let pending = rig.tokens.login_start(Arc::new(|_| Box::pin(std::future::pending()))).await.unwrap();
    let cancel = async {
        let proving = |state: &LoginState| matches!(state, LoginState::Pending(p) if p.step == Step::Proving);
        rig.tokens.logins().wait_for(proving).await.unwrap();
        assert_eq!(token(&rig).await, "old-access");
        rig.tokens.login_cancel(&pending.login_id).await.unwrap();
    };
    tokio::join!(approve(&pending), cancel);
    assert!(matches!(rig.failure().await, LoginError::Cancelled));
    assert_eq!(token(&rig).await, "old-access");
}

#[tokio::test]
async fn a_login_that_is_called_off_while_it_is_written_is_written() {
    let rig = signed_in(|_| {}).await;
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let (held, writing) = (Mutex::new(held), Arc::new(Notify::new()));
    let (at_the_write, file) = (Arc::clone(&writing), rig.file());
    let _watch = crate::fsx::hook(rig.home.path(), move |op| {
        if matches!(op, crate::fsx::Op::Rename(_, to) if *to == file) {
            at_the_write.notify_one();
            // Ends with the test at the latest, when the sender is gone.
            let _ = held.lock().recv();
        }
        Ok(())
    });
    let pending = rig.start().await.unwrap();
    let cancel = async {
        writing.notified().await;
        let (cancelled, ()) = tokio::join!(rig.tokens.login_cancel(&pending.login_id), async {
            drop(go_on);
        });
        cancelled
    };
    let (page, cancelled) = tokio::join!(approve(&pending), cancel);
    assert!(page.contains("ada@example.com"), "{page}");
    assert!(matches!(cancelled, Err(AuthError::NoSuchLogin { .. })), "there is nothing left to call off");
    assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
    assert_eq!(token(&rig).await, access_token(86_400, "access").expose());
}
