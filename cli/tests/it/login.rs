//! `login`: the link, the wait, and who it was.

use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use codex_oauth_proto::jsonrpc::Request;
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Place, Running, Session, script};

const LINK: &str = "https://auth.openai.com/oauth/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A1457%2Fauth%2Fcallback&state=s";

fn login(browser_opened: bool) -> Value {
    login_with(&json!({ "browserOpened": browser_opened }))
}

/// A pending login with these fields changed.
pub(crate) fn login_with(fields: &Value) -> Value {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 300;
    let mut login = json!({
        "loginId": "l", "authUrl": LINK, "expiresAt": end, "browserOpened": false, "browserNote": null,
        "redirectPort": 1455, "portNote": null, "linkExpiresAt": end, "device": null, "deviceNote": null,
        "place": "desktop", "step": "waiting",
    });
    for (name, value) in fields.as_object().unwrap() {
        login[name] = value.clone();
    }
    login
}

/// Answers `account/read` and `account/login/start`; gives whether a browser was asked for.
pub(crate) fn begin(session: &mut Session, status: &str, pending: &Value, browser_opened: bool) -> Value {
    begin_with(session, status, pending, &json!({ "browserOpened": browser_opened }))["openBrowser"].clone()
}

/// The same for a login with these fields changed; gives the parameters.
pub(crate) fn begin_with(session: &mut Session, status: &str, pending: &Value, fields: &Value) -> Value {
    let request = asked_to_begin(session, status, pending);
    session.reply(&request, login_with(fields));
    request.params
}

/// Answers `account/read`, and not yet what is asked next: `account/login/start`.
fn asked_to_begin(session: &mut Session, status: &str, pending: &Value) -> Request {
    let request = session.request("account/read");
    session.reply(
        &request,
        json!({ "status": status, "account": null, "expiresAt": null, "canRefresh": false, "note": null,
                "credentialFile": "/a", "pendingLogin": pending, "probe": null }),
    );
    session.request("account/login/start")
}

pub(crate) fn complete(session: &mut Session, login_id: &str, account: &Value, error: &Value) {
    session.notify(
        "account/login/completed",
        json!({ "loginId": login_id, "success": error.is_null(), "account": account, "error": error }),
    );
}

pub(crate) fn ada() -> Value {
    json!({ "accountId": "acc", "email": "ada@example.com", "planType": "plus" })
}

#[test]
fn without_a_browser_the_link_is_alone_on_standard_output() {
    for (args, variable) in [(vec!["login", "--no-browser"], "0"), (vec!["login"], "1")] {
        let place = Place::new();
        let (printed, go_on) = mpsc::channel();
        let daemon = place.daemon(vec![script(move |mut session| {
            assert_eq!(begin(&mut session, "not_authenticated", &Value::Null, false), json!(false));
            go_on.recv_timeout(PATIENCE).unwrap();
            complete(&mut session, "another", &Value::Null, &Value::Null);
            complete(&mut session, "l", &ada(), &Value::Null);
        })]);
        let mut running = Running::start(place.command(&args).env("CODEX_OAUTH_NO_BROWSER", variable));
        running.expect_out(&format!("{LINK}\n"));
        printed.send(()).unwrap();
        let ran = running.finish();
        assert_eq!((ran.code(), ran.stdout.as_str()), (0, ""));
        assert!(
            ran.stderr.ends_with(
                "\nsigned in as ada@example.com (Plus), workspace acc\n\
                 next: ask something, `codex-oauth ask \"...\"`\n"
            ),
            "{}",
            ran.stderr
        );
        daemon.done();
    }
}

#[test]
fn who_signs_in_to_a_named_account_is_told_how_to_ask_with_it() {
    for args in [&["login", "--account", "work"][..], &["account", "add", "work"]] {
        let place = Place::new();
        let daemon = place.daemon(vec![script(|mut session| {
            let params = begin_with(&mut session, "not_authenticated", &Value::Null, &json!({}));
            assert_eq!(params["account"], "work");
            complete(&mut session, "l", &ada(), &Value::Null);
        })]);
        let ran = place.run(args);
        let next = "\nnext: ask something, `codex-oauth ask --account work \"...\"`\n";
        assert!(ran.code() == 0 && ran.stderr.ends_with(next), "{}", ran.stderr);
        daemon.done();
    }
}

