//! TLS with the fake's own authority; HTTP/2 on both listeners.

use fake_openai::{Config, Effect, Endpoint};
use reqwest::{Certificate, Version};

use crate::rig::{Rig, client, signed, turn_body, with_json};

fn trusting(rig: &Rig) -> reqwest::Client {
    let authority = Certificate::from_pem(rig.fake.ca_pem().as_bytes()).unwrap();
    client().tls_certs_only([authority]).build().unwrap()
}

#[tokio::test]
async fn the_authority_is_enough_to_speak_http_2_over_tls() {
    let rig = Rig::with(Config::with_tls());
    let login = rig.login();
    let url = format!("{}/codex/responses", rig.fake.tls_backend_url().unwrap());
    let request = with_json(signed(trusting(&rig).post(url), &login), &turn_body("hi"));
    let response = request.send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    assert!(response.text().await.unwrap().contains("response.completed"));
    let entry = rig.fake.journal().remove(0);
    assert_eq!((entry.tls, entry.http_version.as_str()), (true, "HTTP/2.0"));
}

#[tokio::test]
async fn without_the_authority_the_handshake_fails() {
    let rig = Rig::with(Config::with_tls());
    let other = Rig::with(Config::with_tls());
    let url = rig.fake.tls_issuer_url().unwrap();
    assert!(trusting(&other).get(url).send().await.is_err());
    assert!(rig.fake.journal().is_empty());
}

#[tokio::test]
async fn a_stream_reset_over_http_2_is_seen_and_the_connection_lives_on() {
    let rig = Rig::with(Config::with_tls());
    let (login, http) = (rig.login(), trusting(&rig));
    rig.fake.next(Endpoint::Responses, Effect::stall_after(2));
    let url = format!("{}/codex/responses", rig.fake.tls_backend_url().unwrap());
    let turn = || with_json(signed(http.post(&url), &login), &turn_body("hi"));
    let mut stalled = turn().send().await.unwrap();
    assert!(stalled.chunk().await.unwrap().is_some());
    drop(stalled);
    rig.fake.wait_for_async(|journal| journal[0].client_gone()).await.unwrap();
    turn().send().await.unwrap().text().await.unwrap();
    let journal = rig.fake.journal();
    assert_eq!(journal[0].connection, journal[1].connection);
}

#[tokio::test]
async fn close_ends_the_whole_tcp_connection_over_http_2_too() {
    let rig = Rig::with(Config::with_tls());
    let (login, http) = (rig.login(), trusting(&rig));
    let url = format!("{}/wham/usage", rig.fake.tls_backend_url().unwrap());
    let get = || signed(http.get(&url), &login).send();
    get().await.unwrap();
    rig.fake.next(Endpoint::Usage, Effect::close());
    assert!(get().await.is_err());
    get().await.unwrap();
    let connections: Vec<u64> = rig.fake.journal().iter().map(|entry| entry.connection).collect();
    assert_eq!(connections[0], connections[1]);
    assert_ne!(connections[1], connections[2]);
}

#[tokio::test]
async fn the_plain_listener_speaks_http_2_with_prior_knowledge() {
    let rig = Rig::start();
    let http = client().http2_prior_knowledge().build().unwrap();
    let response = signed(http.get(format!("{}/wham/usage", rig.fake.backend_url())), &rig.login()).send();
    assert_eq!(response.await.unwrap().version(), Version::HTTP_2);
}
