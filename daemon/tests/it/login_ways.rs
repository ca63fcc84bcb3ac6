//! What a login does when its ways are shut one after the other, and when it is called off, in a real daemon.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use codex_oauth_proto::api::account::{
    LoginCancel, LoginCancelParams, LoginPaste, LoginPasteParams, LoginStart, LoginStartParams,
    LoginStartResult, Pasted,
};
use codex_oauth_rig::{Rig, Shim, eventually, login_end, text_of};
use fake_openai::{Effect, Endpoint, Identity};
use serde_json::{Value, json};

use crate::support::{answer, mcp};

/// A rig whose device codes are asked for without a pause.
fn rig() -> Rig {
    let rig = Rig::new().limits(&[("device_poll_ms", 10)]);
    rig.fake.configure(|behaviour| behaviour.device_interval_secs = 0);
    rig
}

/// The same, with another program on both callback ports.
fn squatted() -> (Rig, [TcpListener; 2]) {
    let squatters = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = squatters.each_ref().map(|socket| socket.local_addr().unwrap().port().to_string());
    let Rig { fake, home } = rig();
    (Rig { fake, home: home.set("CODEX_OAUTH_CALLBACK_PORTS", &ports.join(",")) }, squatters)
}

fn record(rig: &Rig) -> Value {
    serde_json::from_slice(&std::fs::read(rig.home.auth_file()).unwrap()).unwrap()
}

