//! `account import` with a person before the terminal: a login of one's own is the default.

use serde_json::{Value, json};

use super::pty::Person;
use crate::login::{ada, begin_with, complete};
use crate::rig::{Place, script};

const PROMPT: &str = "instead? [Y/n] ";

#[test]
fn enter_signs_in_with_a_login_of_its_own() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        let params = begin_with(&mut session, "not_authenticated", &Value::Null, &json!({}));
        assert_eq!(params["account"], "mine");
        complete(&mut session, "l", &ada(), &Value::Null);
    })]);
    let mut person = Person::before(place.command(&["account", "import", "mine"]), 80);
    person.sees("good for one use");
    person.sees(PROMPT);
    person.types("\n");
    person.sees("signed in as ada@example.com");
    let (ran, _, screen) = person.leaves();
    assert_eq!(ran.code(), 0, "{screen}");
    daemon.done();
}

#[test]
fn only_a_no_takes_the_other_programs_login_over() {
    let place = Place::new();
    let daemon = place.daemon(vec![script(|mut session| {
        let request = session.request("account/adopt");
        assert_eq!((&request.params["account"], &request.params["mode"]), (&json!("mine"), &json!("import")));
        session.reply(&request, json!({}));
    })]);
    let mut person = Person::before(place.command(&["account", "import", "mine"]), 80);
    person.sees(PROMPT);
    person.types("n\n");
    person.sees("the login is now the account `mine`");
    let (ran, _, screen) = person.leaves();
    assert_eq!(ran.code(), 0, "{screen}");
    daemon.done();
}
