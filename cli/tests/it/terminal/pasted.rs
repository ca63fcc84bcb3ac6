//! `login --paste` with a person before the terminal: what is pasted is never seen, and the terminal is put back.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::mpsc;

use codex_oauth_proto::{ErrorCode, WireError};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::pty::Person;
use crate::login::{ada, begin, begin_with, complete, login_with};
use crate::rig::{PATIENCE, Place, Session, script};

const PROMPT: &str = "then Enter: ";

/// Waits for the paste that follows; gives its text.
fn pasted(session: &mut Session, refused: bool) -> Value {
    let request = session.request("account/login/paste");
    if refused {
        let message = "could not use what was pasted: it belongs to another login";
        session.fail(&request, &WireError::caller(ErrorCode::InvalidArguments, message));
        let request = session.request("account/read");
        session.reply(
            &request,
            json!({ "status": "not_authenticated", "account": null, "expiresAt": null, "canRefresh": false,
                    "note": null, "credentialFile": "/a", "pendingLogin": login_with(&json!({})), "probe": null }),
        );
    } else {
        session.reply(&request, json!({}));
    }
    request.params["text"].clone()
}

#[test]
fn a_paste_is_not_shown_and_a_wrong_one_is_asked_for_again() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        begin(&mut session, "not_authenticated", &Value::Null, false);
        assert_eq!(pasted(&mut session, true), "CANARY-wrong");
        assert_eq!(pasted(&mut session, false), "CANARY-right");
        complete(&mut session, "l", &ada(), &Value::Null);
    })]);
    let mut person = Person::before(place.command(&["login", "--paste"]), 80);
    person.sees(PROMPT);
    assert!(!person.has_echo());
    // Nothing at all is no paste.
    person.types("\n");
    person.sees(PROMPT);
    person.types("CANARY-wrong\n");
    person.sees("could not use what was pasted: it belongs to another login");
    person.sees(PROMPT);
    assert!(!person.has_echo());
    person.types("CANARY-right\n");
    person.sees("signed in as ada@example.com");
    let (ran, echo, screen) = person.leaves();
    assert_eq!((ran.code(), echo), (0, true), "{screen}");
    assert!(!screen.contains("CANARY"), "{screen}");
    daemon.done();
}

#[test]
fn while_a_paste_is_on_its_way_nothing_is_shown_that_is_typed() {
    let place = Place::new();
    let (asked, on_its_way) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let daemon = place.daemon(vec![script(move |mut session| {
        begin(&mut session, "not_authenticated", &Value::Null, false);
        let request = session.request("account/login/paste");
        asked.send(()).unwrap();
        goes_on.recv_timeout(PATIENCE).unwrap();
        session.reply(&request, json!({}));
        complete(&mut session, "l", &ada(), &Value::Null);
    })]);
    let mut person = Person::before(place.command(&["login", "--paste"]), 80);
    person.sees(PROMPT);
    person.types("CANARY\n");
    on_its_way.recv_timeout(PATIENCE).unwrap();
    assert!(!person.has_echo(), "who pastes again is not shown either");
    go_on.send(()).unwrap();
    let (ran, echo, screen) = person.leaves();
    assert_eq!((ran.code(), echo), (0, true), "{screen}");
    assert!(screen.contains(&format!("{PROMPT}\nsigned in as ada@example.com")), "{screen}");
    daemon.done();
}

#[test]
fn a_login_on_its_way_asks_for_nothing_and_one_that_waits_again_asks_again() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        begin(&mut session, "not_authenticated", &Value::Null, false);
        for step in ["exchanging", "proving", "waiting", "exchanging", "saving"] {
            let login = login_with(&json!({ "step": step }));
            session.notify("account/login/updated", json!({ "login": login }));
        }
        complete(&mut session, "l", &ada(), &Value::Null);
    })]);
    let person = Person::before(place.command(&["login", "--paste"]), 80);
    let (ran, echo, screen) = person.leaves();
    assert_eq!((ran.code(), echo), (0, true), "{screen}");
    let said = screen.split_once("waiting for you").unwrap().1.split_once('\n').unwrap().1;
    let asks = format!("or paste the address that the browser ended at (it is not shown), {PROMPT}\n");
    assert_eq!(
        said.replace(&asks, "?\n"),
        "?\ngetting tokens\ntrying the new login\n?\ngetting tokens\nsaving the new login\n\
         signed in as ada@example.com (Plus), workspace acc\nnext: ask something, `codex-oauth ask \"...\"`\n"
    );
    daemon.done();
}

#[test]
fn whatever_ends_the_command_while_it_asks_the_terminal_is_put_back_and_the_login_called_off() {
    for (signal, code) in
        [(Signal::INT, None), (Signal::TERM, Some(15)), (Signal::HUP, Some(1)), (Signal::QUIT, Some(3))]
    {
        let place = Place::new();
        let daemon = place.daemon(vec![script(|mut session| {
            begin(&mut session, "not_authenticated", &Value::Null, false);
            let request = session.request("account/login/cancel");
            session.reply(&request, json!({}));
        })]);
        let mut person = Person::before(place.command(&["login", "--paste"]), 80);
        person.sees(PROMPT);
        assert!(!person.has_echo());
        person.signal(signal);
        person.sees("login called off");
        let (ran, echo, screen) = person.leaves();
        assert!(echo, "{signal:?}: {screen}");
        assert_eq!((ran.status.signal(), ran.status.code()), (code, code.map_or(Some(130), |_| None)));
        daemon.done();
    }
}

#[test]
fn nothing_that_a_login_says_is_wider_than_the_terminal_but_the_link() {
    for place_of_person in ["desktop", "wsl", "ssh", "container", "headless"] {
        for port in [json!(1455), Value::Null] {
            let place = Place::new();
            let fields = json!({
                "place": place_of_person, "redirectPort": port,
                "browserNote": "this session has no screen",
                "portNote": port.is_null().then_some(
                    "could not listen for the browser on any of the ports 1455, 1457: Address already in use (os error 98)"
                ),
                "device": { "verificationUrl": "https://auth.openai.com/codex/device", "userCode": "FAKE-12345",
                            "expiresAt": 4_000_000_000_u64 },
            });
            let daemon = place.daemon(vec![script(move |mut session| {
                begin_with(&mut session, "not_authenticated", &Value::Null, &fields);
                complete(&mut session, "l", &ada(), &Value::Null);
            })]);
            let (ran, _, screen) = Person::before(place.command(&["login"]), 80).leaves();
            assert_eq!(ran.code(), 0, "{screen}");
            let wide = screen.lines().find(|line| line.chars().count() > 80 && !line.starts_with("https://"));
            assert!(wide.is_none(), "{place_of_person}: {wide:?} in\n{screen}");
            assert!(screen.lines().count() <= 24, "{screen}");
            daemon.done();
        }
    }
}