#[test]
fn with_a_browser_everything_goes_to_standard_error_the_link_too() {
    for (opened, told) in [(true, "a browser has opened"), (false, "open this link to sign in")] {
        let place = Place::new();
        let daemon = place.daemon(vec![script(move |mut session| {
            assert_eq!(begin(&mut session, "authenticated", &Value::Null, opened), json!(true));
            complete(&mut session, "l", &ada(), &Value::Null);
        })]);
        let ran = place.run(&["login"]);
        assert_eq!((ran.code(), ran.stdout.as_str()), (0, ""));
        assert!(ran.stderr.contains(told) && ran.stderr.contains(LINK), "{}", ran.stderr);
        daemon.done();
    }
}

#[test]
fn over_ssh_the_port_to_forward_is_named() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        assert_eq!(session.hello.env["SSH_CONNECTION"], "a 1 b 2");
        let over_ssh =
            json!({ "place": "ssh", "redirectPort": 1457, "browserNote": "this session has no screen" });
        begin_with(&mut session, "not_authenticated", &Value::Null, &over_ssh);
        complete(&mut session, "l", &ada(), &Value::Null);
    })]);
    let ran = Running::start(place.command(&["login"]).env("SSH_CONNECTION", "a 1 b 2")).finish();
    assert!(ran.stderr.starts_with("no browser was opened: this session has no screen\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("ssh -L 1457:127.0.0.1:1457"), "{}", ran.stderr);
    daemon.done();
}

#[test]
fn a_failed_login_says_why_and_whether_an_older_one_is_still_there() {
    for (status, code) in [("not_authenticated", 3), ("expired", 3), ("authenticated", 1)] {
        let place = Place::new();
        let daemon = place.daemon(vec![script(move |mut session| {
            begin(&mut session, status, &Value::Null, true);
            let error =
                WireError::upstream(ErrorCode::LoginFailed, Retry::Safe, "could not sign in: access denied")
                    .next(NextStep::Login);
            complete(&mut session, "l", &Value::Null, &json!(error));
        })]);
        let ran = place.run(&["login"]);
        assert_eq!(ran.code(), code, "{status}");
        let end = "\nerror: could not sign in: access denied\nnext: run `codex-oauth login`\n";
        assert!(ran.stderr.ends_with(end), "{}", ran.stderr);
        daemon.done();
    }
}

#[test]
fn ctrl_c_calls_off_a_login_that_was_begun_here() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        begin(&mut session, "not_authenticated", &Value::Null, false);
        let request = session.request("account/login/cancel");
        assert_eq!(request.params, json!({ "loginId": "l" }));
        session.reply(&request, json!({}));
    })]);
    let mut running = Running::start(&mut place.command(&["login", "--no-browser"]));
    running.expect_out(&format!("{LINK}\n"));
    running.interrupt();
    let ran = running.finish();
    assert_eq!(ran.code(), 130);
    assert!(ran.stderr.ends_with("login called off\n"), "{}", ran.stderr);
    daemon.done();
}

#[test]
fn ctrl_c_while_a_login_is_being_begun_calls_it_off_as_soon_as_there_is_one() {
    let place = Place::new();
    let (asked, is_asked) = mpsc::channel();
    let (pressed, go_on) = mpsc::channel();
    let daemon = place.daemon(vec![script(move |mut session| {
        let request = asked_to_begin(&mut session, "not_authenticated", &Value::Null);
        asked.send(()).unwrap();
        go_on.recv_timeout(PATIENCE).unwrap();
        session.reply(&request, login(true));
        let request = session.request("account/login/cancel");
        assert_eq!(request.params, json!({ "loginId": "l" }));
        session.reply(&request, json!({}));
    })]);
    let running = Running::start(&mut place.command(&["login"]));
    is_asked.recv_timeout(PATIENCE).unwrap();
    running.interrupt();
    pressed.send(()).unwrap();
    let ran = running.finish();
    assert_eq!((ran.code(), ran.stderr.as_str()), (130, "login called off\n"));
    daemon.done();
}

#[test]
fn ctrl_c_leaves_a_login_that_was_begun_elsewhere() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        begin(&mut session, "not_authenticated", &login(true), false);
        assert_eq!(session.next(), None);
    })]);
    let mut running = Running::start(&mut place.command(&["login", "--no-browser"]));
    running.expect_out(&format!("{LINK}\n"));
    running.interrupt();
    let ran = running.finish();
    assert_eq!(ran.code(), 130);
    let said = "goes on; `codex-oauth login --cancel` calls it off\n";
    assert!(ran.stderr.ends_with(said), "{}", ran.stderr);
    daemon.done();
}
