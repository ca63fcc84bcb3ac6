//! Several accounts in one house: who serves whom, what is told of it, and that nobody but a person changes it.

use codex_oauth_proto::api::account::{
    AccountList, AccountParams, AccountUse, LoginStart, LoginStartParams, LoginStatus, NamedAccount,
    OfAccount, RateLimitsParams, RateLimitsRead, Read, ReadParams,
};
use codex_oauth_proto::api::model;
use codex_oauth_proto::api::turn::{self, COMPLETED, Completed, InputItem};
use codex_oauth_proto::{Client, ErrorCode, NextStep};
use codex_oauth_rig::{Daemon, Rig, Shim, login_end, text_of};
use fake_openai::{Effect, Endpoint, Identity};
use serde_json::json;

const SECOND: &str = "22222222-2222-4333-8444-555555555555";

/// Signed in as the fake's own person, and as Bob under the name `work`.
fn house() -> (Rig, Daemon) {
    let rig = Rig::new();
    let daemon = rig.signed_in();
    sign_in_as_bob(&rig);
    (rig, daemon)
}

fn sign_in_as_bob(rig: &Rig) {
    let mut first = None;
    rig.fake.configure(|behaviour| {
        first = Some(behaviour.identity.clone());
        let (email, account_id) = ("bob@example.com".to_owned(), SECOND.to_owned());
        behaviour.identity = Identity { email, account_id, ..behaviour.identity.clone() };
    });
    let mut client = rig.api();
    let params = LoginStartParams {
        device: Some(false),
        account: Some("work".to_owned()),
        ..LoginStartParams::default()
    };
    let started = client.call::<LoginStart>(&params).unwrap();
    rig.fake.authorize(&started.auth_url).unwrap();
    let end = login_end(&mut client);
    assert_eq!(end["success"], true, "{end}");
    rig.fake.configure(|behaviour| behaviour.identity = first.take().unwrap());
}

fn ask(client: &mut Client, account: Option<&str>) -> Completed {
    let params = turn::StartParams {
        input: vec![InputItem::Text { text: "hello".to_owned() }],
        account: account.map(str::to_owned),
        ..turn::StartParams::default()
    };
    client.call::<turn::Start>(&params).unwrap();
    loop {
        let told = client.notification().unwrap();
        if told.method == COMPLETED {
            return told.read().unwrap();
        }
    }
}

/// The account of the last question, as the backend saw it.
fn served(rig: &Rig) -> String {
    let last = rig.fake.requests(Endpoint::Responses).pop().unwrap();
    last.headers.iter().find(|(name, _)| name == "chatgpt-account-id").unwrap().1.clone()
}

#[test]
fn a_call_and_the_default_choose_the_account_and_every_answer_names_it() {
    let (rig, _daemon) = house();
    let mut client = rig.api();
    for (choice, name, is_bob) in [(None, "default", false), (Some("work"), "work", true)] {
        let answer = ask(&mut client, choice);
        assert_eq!(answer.account.as_deref(), Some(name), "{answer:?}");
        assert!(answer.summary.unwrap().contains(&format!("account {name}")));
        assert_eq!(served(&rig) == SECOND, is_bob);
    }
    // A session that is open stays so, and its next question goes to the other account.
    let mut shim = Shim::initialized(&rig.home);
    client.call::<AccountUse>(&AccountParams { account: "work".to_owned() }).unwrap();
    let result = shim.request_tool("codex_query", &json!({"prompt": "hello"}));
    assert!(text_of(&result).contains("account work"), "{result}");
    assert_eq!(served(&rig), SECOND);
    let status = text_of(&shim.request_tool("codex_status", &json!({})));
    assert!(status.contains("work (default): bob@example.com"), "{status}");
    let result = shim.request_tool("codex_query", &json!({"prompt": "hello", "account": "nobody"}));
    assert_eq!(result["isError"], true);
    assert_eq!(rig.fake.requests(Endpoint::Revoke).len(), 0, "nobody was signed out");
}

