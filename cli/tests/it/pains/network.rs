//! Pains on the way to OpenAI.

use std::io::Write as _;

use codex_oauth_rig::Rig;
use fake_openai::{Effect, Endpoint, Script};
use serde_json::Value;

use super::house::House;

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
