//! Whatever the bytes of the credential file are, reading them ends in a login, in none, or in an error that quotes nothing.

use codex_oauth_rig::scale::{Seeded, rounds};
use serde_json::Value;

use super::parse_document;
use crate::auth::record;

/// What was worth keeping: real shapes, the original plugin's, and what broke readers of such files elsewhere.
const CORPUS: [&str; 12] = [
    r#"{"openai_codex":{"access_token":"a.b.c","account_id":"x","expires_at":1795337241,"grant":{"refresh_token":"r","issuer":"https://a.example","backend_origin":"https://b.example","client_id":"c","obtained_at":1,"last_refresh":2,"renewals":3}}}"#,
    r#"{"zed":1,"openai_codex":{"access_token":"a","refresh_token":"r","expires_at":17953372410000,"account_id":"org-1","type":"oauth"},"beta":null}"#,
    r#"{"openai_codex":{"access_token":"eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTUzMzcyNDEsImNoYXRncHRfYWNjb3VudF9pZCI6ImEifQ.c2ln","grant":{"refresh_token":"r"}}}"#,
    r#"{"openai_codex":null}"#,
    r#"{"openai_codex":{"access_token":"a","account_id":"x","expires_at":-1e308,"grant":{"refresh_token":"r","obtained_at":1e308,"renewals":-5}}}"#,
    r#"{"openai_codex":{"access_token":"a","account_id":"x","grant":null}}"#,
    r#"{"openai_codex":{"access_token":"\ud800","account_id":"x"}}"#,
    r#"{"openai_codex":{"access_token":"a","access_token":"b","account_id":"x"}}"#,
    "\u{feff}{}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{",
    "",
];

/// Pieces that mean something to the reader.
const WORDS: [&str; 14] = [
    "openai_codex",
    "grant",
    "refresh_token",
    "access_token",
    "null",
    "{",
    "}",
    "\"",
    "\\u0000",
    "18446744073709551616",
    "1e999",
    "..",
    "\n",
    "eyJ",
];

#[test]
fn no_bytes_make_the_reader_panic_and_what_it_accepts_is_written_and_read_back() {
    let mut dice = Seeded::new("fuzz of auth.json");
    let (mut logins, mut errors) = (0, 0);
    for round in 0..rounds(200_000) {
        let mut bytes = CORPUS[round as usize % CORPUS.len()].as_bytes().to_vec();
        for _ in 0..dice.below(5) {
            dice.mutate(&mut bytes, &WORDS);
        }
        let Ok(document) = parse_document(&bytes) else {
            errors += 1;
            continue;
        };
        let Some(value) = document.get(crate::auth::shelf::KEY) else { continue };
        match record::parse(value) {
            Ok(login) => {
                logins += 1;
                let again = record::parse(&Value::Object(record::render(&login)));
                assert_eq!(again.unwrap(), login, "{:?}", String::from_utf8_lossy(&bytes));
            }
            Err(error) => {
                errors += 1;
                assert!(error.to_string().starts_with("the record"), "{error}");
            }
        }
    }
    assert!(logins > 100 && errors > 100, "both happen: {logins}, {errors}");
}
