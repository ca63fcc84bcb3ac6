//! The contract, pinned: every message of the socket has a file with its exact bytes. A file that changes is a change of
//! the contract (see `docs/SOCKET_API.md`, "Versions").

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::any::type_name;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use codex_oauth_proto::api::account::{AdoptMode, LoginStatus, LoginStep, Place};
use codex_oauth_proto::api::config::Source;
use codex_oauth_proto::api::probe::{Service, StepName};
use codex_oauth_proto::api::turn::TurnStatus;
use codex_oauth_proto::hello::Role;
use codex_oauth_proto::{ErrorCode, NextStep, Origin, Retry, Surface};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[path = "golden/account.rs"]
mod account;
#[path = "golden/probe.rs"]
mod probe;
#[path = "golden/samples.rs"]
mod samples;
#[path = "golden/words.rs"]
mod words;

/// The longest line that a terminal and Claude Code show without a break, after `next: `.
const LONGEST_STEP: usize = 110;

/// What a golden file can hold.
pub(crate) trait Message: Serialize + DeserializeOwned + PartialEq + Debug + 'static {}
impl<T: Serialize + DeserializeOwned + PartialEq + Debug + 'static> Message for T {}

/// What is wrong with a text as an encoding of one message; nothing when it decodes to it.
type Misread = Rc<dyn Fn(&str) -> Option<String>>;

/// A message with the file that pins it.
#[derive(Clone)]
pub(crate) struct Sample {
    file: String,
    of: &'static str,
    json: String,
    misread: Misread,
}

/// Names a message; `file` is without its extension.
pub(crate) fn sample<T: Message>(file: &str, value: T) -> Sample {
    let json = serde_json::to_string(&value).unwrap();
    let misread = move |text: &str| match serde_json::from_str::<T>(text) {
        Ok(decoded) if decoded == value => None,
        Ok(decoded) => Some(format!("it decodes to {decoded:?}")),
        Err(error) => Some(error.to_string()),
    };
    Sample { file: file.to_owned(), of: type_name::<T>(), json, misread: Rc::new(misread) }
}

