//! `docs/SOCKET_API.md` says what the types say, and its examples run as they stand there.
//!
//! The types are compared by the golden files of `proto`, which hold every message with every field.

mod examples;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use codex_oauth_proto::hello::SESSION_ENV;
use codex_oauth_proto::people::errors;
use codex_oauth_proto::{ErrorCode, MAX_LINE_BYTES, NextStep, PROTOCOL};
use codex_oauthd::limits::Limits;
use serde_json::Value;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The page, cut at its headings.
struct Page {
    text: String,
    /// By the anchor of the heading.
    sections: BTreeMap<String, Section>,
}

#[derive(Default)]
struct Section {
    title: String,
    text: String,
    /// Rows of tables of fields: name, then the types it has (parameters and result may share a name).
    fields: BTreeMap<String, Vec<String>>,
    /// First cells of other tables.
    words: BTreeSet<String>,
}

impl Page {
    fn read() -> Self {
        let text = read("docs/SOCKET_API.md");
        let mut sections: BTreeMap<String, Section> = BTreeMap::new();
        let (mut at, mut in_fields, mut in_code) = (String::new(), false, false);
        for line in text.lines() {
            in_code ^= line.starts_with("```");
            if let (Some(title), false) = (heading(line), in_code) {
                at = anchor(title);
                let section = Section { title: title.to_owned(), ..Section::default() };
                assert!(sections.insert(at.clone(), section).is_none(), "two headings `{title}`");
                continue;
            }
            let section = sections.entry(at.clone()).or_default();
            writeln!(section.text, "{line}").unwrap();
            let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
            in_fields = cells[0] == "field" || (in_fields && line.starts_with('|'));
            let Some(name) = cells[0].strip_prefix('`').and_then(|cell| cell.split('`').next()) else {
                continue;
            };
            if in_fields {
                section.fields.entry(name.to_owned()).or_default().push(cells[1].to_owned());
            } else if line.starts_with('|') {
                section.words.insert(name.to_owned());
            }
        }
        Self { text, sections }
    }

    fn section(&self, anchor: &str) -> &Section {
        self.sections.get(anchor).unwrap_or_else(|| panic!("the page has no section #{anchor}"))
    }
}

fn heading(line: &str) -> Option<&str> {
    line.starts_with('#').then(|| line.trim_start_matches('#').trim())
}

/// As GitHub makes it.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// Every golden file: its name without the extension, and its message.
fn golden() -> BTreeMap<String, Value> {
    let folder = root().join("proto/tests/golden");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let json = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let golden: BTreeMap<_, _> = json
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), serde_json::from_str(&text).unwrap())
        })
        .collect();
    assert!(golden.len() > 40, "the golden files were found");
    golden
}

/// Methods and notifications of the page by the name of their golden files.
fn methods(page: &Page) -> BTreeMap<String, String> {
    let titles = page.sections.values().filter_map(|section| section.title.strip_prefix('`'));
    let names = titles.map(|title| title.trim_end_matches('`'));
    names.map(|name| (name.replace('/', "_"), anchor(name))).collect()
}

/// The section that describes the message of a golden file, and the message without what names it.
fn described<'a>(page: &Page, file: &str, message: &'a Value) -> Option<(String, &'a Value)> {
    let (base, part) = file.split_once('.').unwrap_or((file, ""));
    if !part.is_empty() {
        let methods = methods(page);
        let anchor = methods.get(base).unwrap_or_else(|| panic!("the page does not have {base}"));
        return Some((anchor.clone(), message));
    }
    let anchor = match base.split('_').next().unwrap() {
        name @ ("hello" | "welcome" | "refusal") => return Some((name.to_owned(), &message[name])),
        "jsonrpc" if message.get("method").is_some() => "request",
        "jsonrpc" => "response",
        "retry" => "retry",
        "next" => "next-step",
        "input" => "input-item",
        _ => return None,
    };
    Some((anchor.to_owned(), message))
}

/// Holds a message against a section, and its objects against the sections that the fields' types link to.
fn compare(page: &Page, anchor: &str, message: &Value, seen: &mut BTreeSet<(String, String)>) {
    let section = page.section(anchor);
    for (name, value) in message.as_object().unwrap() {
        let types = section.fields.get(name);
        let types = types.unwrap_or_else(|| panic!("{} has no field `{name}` in the page", section.title));
        let fits = |text: &&String| is_of_type(value, text);
        let Some(text) = types.iter().find(fits) else {
            panic!("`{name}` of {} is {types:?} in the page and {value} on the wire", section.title)
        };
        seen.insert((anchor.to_owned(), name.clone()));
        let Some((_, link)) = text.split_once("](#") else { continue };
        let inner = link.split(')').next().unwrap();
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for object in items.iter().filter(|item| item.is_object()) {
            compare(page, inner, object, seen);
        }
    }
}

fn is_of_type(value: &Value, text: &str) -> bool {
    match value {
        _ if text == "any" => true,
        Value::Null => text.contains("null"),
        Value::Bool(_) => text.starts_with("boolean"),
        Value::Number(number) if number.is_f64() => text.starts_with("number"),
        Value::Number(_) => text.contains("integer"),
        Value::String(_) => text.starts_with("string"),
        Value::Array(_) => text.starts_with("array of"),
        Value::Object(_) => text.starts_with("object") || text.starts_with('['),
    }
}

#[test]
fn every_field_on_the_wire_is_in_the_page_with_its_type_and_nothing_else_is() {
    let page = Page::read();
    let mut seen = BTreeSet::new();
    for (file, message) in golden() {
        let messages = message.as_array().map_or(std::slice::from_ref(&message), Vec::as_slice);
        for message in messages {
            if let Some((anchor, message)) = described(&page, &file, message) {
                compare(&page, &anchor, message, &mut seen);
            }
        }
    }
    for (anchor, section) in &page.sections {
        for field in section.fields.keys() {
            let on_the_wire = seen.contains(&(anchor.clone(), field.clone()));
            assert!(on_the_wire, "`{field}` of {} is in the page and not on the wire", section.title);
        }
    }
}

