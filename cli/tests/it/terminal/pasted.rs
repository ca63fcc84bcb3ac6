//! `login --paste` with a person before the terminal: what is pasted is never seen, and the terminal is put back.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::mpsc;

use codex_oauth_proto::{ErrorCode, WireError};
use codex_oauth_rig::{Rig, binary};
use fake_openai::{Effect, Endpoint};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::pty::{self, Person};
use crate::login::{ada, begin, begin_with, complete, login_with};
use crate::rig::{PATIENCE, Place, Script, Session, script};

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
fn what_can_be_no_code_is_told_to_nobody_and_a_refused_code_to_every_window_in_its_order() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let window = |args: &[&str]| {
        let mut command = rig.home.command(&binary("codex-oauth"));
        command.args(args);
        Person::before(command, 80)
    };
    let mut person = window(&["login", "--paste"]);
    person.sees(PROMPT);
    let mut other = window(&["login", "--no-browser"]);
    other.sees("Ctrl-C stops");
    for word in ["clear", "two words", "https://chatgpt.com/"] {
        person.types(&format!("{word}\n"));
        let said = person.until(PROMPT);
        assert!(said.contains("could not use what was pasted: it is neither"), "{said}");
    }
    assert_eq!(rig.fake.requests(Endpoint::CodeExchange).len(), 0, "the issuer was not asked");
    rig.fake.next(Endpoint::CodeExchange, Effect::hold("gate"));
    person.types("ac_MISTYPED_0123456789_FAKE\n");
    for window in [&mut person, &mut other] {
        window.sees("getting tokens\r\n");
    }
    rig.fake.release("gate");
    other.sees("could not exchange the authorization code: ");
    let said = person.until(PROMPT);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("could not exchange the authorization code: "), "{said}");
    assert_eq!(said.matches("could not exchange").count(), 1, "{said}");
    assert!(lines.last().unwrap().starts_with("or paste the address"), "{said}");
    for window in [other, person] {
        window.signal(Signal::INT);
        let (_, echo, screen) = window.leaves();
        assert!(echo && !screen.contains("MISTYPED"), "{screen}");
    }
}

/// A daemon that asks for a login and takes the first text that is pasted.
fn one_paste_signs_in() -> Script {
    script(|mut session| {
        begin(&mut session, "not_authenticated", &Value::Null, false);
        assert_eq!(pasted(&mut session, false), "CANARY");
        complete(&mut session, "l", &ada(), &Value::Null);
    })
}

#[test]
fn ctrl_d_ends_no_pasting_and_the_next_paste_is_taken() {
    let place = Place::new();
    let daemon = place.daemon(vec![one_paste_signs_in()]);
    let mut person = Person::before(place.command(&["login", "--paste"]), 80);
    person.sees(PROMPT);
    for _ in 0..2 {
        person.types("\x04");
        person.sees(PROMPT);
    }
    person.types("CANARY\n");
    person.sees("signed in as ada@example.com");
    let (ran, echo, screen) = person.leaves();
    assert_eq!((ran.code(), echo), (0, true), "{screen}");
    daemon.done();
}

#[test]
fn after_ctrl_z_and_fg_the_prompt_is_back_and_what_is_pasted_is_not_shown() {
    let place = Place::new();
    let daemon = place.daemon(vec![one_paste_signs_in()]);
    let mut person = Person::in_a_shell(&place.command(&["login", "--paste"]), 80);
    person.sees(PROMPT);
    for _ in 0..2 {
        assert!(!person.has_echo());
        person.types("\x1a");
        person.sees(pty::SHELL_PROMPT);
        assert!(person.has_echo(), "the shell shows what is typed");
        person.types("fg\n");
        person.sees("or paste the address");
        person.sees(PROMPT);
    }
    assert!(!person.has_echo());
    person.types("CANARY\n");
    person.sees("signed in as ada@example.com");
    person.sees(pty::SHELL_PROMPT);
    assert!(person.has_echo());
    person.types("exit\n");
    let (_, _, screen) = person.leaves();
    assert!(!screen.contains("CANARY"), "{screen}");
    daemon.done();
}

#[test]
fn who_was_stopped_without_being_asked_is_silent_again_afterwards_and_puts_the_terminal_back() {
    let place = Place::new();
    let daemon = place.daemon(vec![one_paste_signs_in()]);
    let mut person = Person::before(place.command(&["login", "--paste"]), 80);
    person.sees(PROMPT);
    person.signal(Signal::STOP);
    person.shows_what_is_typed();
    person.signal(Signal::CONT);
    person.sees(PROMPT);
    assert!(!person.has_echo());
    person.types("CANARY\n");
    let (ran, echo, screen) = person.leaves();
    assert_eq!((ran.code(), echo), (0, true), "{screen}");
    assert!(!screen.contains("CANARY"), "{screen}");
    daemon.done();
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
            let advises = screen.contains("--paste");
            assert!(!advises || !screen.contains(PROMPT), "what is done is not advised: {screen}");
            let wide = screen.lines().find(|line| line.chars().count() > 80 && !line.starts_with("https://"));
            assert!(wide.is_none(), "{place_of_person}: {wide:?} in\n{screen}");
            assert!(screen.lines().count() <= 24, "{screen}");
            daemon.done();
        }
    }
}
