//! `account`: the accounts, and the logins of other programs.

use std::path::PathBuf;

use codex_oauth_rig::{Rig, binary};
use serde_json::{Value, json};

use crate::doctor::run;
use crate::rig::{Place, replies, script};

fn accounts() -> Value {
    let named = |name: &str, is_default: bool, status: &str, mode: Value| {
        json!({ "name": name, "isDefault": is_default, "status": status, "codexMode": mode, "codexFile": null,
                "account": { "accountId": "acc", "email": format!("{name}@example.com"), "planType": "plus" } })
    };
    json!({ "accounts": [
        named("default", false, "authenticated", Value::Null),
        named("work", true, "expired", Value::Null),
        named("codex", false, "needs_refresh", json!("share")),
        named("theirs", false, "authenticated", json!("borrow")),
    ] })
}

#[test]
fn the_list_marks_the_default_one_and_says_whose_each_login_is() {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("account/list", accounts())]));
    let ran = place.run(&["account", "list"]);
    let lines: Vec<&str> = ran.stdout.lines().map(str::trim).collect();
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    for (line, [begins, ends]) in lines.iter().zip([
        ["default", "signed in"],
        ["*  work", "expired"],
        ["codex", "signed in, shared with the Codex CLI"],
        ["theirs", "signed in, borrowed from the Codex CLI"],
    ]) {
        assert!(line.starts_with(begins) && line.ends_with(ends), "{}", ran.stdout);
    }
    daemon.done();

    let place = Place::new();
    let daemon = place.daemon(replies(vec![("account/list", accounts())]));
    assert_eq!(place.run(&["account", "list", "--json"]).json(), accounts());
    daemon.done();
}

#[test]
fn use_and_remove_name_the_account_and_say_what_became_of_it() {
    for (args, method, reply, told) in [
        (
            ["account", "use", "work"],
            "account/use",
            json!({}),
            "`work` serves every session that names no account",
        ),
        (
            ["account", "remove", "work"],
            "account/remove",
            json!({ "wasSignedIn": true, "revoked": true, "note": null }),
            "`work` is removed: signed out here and at OpenAI",
        ),
        (
            ["account", "remove", "work"],
            "account/remove",
            json!({ "wasSignedIn": true, "revoked": false, "note": "the Codex CLI's own login stays as it is" }),
            "the Codex CLI's own login stays as it is",
        ),
    ] {
        let place = Place::new();
        let daemon = place.daemon(vec![script(move |mut session| {
            let request = session.request(method);
            assert_eq!(request.params, json!({ "account": "work" }));
            session.reply(&request, reply);
        })]);
        let ran = place.run(&args);
        assert!(ran.code() == 0 && ran.stderr.contains(told), "{args:?}: {}", ran.stderr);
        daemon.done();
    }
}

#[test]
fn the_codex_clis_file_is_found_as_that_program_finds_it_and_the_terms_are_told() {
    for (mode, args, folder, told) in [
        ("borrow", vec!["codex"], None, "never renewed here"),
        ("share", vec![], None, "cannot protect the login"),
        ("share", vec!["mine", "--codex-home", "/other"], Some("/other"), "codex-oauth account use mine"),
    ] {
        let place = Place::new();
        let name = args.first().copied().unwrap_or("codex").to_owned();
        let folder = folder.map_or_else(|| place.path().join(".codex"), PathBuf::from);
        let file = folder.join("auth.json").display().to_string();
        let daemon = place.daemon(vec![script(move |mut session| {
            let request = session.request("account/adopt");
            assert_eq!(request.params, json!({ "account": name, "file": file, "mode": mode }));
            session.reply(&request, json!({}));
        })]);
        let ran = place.run(&[vec!["account", mode], args].concat());
        assert!(ran.code() == 0 && ran.stderr.contains(told), "{mode}: {}", ran.stderr);
        daemon.done();
    }
}

#[test]
fn an_import_that_nobody_can_be_asked_about_needs_to_be_told_twice() {
    for args in [vec!["account", "import"], vec!["account", "import", "--plugin"]] {
        let place = Place::new();
        let ran = place.run(&args);
        assert!(ran.code() != 0 && ran.stderr.contains("good for one use"), "{}", ran.stderr);
        assert!(ran.stderr.contains("`--take` does it all the same"), "{}", ran.stderr);

        let (account, file) = match args.len() {
            2 => ("codex", place.path().join(".codex/auth.json")),
            _ => ("default", place.path().join("auth.json")),
        };
        let file = file.display().to_string();
        let daemon = place.daemon(vec![script(move |mut session| {
            let request = session.request("account/adopt");
            assert_eq!(request.params, json!({ "account": account, "file": file, "mode": "import" }));
            session.reply(&request, json!({}));
        })]);
        let ran = place.run(&[args, vec!["--take"]].concat());
        assert_eq!(ran.code(), 0, "{}", ran.stderr);
        daemon.done();
    }
}

#[test]
fn the_default_account_is_not_said_to_be_removed_and_a_name_that_cannot_be_one_asks_for_another() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let command = |args: &[&str]| run(rig.home.command(&binary("codex-oauth")).args(args));
    let refused = command(&["account", "remove", "default"]);
    assert_eq!((refused.code(), refused.stdout.as_str()), (2, ""));
    let words = ["could not remove the account `default`", "`codex-oauth logout` signs it out"];
    assert!(words.iter().all(|word| refused.stderr.contains(word)), "{}", refused.stderr);
    assert_eq!(command(&["status"]).code(), 0, "it is still signed in");
    let refused = command(&["login", "--account", "Bad Name"]);
    let words = ["a name has 1 to 32 lower-case letters", "next: correct the argument"];
    assert!(words.iter().all(|word| refused.stderr.contains(word)), "{}", refused.stderr);
}