/// Takes the browser's last request as a foreign server would; the target of it.
fn last_address(squatter: &TcpListener) -> String {
    let (mut stream, _) = squatter.accept().unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn with_both_ports_taken_a_code_is_offered_unasked_and_signs_in() {
    let (rig, _squatters) = squatted();
    let _daemon = rig.daemon();
    let mut shim = Shim::initialized(&rig.home);
    let told = text_of(&shim.request_tool("codex_login", &json!({})));
    // Nobody asked for a code: that no browser can come back is reason enough.
    let login = rig.api().call::<LoginStart>(&LoginStartParams::default()).unwrap();
    let code = login.device.expect("a device code");
    for part in [&*code.user_code, &code.verification_url, "codex-oauth login --paste", "http"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(login.redirect_port, None);
    let why = login.port_note.unwrap();
    assert!(why.starts_with("could not listen for the browser on any of the ports"), "{why}");
    assert!(rig.fake.approve_device(&code.user_code, Identity::default()));
    let signed_in = text_of(&shim.request_tool("codex_status", &json!({"wait_for_login": true})));
    assert!(signed_in.starts_with("signed in  ada@example.com"), "{signed_in}");
    assert!(answer(&mut mcp(&rig.home), "by device code").contains("by device code"));
}

#[test]
fn with_both_ports_taken_the_address_that_the_browser_ended_at_signs_in() {
    let (rig, [squatter, _other]) = squatted();
    let _daemon = rig.daemon();
    let mut api = rig.api();
    let login = api.call::<LoginStart>(&LoginStartParams::default()).unwrap();
    let port = squatter.local_addr().unwrap().port();
    let target = thread::scope(|scope| {
        let browser = scope.spawn(|| rig.fake.authorize(&login.auth_url));
        let target = last_address(&squatter);
        browser.join().unwrap().unwrap();
        target
    });
    let text = Pasted(format!("  http://127.0.0.1:{port}{target}\n"));
    api.call::<LoginPaste>(&LoginPasteParams { login_id: login.login_id, text }).unwrap();
    assert_eq!(login_end(&mut api)["success"], true);
    assert!(answer(&mut mcp(&rig.home), "by paste").contains("by paste"));
}

#[test]
fn where_device_login_is_off_that_is_said_and_the_link_works() {
    for status in [404, 403] {
        let rig = rig();
        rig.fake.next(Endpoint::DeviceUserCode, Effect::respond(status, json!({"error": "FAKE"})));
        let _daemon = rig.daemon();
        let mut api = rig.api();
        let wish = LoginStartParams { device: Some(true), ..LoginStartParams::default() };
        let login = api.call::<LoginStart>(&wish).unwrap();
        assert!(login.device.is_none());
        let why = login.device_note.unwrap();
        assert_eq!(why, format!("device login is not enabled here (the issuer answered {status})"));
        assert_eq!(rig.fake.authorize(&login.auth_url).unwrap().status, 200);
        assert_eq!(login_end(&mut api)["success"], true);
        assert!(answer(&mut mcp(&rig.home), "by link").contains("by link"));
    }
}

#[test]
fn who_joins_a_login_that_opened_no_browser_is_not_told_that_it_did() {
    let rig = rig();
    let _daemon = rig.daemon();
    let begun = rig.api().call::<LoginStart>(&LoginStartParams::default()).unwrap();
    let wish = LoginStartParams { open_browser: true, ..LoginStartParams::default() };
    let joined = rig.api().call::<LoginStart>(&wish).unwrap();
    assert_eq!((joined.login_id, begun.browser_opened), (begun.login_id, false));
    assert_eq!(joined.browser_note.as_deref(), Some("this login was begun before and still waits"));
}

/// Where a login is held until it has been called off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Held {
    /// Nobody opens the link.
    Link,
    /// The browser has come back, the code is still good.
    BeforeExchange,
    /// The code is spent, its answer on the way.
    Exchange,
    /// The tokens are shown to the backend.
    Proof,
}

impl Held {
    /// Where, and how.
    fn effect(self) -> Option<(Endpoint, Effect)> {
        // A gate that was released stays open, so each step has its own.
        let gate = format!("{self:?}");
        match self {
            Self::Link => None,
            Self::BeforeExchange => Some((Endpoint::CodeExchange, Effect::hold(&gate))),
            Self::Exchange => Some((Endpoint::CodeExchange, Effect::hold_answer(&gate))),
            Self::Proof => Some((Endpoint::AccountsCheck, Effect::hold(&gate))),
        }
    }
}

/// Follows the link until the login is held; calls it off.
fn call_off(rig: &Rig, held: Held, login: &LoginStartResult) {
    let cancel = || {
        let params = LoginCancelParams { login_id: login.login_id.clone() };
        rig.api().call::<LoginCancel>(&params).unwrap();
    };
    let Some((endpoint, effect)) = held.effect() else { return cancel() };
    let before = rig.fake.requests(endpoint).len();
    rig.fake.next(endpoint, effect);
    thread::scope(|scope| {
        let browser = scope.spawn(|| rig.fake.authorize(&login.auth_url));
        rig.fake.wait_for_request(endpoint, before + 1).unwrap();
        cancel();
        let page = browser.join().unwrap().unwrap();
        assert!(page.body.contains("the login was cancelled"), "{held:?}: {}", page.body);
    });
    rig.fake.release(&format!("{held:?}"));
}

#[test]
fn a_login_that_is_called_off_at_any_step_leaves_the_old_one_which_still_answers() {
    let rig = rig();
    let _daemon = rig.signed_in();
    let (old, mut session) = (record(&rig), mcp(&rig.home));
    for held in [Held::Link, Held::BeforeExchange, Held::Exchange, Held::Proof] {
        let mut api = rig.api();
        let wish = LoginStartParams { device: Some(false), ..LoginStartParams::default() };
        let login = api.call::<LoginStart>(&wish).unwrap();
        call_off(&rig, held, &login);
        let ended = login_end(&mut api);
        assert_eq!(
            (&ended["success"], &ended["loginId"]),
            (&json!(false), &json!(login.login_id)),
            "{held:?}"
        );
        assert!(ended["error"]["message"].as_str().unwrap().contains("cancelled"), "{held:?}: {ended}");
        assert_eq!(record(&rig), old, "{held:?}");
        let question = format!("after {held:?}");
        assert!(answer(&mut session, &question).contains(&question));
        // The port is free again.
        TcpListener::bind(("127.0.0.1", login.redirect_port.unwrap())).unwrap();
    }
    rig.sign_in();
}

#[test]
fn a_browser_that_is_faster_than_the_device_code_signs_in() {
    let rig = rig();
    let link = rig.home.path().join("link");
    let opener = rig.home.path().join("opener");
    rig.home.script(
        &opener,
        &format!("#!/bin/sh\nprintf %s \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n", link.display()),
    );
    let Rig { fake, home } = rig;
    let home =
        home.set("DISPLAY", ":0").set("BROWSER", opener.to_str().unwrap()).set("CODEX_OAUTH_NO_BROWSER", "0");
    let rig = Rig { fake, home };
    let _daemon = rig.daemon();
    rig.fake.next(Endpoint::DeviceUserCode, Effect::hold("code"));
    thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let mut api = rig.api();
            let wish =
                LoginStartParams { open_browser: true, device: Some(true), ..LoginStartParams::default() };
            let login = api.call::<LoginStart>(&wish).unwrap();
            (login, login_end(&mut api))
        });
        eventually("the browser is opened", || link.exists());
        let page = rig.fake.authorize(&std::fs::read_to_string(&link).unwrap()).unwrap();
        assert_eq!(page.status, 200, "{}", page.body);
        let (login, ended) = starting.join().unwrap();
        assert_eq!((&ended["success"], &ended["loginId"]), (&json!(true), &json!(login.login_id)), "{ended}");
    });
    rig.fake.release("code");
}
