//! `models`, and `logout`, which is as short.

use serde_json::{Value, json};

use crate::rig::{Place, replies};

fn list() -> Value {
    json!({ "default": "gpt-6.1-sol", "models": [
        { "id": "gpt-6.1-sol", "displayName": "GPT-6.1 Sol", "description": "", "defaultReasoningEffort": "low",
          "reasoningEfforts": ["minimal", "low", "high"], "contextWindow": 400_000, "hidden": false, "isDefault": true },
        { "id": "gpt-5.5", "displayName": "", "description": "", "defaultReasoningEffort": "medium",
          "reasoningEfforts": ["medium"], "contextWindow": null, "hidden": false, "isDefault": false },
        { "id": "secret", "displayName": "", "description": "", "defaultReasoningEffort": null,
          "reasoningEfforts": [], "contextWindow": null, "hidden": true, "isDefault": false },
    ] })
}

#[test]
fn the_table_shows_names_efforts_and_the_default() {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("model/list", list())]));
    let ran = place.run(&["models"]);
    assert_eq!(
        ran.stdout,
        "model          efforts, the model's own in brackets\n\
         gpt-6.1-sol *  minimal [low] high\n\
         gpt-5.5        [medium]\n\
         * answers when a question names no model\n"
    );
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    daemon.done();
}

#[test]
fn hidden_models_are_shown_with_all_and_in_json() {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("model/list", list())]));
    let ran = place.run(&["models", "--all"]);
    assert!(ran.stdout.contains("\nsecret           (hidden)\n"), "{}", ran.stdout);
    daemon.done();

    let place = Place::new();
    let daemon = place.daemon(replies(vec![("model/list", list())]));
    assert_eq!(place.run(&["models", "--json"]).json(), list());
    daemon.done();
}

#[test]
fn an_empty_list_is_said_and_not_shown_as_a_table() {
    let place = Place::new();
    let daemon = place.daemon(replies(vec![("model/list", json!({ "models": [], "default": null }))]));
    let ran = place.run(&["models"]);
    assert_eq!(
        (ran.code(), ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "note: this account has no models\n")
    );
    daemon.done();
}

#[test]
fn logout_says_whether_the_login_was_revoked() {
    for (was, revoked, note, told) in [
        (true, true, None, "signed out here and at OpenAI\n"),
        (true, false, Some("the issuer was not told"), "signed out here; the issuer was not told\n"),
        (true, false, None, "signed out here; OpenAI did not confirm it\n"),
        (false, false, None, "nobody was signed in\n"),
    ] {
        let result = json!({ "wasSignedIn": was, "revoked": revoked, "note": note });
        let work = json!({ "name": "work", "isDefault": false, "status": "authenticated", "codexMode": null,
                           "account": { "accountId": "acc", "email": "bob@example.com", "planType": "pro" } });
        let stays =
            "note: the account work stays signed in; `codex-oauth account remove work` signs it out\n";
        let accounts = json!({ "accounts": [work] });
        for args in [vec!["logout"], vec!["logout", "--account", "a"], vec!["logout", "--json"]] {
            let place = Place::new();
            let mut answers = vec![("account/logout", result.clone())];
            answers.extend((args.len() == 1).then(|| ("account/list", accounts.clone())));
            let daemon = place.daemon(replies(answers));
            let ran = place.run(&args);
            assert_eq!(ran.code(), 0);
            if args == ["logout", "--json"] {
                assert_eq!(ran.json(), result);
            } else {
                let others = if args.len() == 1 { stays } else { "" };
                assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), (told, others));
            }
            daemon.done();
        }
    }
}
