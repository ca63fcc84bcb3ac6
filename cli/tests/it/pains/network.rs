//! Pains on the way to OpenAI.

use std::io::Write as _;
use std::net::TcpListener;

use codex_oauth_rig::{Home, Rig, binary, text_of};
use fake_openai::{Effect, Endpoint, FakeProxy, ProxyBehaviour, Script};
use serde_json::{Value, json};

use super::house::{House, doctor, named_also};
use crate::doctor::run;

pub(super) fn a_block_page_of_cloudflare() {
    let house = House::signed_in();
    for endpoint in [Endpoint::Responses, Endpoint::AccountsCheck, Endpoint::Models, Endpoint::Usage] {
        house.rig.fake.script(Script::always(endpoint, Effect::cloudflare_blocked()));
    }
    house.fails(&["Cloudflare", "next: "]);
    house.doctor_names("backend", "fail", &["Cloudflare", "another network"]);
    // The step is another network, on which there is no such page.
    house.rig.fake.clear_scripts();
    house.answers();
    house.is_well();
}

/// A house whose only way to issuer and backend, which are the public ones, is this proxy; nobody may start a daemon.
fn behind_a_proxy() -> (House, FakeProxy) {
    let rig = Rig::behind(&[]);
    let proxy = FakeProxy::start(&rig.fake, ProxyBehaviour::default()).unwrap();
    let rig = rig.set(&[("CODEX_OAUTH_PROXY", &proxy.url())]);
    let daemon = rig.signed_in();
    (House { rig, daemon: Some(daemon) }, proxy)
}

pub(super) fn a_proxy_that_is_gone() {
    let (house, proxy) = behind_a_proxy();
    let there = proxy.url();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("http://{nobody}");
    let house = house.with_home(|home| home.set("CODEX_OAUTH_PROXY", &gone).spawning());
    house.fails(&["could not reach the proxy", &gone, "CODEX_OAUTH_PROXY", "next: set CODEX_OAUTH_PROXY"]);
    house.doctor_names("issuer", "fail", &["could not reach the proxy", &gone, "CODEX_OAUTH_PROXY"]);
    assert_eq!(house.command(&["daemon", "stop"]).code(), 0);
    let house = house.with_home(|home| home.set("CODEX_OAUTH_PROXY", &there));
    house.answers();
    house.doctor_names("backend", "ok", &["https://chatgpt.com", &there, "CODEX_OAUTH_PROXY"]);
    house.is_well();
}

pub(super) fn a_shell_with_another_proxy() {
    let rig = Rig::behind(&[]);
    let proxy = FakeProxy::start(&rig.fake, ProxyBehaviour::default()).unwrap();
    let house = House { rig, daemon: None }.with_home(Home::spawning);
    // The configuration names the one that the company had before.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = house.rig.home.path().join("config/config.toml");
    codex_oauth_rig::write(&config, &format!("proxy = 'http://{gone}'\n"));
    let url = proxy.url();
    let shell = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "corp.example, localhost")];
    let command = |args: &[&str]| {
        let mut command = house.rig.home.command(&binary("codex-oauth"));
        command.args(args).envs(shell);
        command
    };
    let report = doctor(&mut command(&["doctor"]));
    let words = ["config.toml`), not through", "(HTTPS_PROXY)", "codex-oauth config import", "daemon stop"];
    named_also(&report, "session", "warn", &words);
    assert_eq!(run(&mut command(&["config", "import"])).code(), 0);
    assert_eq!(run(&mut command(&["daemon", "stop"])).code(), 0);
    let report = doctor(&mut command(&["doctor"]));
    named_also(&report, "session", "ok", &[]);
    named_also(&report, "backend", "ok", &["https://chatgpt.com", &url, "config.toml"]);
    // Other exceptions count as well; what is on this machine is excepted anyway.
    let mut other = command(&["doctor"]);
    let report = doctor(other.env("NO_PROXY", "127.0.0.1,chatgpt.com"));
    named_also(&report, "session", "warn", &["chatgpt.com", "(NO_PROXY)", "codex-oauth config import"]);
    let mut same = command(&["doctor"]);
    named_also(&doctor(same.env("NO_PROXY", "::1,corp.example")), "session", "ok", &[]);
    let status = run(command(&["status"]).env("NO_PROXY", "chatgpt.com"));
    assert!((status.stdout + &status.stderr).contains("(NO_PROXY)"));
}

pub(super) fn an_address_at_which_nobody_listens() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wrong = format!("http://{nobody}/codex");
    let house = House::signed_in().with_home(Home::spawning);
    let right = house.rig.fake.issuer_url();
    let house = house.with_home(|home| home.set("CODEX_OAUTH_ISSUER_URL", &wrong));
    let text = text_of(&house.tool("codex_login", &json!({"device": true})));
    assert!(!text.is_empty());
    let words = [
        "could not reach",
        &nobody.to_string(),
        "Connection refused",
        "the address in CODEX_OAUTH_ISSUER_URL",
    ];
    let report = house.doctor_names("issuer", "fail", &words);
    assert!(!report.to_string().contains("client error"), "layers of the HTTP client are no cause: {report}");
    assert_eq!(house.command(&["daemon", "stop"]).code(), 0);
    let house = house.with_home(|home| home.set("CODEX_OAUTH_ISSUER_URL", &right));
    house.answers();
    house.is_well();
}

pub(super) fn a_block_page_in_front_of_the_issuer() {
    let house = House::signed_in();
    house.rig.fake.invalidate_access_tokens();
    house.rig.fake.script(Script::always(Endpoint::Refresh, Effect::cloudflare_blocked()));
    house.fails(&[
        "could not ask the issuer (HTTP 403): access blocked by Cloudflare",
        "next: try from another network",
    ]);
    house.doctor_names("login", "fail", &["Cloudflare", "another network"]);
    house.rig.fake.clear_scripts();
    house.answers_in_the_end();
    house.is_well();
}

pub(super) fn an_authority_that_nobody_here_trusts() {
    let rig = Rig::over_tls();
    let daemon = rig.signed_in();
    let house = House { rig, daemon: Some(daemon) };
    let house = house.with_home(|home| home.unset("CODEX_OAUTH_CA_FILE").spawning());
    let by = "issued by `fake-openai FAKE CA`, leads to no root that is trusted here";
    house.fails(&[by, "next: set ca_file in"]);
    house.doctor_names("issuer", "fail", &[by, "ca_file", "codex-oauth daemon stop"]);
    // The step: name the authority's certificate in the configuration, and let the daemon read it.
    let mut config = std::fs::File::create(house.rig.home.path().join("config/config.toml")).unwrap();
    writeln!(config, "ca_file = '{}'", house.rig.home.path().join("ca.pem").display()).unwrap();
    assert_eq!(house.command(&["daemon", "stop"]).code(), 0);
    house.answers();
    house.doctor_names("issuer", "ok", &["roots also of", "config.toml"]);
    house.is_well();
}

pub(super) fn a_clock_that_is_wrong() {
    let house = House::signed_in();
    // As seen from the server, whose time goes with every answer, this machine is a quarter of a century ahead.
    let past = Effect::respond(404, Value::Null).header("date", "Sat, 01 Jan 2000 00:00:00 GMT");
    house.rig.fake.script(Script::always(Endpoint::Other, past));
    house.answers();
    house.doctor_names("clock", "warn", &["ahead of OpenAI's", "set the clock of this machine"]);
    house.rig.fake.clear_scripts();
    house.doctor_names("clock", "ok", &["of OpenAI's"]);
}
