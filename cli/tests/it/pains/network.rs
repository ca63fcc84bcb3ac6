//! Pains on the way to OpenAI.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

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

/// A CONNECT proxy (RFC 9110 §9.3.6) whose every tunnel leads to the fake; it lives as long as the test's process.
fn proxy_to(rig: &Rig) -> String {
    let url = rig.fake.tls_issuer_url().unwrap();
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || tunnel(client.unwrap(), port));
        }
    });
    format!("http://{address}")
}

fn tunnel(mut client: TcpStream, port: u16) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    // Either end may hang up at any time.
    thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    let _ended = std::io::copy(&mut server, &mut client);
}

pub(super) fn a_proxy_that_is_gone() {
    let rig = Rig::over_tls();
    let daemon = rig.signed_in();
    let house = House { rig, daemon: Some(daemon) };
    let house = house.with_home(|home| home.unset("CODEX_OAUTH_ISSUER_URL").unset("CODEX_OAUTH_BACKEND_URL"));
    // The login as one of the public servers, which only a proxy leads to here; without the two it is theirs.
    let file = house.rig.home.auth_file();
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let grant = record["openai_codex"]["grant"].as_object_mut().unwrap();
    assert!(grant.remove("issuer").is_some() && grant.remove("backend_origin").is_some());
    std::fs::File::create(&file).unwrap().write_all(record.to_string().as_bytes()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "it holds the record as it was")]
    std::fs::remove_file(file.with_file_name(".auth.json.copy")).unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("http://{nobody}");
    let house = house.with_home(|home| home.set("CODEX_OAUTH_PROXY", &gone).spawning());
    house.fails(&["could not reach the proxy", &gone, "CODEX_OAUTH_PROXY", "next: set CODEX_OAUTH_PROXY"]);
    house.doctor_names("issuer", "fail", &["could not reach the proxy", &gone, "CODEX_OAUTH_PROXY"]);
    assert_eq!(house.command(&["daemon", "stop"]).code(), 0);
    let there = proxy_to(&house.rig);
    let house = house.with_home(|home| home.set("CODEX_OAUTH_PROXY", &there));
    house.answers();
    house.doctor_names("backend", "ok", &["https://chatgpt.com", &there, "CODEX_OAUTH_PROXY"]);
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