#[test]
fn whoever_is_signed_in_to_a_further_account_alone_is_told_so_and_how_to_use_it() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let mut client = rig.api();
    let mut read = |account: Option<&str>| {
        let account = account.map(str::to_owned);
        client.call::<Read>(&ReadParams { account, ..ReadParams::default() }).unwrap()
    };
    let nobody = read(None);
    assert_eq!((nobody.accounts, nobody.next_step), (Vec::new(), Some(NextStep::Login)));
    sign_in_as_bob(&rig);
    let alone = read(None);
    let listed = |accounts: &[NamedAccount]| accounts.iter().map(|of| of.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (alone.status, listed(&alone.accounts)),
        (LoginStatus::NotAuthenticated, vec!["work".to_owned()])
    );
    assert_eq!(alone.next_step, Some(NextStep::UseAccount { name: "work".to_owned() }));
    let chosen = (read(Some("default")), read(Some("work")));
    assert_eq!(chosen.0.next_step, Some(NextStep::Login), "that account was asked for");
    assert_eq!((chosen.1.status, chosen.1.accounts), (LoginStatus::Authenticated, Vec::new()));
    let mut shim = Shim::initialized(&rig.home);
    let told = text_of(&shim.request_tool("codex_status", &json!({})));
    for line in [
        "signed out (account default)",
        "account    work: bob@example.com (Plus)",
        "next       ask the user whether to use the account work: `codex-oauth account use work`",
    ] {
        assert!(told.lines().any(|shown| shown == line), "{line}\n{told}");
    }
    let use_work = Some(NextStep::UseAccount { name: "work".to_owned() });
    let mut asking = rig.api();
    let steps = [
        ask(&mut asking, None).error,
        asking.call::<model::List>(&OfAccount::default()).err(),
        asking.call::<RateLimitsRead>(&RateLimitsParams { refresh: true, ..Default::default() }).err(),
    ];
    for refused in steps {
        let refused = refused.expect("nobody is signed in to that account");
        assert!(refused.message.ends_with("nobody is signed in to the default account"), "{refused:?}");
        assert_eq!((refused.code, refused.next_step), (ErrorCode::NotLoggedIn, use_work.clone()));
    }
    let error = ask(&mut asking, Some("default")).error.expect("it was asked for");
    assert_eq!(error.next_step, Some(NextStep::Login));
    asking.call::<AccountUse>(&AccountParams { account: "work".to_owned() }).unwrap();
    assert_eq!((read(None).status, read(None).next_step), (LoginStatus::Authenticated, None));
}

#[test]
fn clearing_the_credentials_names_the_account_that_stays_signed_in() {
    let (rig, _daemon) = house();
    let mut shim = Shim::initialized(&rig.home);
    let told = text_of(&shim.request_tool("codex_clear", &json!({})));
    assert_eq!(
        told,
        "Credentials cleared and revoked. codex_login signs in again.\n\
         The account work stays signed in; `codex-oauth account remove work` signs it out."
    );
}

#[test]
fn a_limit_that_is_reached_ends_the_question_and_never_moves_it_to_another_account() {
    let (rig, _daemon) = house();
    let mut client = rig.api();
    rig.fake.next(Endpoint::Responses, Effect::usage_limit_without_details());
    let refused = ask(&mut client, None);
    assert_eq!(refused.error.map(|error| error.code), Some(ErrorCode::UsageLimitReached));
    assert_eq!(refused.account.as_deref(), Some("default"));
    let asked = rig.fake.requests(Endpoint::Responses).len();
    assert_ne!(served(&rig), SECOND);
    // The limit is the first account's alone: a person's choice of the other one is served.
    let answer = ask(&mut client, Some("work"));
    assert_eq!((answer.error, answer.account.as_deref()), (None, Some("work")));
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), asked + 1);
    let again = ask(&mut client, None);
    assert_eq!(again.account.as_deref(), Some("default"));
}

#[test]
fn the_folder_of_the_clients_process_chooses_its_account() {
    let rig = Rig::new();
    let here = std::env::current_dir().unwrap();
    let config = rig.home.env().config_dir().unwrap();
    std::fs::create_dir_all(&config).unwrap();
    rig.home.script(&config.join("config.toml"), &format!("[folders]\n{here:?} = \"work\"\n"));
    let _daemon = rig.daemon();
    rig.fake.configure(|_| {});
    sign_in_as_bob(&rig);
    let mut client = rig.api();
    let answer = ask(&mut client, None);
    assert_eq!(answer.account.as_deref(), Some("work"), "{answer:?}");
    let listed = client.call::<AccountList>(&codex_oauth_proto::api::Empty {}).unwrap().accounts;
    let names: Vec<&NamedAccount> = listed.iter().collect();
    assert_eq!(names.len(), 1);
    let read = client.call::<Read>(&ReadParams::default()).unwrap();
    assert_eq!(read.account_name, "work");
}