/// `account/login/start` → `account_login_start`.
pub(crate) fn file_of(method: &str) -> String {
    method.replace('/', "_")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Names of the golden files, without their extension.
fn files() -> BTreeSet<String> {
    let paths = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let json = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    json.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Every source of this crate, without its unit tests.
fn sources() -> String {
    fn collect(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
            {
                let source = std::fs::read_to_string(&path).unwrap();
                text.push_str(source.split("#[cfg(test)]").next().unwrap());
            }
        }
    }
    let mut text = String::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    text
}

/// The value with a field of a later version in every object of ours.
fn with_later_fields(value: &mut Value) {
    // What names a message in an opening or a report stands alone, and what belongs to others is kept as it is.
    const ALONE: [&str; 7] =
        ["hello", "hand_over", "welcome", "refusal", "ready", "already_running", "failed"];
    const KEPT: [&str; 4] = ["env", "params", "result", "id"];
    match value {
        Value::Object(fields) => {
            let alone = fields.len() == 1 && fields.keys().all(|key| ALONE.contains(&key.as_str()));
            for (_, field) in fields.iter_mut().filter(|(key, _)| !KEPT.contains(&key.as_str())) {
                with_later_fields(field);
            }
            if !alone {
                fields.insert("ofALaterVersion".to_owned(), json!({"deep": [1, null]}));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(with_later_fields),
        _ => {}
    }
}

#[test]
fn every_message_is_its_golden_file_byte_for_byte_both_ways() {
    for sample in samples::all() {
        let path = folder().join(format!("{}.json", sample.file));
        // A change on purpose is made by hand: what is sent today goes into the file.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let sent = &sample.json;
        assert!(text == format!("{sent}\n"), "{}: sent today:\n{sent}\nin the file:\n{text}", path.display());
        assert_eq!((sample.misread)(&text), None, "{}", path.display());
    }
}

#[test]
fn every_golden_file_has_one_message() {
    let samples = samples::all();
    let named: BTreeSet<String> = samples.iter().map(|sample| sample.file.clone()).collect();
    assert_eq!(named.len(), samples.len(), "two messages share a file");
    assert_eq!(named, files());
}

#[test]
fn every_method_and_notification_in_the_sources_has_golden_files() {
    let (sources, files) = (sources(), files());
    let (mut methods, mut notifications) = (0, 0);
    for line in sources.lines().map(str::trim) {
        let Some((start, wire)) = line.split_once("= \"") else { continue };
        let Some((name, end)) = wire.split_once('"') else { continue };
        let expected = match (start.starts_with("pub const"), end.contains(" => ")) {
            (false, true) => ["params", "result"].as_slice(),
            (true, _) if name.contains('/') => &["notification"],
            _ => continue,
        };
        (methods, notifications) =
            if expected.len() == 2 { (methods + 1, notifications) } else { (methods, notifications + 1) };
        for part in expected {
            let file = format!("{}.{part}", file_of(name));
            assert!(files.contains(&file), "{name} has no golden file {file}.json");
        }
    }
    assert!(methods >= 10 && notifications >= 4, "the sources were read: {methods}, {notifications}");
}

#[test]
fn every_type_that_is_serialised_is_in_a_golden_file() {
    let samples = samples::all();
    let pinned = |name: &str| {
        let message = |sample: &Sample| {
            sample.of.split(['<', '>', ' ']).any(|part| part.rsplit("::").next() == Some(name))
        };
        let nested = samples::NESTED.iter().find(|(nested, _)| *nested == name);
        samples.iter().any(|sample| message(sample) || nested.is_some_and(|(_, file)| sample.file == *file))
    };
    let sources = sources();
    let mut found = 0;
    for text in sources.split("#[derive(").skip(1) {
        let (derived, rest) = text.split_once(")]").unwrap();
        if !derived.split(", ").any(|name| name == "Serialize") {
            continue;
        }
        let declared = rest.lines().find(|line| line.contains("struct ") || line.contains("enum "));
        let declared = declared.expect("a declaration");
        // What is private to its module is a file of its own, and no message.
        if !declared.starts_with("pub ") {
            continue;
        }
        let name = declared.split([' ', '(', ';']).nth(2).unwrap();
        assert!(
            pinned(name),
            "{name} is serialised and in no golden file: add a sample or name it in NESTED"
        );
        found += 1;
    }
    assert!(found > 30, "the sources were read: {found}");
}

#[test]
fn fields_of_a_later_version_are_ignored() {
    for sample in samples::all() {
        let mut value: Value = serde_json::from_str(&sample.json).unwrap();
        with_later_fields(&mut value);
        assert_eq!((sample.misread)(&value.to_string()), None, "{}: {value}", sample.file);
    }
}

#[test]
fn words_of_a_later_version_are_read_as_unknown() {
    fn read<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }
    let word = || json!("of_a_later_version");
    assert_eq!(read::<Role>(word()), Role::Unknown);
    assert_eq!(read::<LoginStatus>(word()), LoginStatus::Unknown);
    assert_eq!(read::<AdoptMode>(word()), AdoptMode::Unknown);
    assert_eq!(read::<LoginStep>(word()), LoginStep::Unknown);
    assert_eq!(read::<Place>(word()), Place::Unknown);
    assert_eq!(read::<Source>(word()), Source::Unknown);
    assert_eq!(read::<Service>(word()), Service::Unknown);
    assert_eq!(read::<StepName>(word()), StepName::Unknown);
    assert_eq!(read::<TurnStatus>(word()), TurnStatus::Unknown);
    assert_eq!(read::<ErrorCode>(word()), ErrorCode::Unknown);
    assert_eq!(read::<Origin>(word()), Origin::Unknown);
    assert_eq!(read::<Retry>(json!({"kind": word(), "seconds": "soon"})), Retry::Unknown);
    assert_eq!(read::<NextStep>(json!({"do": word(), "path": 7})), NextStep::Unknown);
    assert_eq!(sources().matches("#[serde(other)]").count(), 13, "one line above for each");
}

#[test]
fn the_list_of_error_codes_is_complete() {
    assert_eq!(ErrorCode::ALL, words::error_codes());
}

#[test]
fn every_next_step_is_one_short_line_without_a_full_stop_wherever_it_is_read() {
    for step in words::next_steps() {
        for surface in [Surface::ClaudeCode, Surface::Shell] {
            let text = step.render(surface);
            let length = text.chars().count();
            assert!((1..=LONGEST_STEP).contains(&length), "{length} characters: {text}");
            assert!(!text.ends_with(['.', '!', ' ']) && !text.contains('\n'), "{text}");
        }
    }
}