#[test]
fn what_may_be_absent_is_called_optional() {
    let page = Page::read();
    let golden = golden();
    for (full, minimal, anchor) in [
        ("hello", "hello_minimal", "hello"),
        ("welcome", "welcome_minimal", "welcome"),
        ("turn_start.params", "turn_start.params_minimal", "turnstart"),
        ("turn_completed.notification", "turn_completed.notification_failed", "turncompleted"),
    ] {
        let inner =
            |file: &str| golden[file].get(anchor).unwrap_or(&golden[file]).as_object().unwrap().clone();
        let minimal = inner(minimal);
        for name in inner(full).keys() {
            let types = &page.section(anchor).fields[name];
            let optional = types.iter().any(|text| text.ends_with(", optional"));
            assert_eq!(optional, !minimal.contains_key(name), "`{name}` of `{anchor}`");
        }
    }
}

#[test]
fn every_method_of_the_page_exists() {
    let files: BTreeSet<String> =
        golden().into_keys().filter_map(|file| Some(file.split_once('.')?.0.to_owned())).collect();
    assert_eq!(methods(&Page::read()).into_keys().collect::<BTreeSet<_>>(), files);
}

#[test]
fn every_word_of_an_enumeration_is_in_its_table_and_nothing_else_is() {
    let page = Page::read();
    let tables = [
        ("role", "hello", None),
        ("login_status", "accountread", None),
        ("login_step", "login-step", None),
        ("adopt_mode", "accountadopt", None),
        ("place", "place", None),
        ("turn_status", "turncompleted", None),
        ("error_code", "error-codes", None),
        ("origin", "error", None),
        ("retry", "retry", Some("kind")),
        ("next_step", "next-step", Some("do")),
        ("source", "setting", None),
        ("service", "way", None),
        ("step_name", "step", None),
    ];
    let golden = golden();
    for (file, message) in &golden {
        let of_words = message.get(0).is_some_and(Value::is_string);
        assert!(!of_words || tables.iter().any(|(name, ..)| name == file), "{file} has no table");
    }
    for (file, section, tag) in tables {
        let words = golden[file].as_array().unwrap();
        let word = |value: &Value| tag.map_or(value, |tag| &value[tag]).as_str().unwrap().to_owned();
        // What an older reader takes a new word for; nobody sends it.
        let sent: BTreeSet<String> = words.iter().map(word).filter(|word| word != "unknown").collect();
        assert_eq!(page.section(section).words, sent, "{file}");
    }
}

#[test]
fn the_next_steps_of_each_code_are_those_of_the_catalogue() {
    let page = Page::read();
    let rows = &page.section("error-codes").text;
    let mut wrong = Vec::new();
    for code in ErrorCode::ALL {
        let entry = errors::entry(*code);
        let word =
            |step: &NextStep| format!("`{}`", serde_json::to_value(step).unwrap()["do"].as_str().unwrap());
        let usual = entry.usual.next_step.as_ref().map_or_else(|| "none".to_owned(), word);
        let mut steps = vec![usual];
        for (_, step) in &entry.otherwise {
            if !steps.contains(&word(step)) {
                steps.push(word(step));
            }
        }
        let (name, steps) = (serde_json::to_value(code).unwrap(), steps.join(", "));
        let name = name.as_str().unwrap();
        // What an older reader takes a new word for; nobody sends it.
        let row = rows.lines().find(|line| line.starts_with(&format!("| `{name}` | ")));
        if name != "unknown" && !row.is_some_and(|row| row.ends_with(&format!(" | {steps} |"))) {
            wrong.push(format!("`{name}`: {steps}"));
        }
    }
    assert!(wrong.is_empty(), "the page does not say, as the last cell of a code:\n{}", wrong.join("\n"));
}

#[test]
fn limits_environment_and_version_are_those_of_the_code() {
    let page = Page::read();
    let limits = Limits::default();
    let (mib, seconds) = (format!("{} MiB", MAX_LINE_BYTES >> 20), |limit: std::time::Duration| {
        format!("{} s", limit.as_secs())
    });
    for (what, value) in [
        ("line, without", mib),
        ("time to the hello", seconds(limits.hello)),
        ("sessions at once", limits.sessions.to_string()),
        ("requests of one session", limits.calls_per_session.to_string()),
        ("turns at once", limits.turns.to_string()),
        ("time that you may read nothing", seconds(limits.write_stall)),
        ("time that a drain waits", seconds(limits.drain)),
        ("time that a login waits for its link", seconds(limits.login)),
        ("time that a login waits for its device code", seconds(limits.device_login)),
    ] {
        let row = page.section("limits").text.lines().find(|line| line.starts_with(&format!("| {what}")));
        let row = row.unwrap_or_else(|| panic!("no limit `{what}`"));
        assert!(row.contains(&format!(" | {value} | ")), "it is {value}: {row}");
    }
    for name in SESSION_ENV {
        assert!(page.section("hello").text.contains(&format!("`{name}`")), "{name}");
    }
    let newest = PROTOCOL.max.0;
    assert!(page.section("versions").text.contains(&format!("This page is protocol version {newest}.")));
}

#[test]
fn every_link_inside_the_page_and_to_an_example_leads_somewhere() {
    let page = Page::read();
    for link in page.text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(page.sections.contains_key(anchor), "no section {link}"),
            None => assert!(root().join("docs").join(link).is_file(), "no file {link}"),
        }
    }
}
