//! Browser, paste and device code race within one login.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const CODE: &str = r#"{"device_auth_id":"deviceauth_FAKE","user_code":"FAKE-1234","interval":"0"}"#;
const APPROVED: &str =
    r#"{"authorization_code":"ac_DEVICE","code_challenge":"x","code_verifier":"a-verifier-of-the-issuer"}"#;
const PENDING: &str = r#"{"error":{"code":"deviceauth_authorization_unknown","message":"pending"}}"#;

fn quick() -> Limits {
    Limits { device_poll: Duration::from_millis(1), ..Limits::default() }
}

/// An issuer that gives tokens for every code and answers the questions about its device code with `polls`, the last one
/// again and again.
async fn issuer_with(limits: Limits, polls: Vec<(u16, &'static str)>) -> Rig {
    let asked = AtomicUsize::new(0);
    Rig::with(
        limits,
        |_| {},
        move |seen| match seen.path.as_str() {
            "/api/accounts/deviceauth/usercode" => Reply::Now(200, CODE.to_owned()),
            "/api/accounts/deviceauth/token" => {
                let at = asked.fetch_add(1, Ordering::Relaxed).min(polls.len() - 1);
                Reply::Now(polls[at].0, polls[at].1.to_owned())
            }
            _ => Reply::Now(200, tokens()),
        },
    )
    .await
}

fn exchanges(rig: &Rig) -> Vec<Seen> {
    rig.issuer.seen().into_iter().filter(|seen| seen.path == "/oauth/token").collect()
}

async fn with_device(rig: &Rig) -> PendingLogin {
    let login_id = rig.start().await.unwrap().login_id;
    rig.tokens.login_offer_device(&login_id).await.unwrap()
}

async fn changed(rig: &Rig, change: impl Fn(&PendingLogin) -> bool) -> PendingLogin {
    let changed = |state: &LoginState| matches!(state, LoginState::Pending(pending) if change(pending));
    match &*rig.tokens.logins().wait_for(changed).await.unwrap() {
        LoginState::Pending(pending) => pending.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_approved_device_code_signs_in_and_ends_the_link() {
    let rig = issuer_with(quick(), vec![(403, PENDING), (404, ""), (200, APPROVED)]).await;
    let pending = with_device(&rig).await;
    let Device::Open(code) = &pending.device else { panic!("{pending:?}") };
    assert_eq!(code.user_code, "FAKE-1234");
    assert_eq!(code.verification_url, format!("{}/codex/device", rig.issuer.url));
    assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
    Listeners::bind(&[pending.redirect_port.unwrap()]).unwrap();
    let asked = &rig.issuer.seen()[0];
    assert_eq!(
        (asked.path.as_str(), asked.json()),
        ("/api/accounts/deviceauth/usercode", json!({"client_id": "app_TEST"}))
    );
    assert!(!asked.head.contains("originator") && !asked.head.contains("user-agent"), "{}", asked.head);
    let exchange = exchanges(&rig).pop().unwrap();
    let field = |name: &str| form::decode(&exchange.body).find(|(found, _)| found == name).unwrap().1;
    assert_eq!(field("redirect_uri"), format!("{}/deviceauth/callback", rig.issuer.url));
    assert_eq!(
        (field("code"), field("code_verifier")),
        ("ac_DEVICE".into(), "a-verifier-of-the-issuer".into())
    );
}

#[tokio::test]
async fn the_browser_wins_while_a_device_code_waits() {
    let rig = issuer_with(quick(), vec![(403, PENDING)]).await;
    let pending = with_device(&rig).await;
    approve(&pending).await;
    assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
    let asked = rig.issuer.seen().len();
    rig.tokens.release().await;
    assert_eq!(rig.issuer.seen().len(), asked, "nobody asks for the device code any more");
}

#[tokio::test]
async fn whoever_asks_for_a_device_code_again_gets_the_same() {
    let rig = issuer_with(quick(), vec![(403, PENDING)]).await;
    let pending = with_device(&rig).await;
    assert_eq!(rig.tokens.login_offer_device(&pending.login_id).await.unwrap().device, pending.device);
    let codes = rig.issuer.seen().iter().filter(|seen| seen.path.ends_with("usercode")).count();
    assert_eq!(codes, 1);
}

#[tokio::test]
async fn where_device_login_is_off_the_link_stays() {
    for status in [403, 404] {
        let rig = Rig::new(move |seen| match seen.path.as_str() {
            "/oauth/token" => Reply::Now(200, tokens()),
            _ => Reply::Now(status, "{}".to_owned()),
        })
        .await;
        let pending = with_device(&rig).await;
        let why = format!("device login is not enabled here (the issuer answered {status})");
        assert_eq!(pending.device, Device::Closed(why));
        approve(&pending).await;
        assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
    }
}

#[tokio::test]
async fn trouble_of_the_issuer_does_not_end_a_device_code_and_its_word_does() {
    let rig = issuer_with(quick(), vec![(500, ""), (502, "<html>"), (429, ""), (200, APPROVED)]).await;
    // `slow_down` adds five seconds, which is not waited for: that it is asked again later is what the pace test shows.
    let pending = with_device(&rig).await;
    rig.issuer.reached(4).await;
    assert!(matches!(changed(&rig, |_| true).await.device, Device::Open(_)));
    rig.tokens.login_cancel(&pending.login_id).await.unwrap();

    let fatal =
        issuer_with(quick(), vec![(400, r#"{"error":{"code":"deviceauth_spent","message":"used"}}"#)]).await;
    with_device(&fatal).await;
    let closed = changed(&fatal, |pending| matches!(pending.device, Device::Closed(_))).await;
    let Device::Closed(why) = closed.device else { unreachable!("it was waited for") };
    assert!(why.contains("used") && !why.contains("deviceauth_FAKE"), "{why}");
}

#[tokio::test]
async fn a_person_who_says_no_to_the_device_code_ends_the_login() {
    let rig = issuer_with(
        quick(),
        vec![(400, r#"{"error":{"code":"access_denied","message":"The user denied it."}}"#)],
    )
    .await;
    with_device(&rig).await;
    assert_eq!(rig.failure().await.to_string(), "could not sign in: The user denied it (access_denied)");
}

#[tokio::test]
async fn each_way_has_its_own_end_and_the_login_ends_with_the_last() {
    let limits =
        Limits { login: Duration::from_millis(500), device_login: Duration::from_millis(1_500), ..quick() };
    let rig = issuer_with(limits, vec![(403, PENDING)]).await;
    let pending = with_device(&rig).await;
    let later = changed(&rig, |pending| pending.redirect_port.is_none()).await;
    assert!(later.expires_at() > pending.link_until && matches!(later.device, Device::Open(_)));
    Listeners::bind(&[pending.redirect_port.unwrap()]).unwrap();
    let text = Secret::new("ac_too_late");
    assert!(matches!(rig.tokens.login_paste(&pending.login_id, text).await, Err(PasteError::LinkOver)));
    let error = rig.failure().await;
    assert!(
        matches!(&error, LoginError::Device(error) if matches!(**error, DeviceError::Expired)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_link_that_leads_nowhere_leaves_the_device_code() {
    let exchanged = AtomicUsize::new(0);
    let rig = Rig::with(
        quick(),
        |_| {},
        move |seen| match seen.path.as_str() {
            "/api/accounts/deviceauth/usercode" => Reply::Now(200, CODE.to_owned()),
            "/api/accounts/deviceauth/token" if exchanged.load(Ordering::Relaxed) == 0 => {
                Reply::Now(403, String::new())
            }
            "/api/accounts/deviceauth/token" => Reply::Now(200, APPROVED.to_owned()),
            _ if exchanged.fetch_add(1, Ordering::Relaxed) == 0 => {
                Reply::Now(400, r#"{"error":"invalid_grant"}"#.to_owned())
            }
            _ => Reply::Now(200, tokens()),
        },
    )
    .await;
    let pending = with_device(&rig).await;
    let page = approve(&pending).await;
    assert!(page.contains("invalid_grant"), "{page}");
    assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
}

#[tokio::test]
async fn a_pasted_address_or_code_signs_in() {
    for whole in [true, false] {
        let rig = issuer_with(quick(), vec![(403, PENDING)]).await;
        let pending = rig.start().await.unwrap();
        let state = field(&pending.authorize_url, "state");
        let address =
            format!("http://127.0.0.1:1455/auth/callback?code=ac_PASTED_0123456789_FAKE&state={state}\n");
        let text = Secret::new(if whole { address } else { "ac_PASTED_0123456789_FAKE".to_owned() });
        rig.tokens.login_paste(&pending.login_id, text).await.unwrap();
        assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
        let exchange = exchanges(&rig).pop().unwrap();
        let sent = |name: &str| form::decode(&exchange.body).find(|(found, _)| found == name).unwrap().1;
        assert_eq!(sent("code"), "ac_PASTED_0123456789_FAKE");
        assert_eq!(sent("redirect_uri"), field(&pending.authorize_url, "redirect_uri"));
        let late = rig.tokens.login_paste(&pending.login_id, Secret::new("ac_PASTED_0123456789_FAKE")).await;
        assert!(matches!(late, Err(PasteError::NotPending)));
    }
}

#[tokio::test]
async fn a_wrong_paste_changes_nothing_and_the_next_one_signs_in() {
    let exchanged = AtomicUsize::new(0);
    let rig = Rig::new(move |_| match exchanged.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Now(400, r#"{"error":"invalid_grant","error_description":"no such code"}"#.to_owned()),
        _ => Reply::Now(200, tokens()),
    })
    .await;
    let pending = rig.start().await.unwrap();
    let paste = |text: &str| rig.tokens.login_paste(&pending.login_id, Secret::new(text));
    assert!(matches!(paste("what I had for lunch").await, Err(PasteError::Unreadable)));
    assert!(matches!(paste("http://x/?code=c&state=of-another").await, Err(PasteError::OtherLogin)));
    assert!(rig.issuer.seen().is_empty(), "nothing of that is sent anywhere");
    let refused = paste("ac_mistyped_0123456789_FAKE").await.unwrap_err();
    assert!(matches!(refused, PasteError::Login(LoginError::Exchange(_))), "{refused:?}");
    assert_eq!(rig.tokens.login_start(prover(|| Proof::Proven)).await.unwrap().login_id, pending.login_id);
    paste("ac_right_0123456789_FAKE").await.unwrap();
}

#[tokio::test]
async fn with_every_port_taken_the_link_can_still_be_pasted() {
    let taken = Listeners::bind(&[0]).unwrap();
    let port = taken.port();
    let configure = |config: &mut AuthConfig| config.callback_ports = vec![port];
    let rig = Rig::with(Limits::default(), configure, |_| Reply::Now(200, tokens())).await;
    let pending = rig.start().await.unwrap();
    assert_eq!(pending.redirect_port, None);
    let note = pending.port_note.as_deref().unwrap();
    assert!(
        note.starts_with(&format!("could not listen for the browser on any of the ports {port}: ")),
        "{note}"
    );
    assert_eq!(
        field(&pending.authorize_url, "redirect_uri"),
        format!("http://127.0.0.1:{port}/auth/callback")
    );
    rig.tokens.login_paste(&pending.login_id, Secret::new("ac_PASTED_0123456789_FAKE")).await.unwrap();
    assert!(matches!(rig.end().await, LoginState::Succeeded { .. }));
}
