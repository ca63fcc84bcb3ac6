//! `docs/ERRORS.md`, made from the code: the catalogue, the exit codes, and the next steps as each surface words them.
//!
//! After a change of any of them: `CODEX_OAUTH_BLESS=1 cargo test -p codex-oauth errors_page` writes the page.

use std::fmt::Write as _;
use std::path::Path;

use codex_oauth_proto::people::errors::{self, Entry};
use codex_oauth_proto::{ErrorCode, NextStep, Retry, Surface};
use serde::Serialize;

use crate::exit::Exit;

const HEAD: &str = "\
# Errors

Every failure of codex-oauth has one of the codes below: in the JSON of `--json`, on the socket
([SOCKET_API.md](SOCKET_API.md#errors)), and in `codex-oauth explain`. A program branches on the code; the message is for people
and may change. `codex-oauth explain CODE` shows an entry of this page in a terminal.

An error says what happened, and on a second line, `next:`, the one thing to do about it, worded for where it is read. The error
of a question ends with a third line, `details:`, that names the question: what it leads to tells step by step what became of it.
The daemon has no HTTP door of its own. The status in the third column is for a program that puts its socket behind HTTP; each
error on the socket carries it, as `http_status` ([SOCKET_API.md](SOCKET_API.md#behind-http)). Those in the messages are OpenAI's.

The retry class says whether the same may be sent again. Nothing that may have been carried out is ever repeated by itself.

This page is made from the code: `CODEX_OAUTH_BLESS=1 cargo test -p codex-oauth errors_page` writes it, and a test compares it.

";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str(
        "| code | exit code | over HTTP | retry class | usual next step in a shell |\n| --- | --- | --- | --- | --- |\n",
    );
    for code in ErrorCode::ALL {
        let (name, entry) = (word(code), errors::entry(*code));
        let step = entry.usual.next_step.as_ref().map(|step| step.render(Surface::Shell)).unwrap_or_default();
        let (exit, http, retry) = (Exit::of(*code) as u8, code.http_status(), retry(entry.usual.retry));
        writeln!(page, "| [`{name}`](#{name}) | {exit} | {http} | `{retry}` | {step} |").unwrap();
    }
    for code in ErrorCode::ALL {
        page.push('\n');
        page.push_str(&section(*code, &errors::entry(*code)));
    }
    page
}

fn section(code: ErrorCode, entry: &Entry) -> String {
    let Entry { meaning, usual, otherwise, retries } = entry;
    let (claude, shell) = (usual.render(Surface::ClaudeCode), usual.render(Surface::Shell));
    let mut text = format!("## `{}`\n\n{meaning}\n\n", word(&code));
    write!(text, "In Claude Code:\n\n```text\n{claude}\n```\n\n").unwrap();
    write!(text, "In a shell, exit code {}:\n\n```text\nerror: {shell}\n```\n\n", Exit::of(code) as u8)
        .unwrap();
    write!(text, "Over HTTP: status {}.\n\n", code.http_status()).unwrap();
    let classes: Vec<String> = retries
        .iter()
        .map(|class| format!("* `{}`: {}\n", retry(*class), errors::retry_in_words(*class)))
        .collect();
    write!(text, "Retry class:\n\n{}", classes.concat()).unwrap();
    if !otherwise.is_empty() {
        text.push_str("\nThe next step, where it is another one:\n\n");
    }
    for (when, step) in otherwise {
        writeln!(text, "* {when}: {}", both(step)).unwrap();
    }
    text
}

/// A step once, or for each surface where they differ.
fn both(step: &NextStep) -> String {
    let (claude, shell) = (step.render(Surface::ClaudeCode), step.render(Surface::Shell));
    if claude == shell { shell } else { format!("{claude} (in a shell: {shell})") }
}

fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

fn retry(class: Retry) -> String {
    serde_json::to_value(class).unwrap()["kind"].as_str().unwrap().to_owned()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a page of the repository, written by whoever changes it")]
fn the_page_of_the_errors_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ERRORS.md");
    if std::env::var_os("CODEX_OAUTH_BLESS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/ERRORS.md is not what the code says: CODEX_OAUTH_BLESS=1 cargo test -p codex-oauth errors_page"
    );
}
