//! The binary: one JSON line, then a server until its standard input closes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use fake_openai::browse;
use serde_json::Value;

#[test]
fn the_binary_says_where_it_listens_and_stops_with_its_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let mut process = Command::new(env!("CARGO_BIN_EXE_fake-openai"))
        .args([
            "--tls-listen",
            "127.0.0.1:0",
            "--reuse-policy",
            "kill_refresh_family",
            "--until-stdin-closes",
        ])
        .args(["--access-token-life", "60", "--ca-out"])
        .arg(&ca)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let urls: Value = serde_json::from_str(&line).unwrap();
    assert!(urls["tls_backend_url"].as_str().unwrap().starts_with("https://localhost:"));
    assert!(std::fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    let page = browse(&format!("{}/config", urls["admin_url"].as_str().unwrap())).unwrap();
    let config: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(config["reuse_policy"], "kill_refresh_family");
    assert_eq!(config["access_token_life_secs"], 60);
    drop(process.stdin.take());
    assert!(process.wait().unwrap().success());
}
