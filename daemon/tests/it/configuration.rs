//! The page of settings is what the code takes, and what it shows for `config.toml` can be written there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use codex_oauth_proto::env::Env;
use codex_oauthd::config::{Config, MEANINGS};
use serde_json::Value;

use crate::tidy::shipped;

const PAGE: &str = "docs/CONFIGURATION.md";
/// Around the table that is made of the code.
const BEGIN: &str = "<!-- begin: settings, from the code -->\n";
const END: &str = "<!-- end: settings -->\n";
/// Writes the table anew.
const BLESS: &str = "CODEX_OAUTH_BLESS=1 cargo test -p codex-oauthd --test it configuration";

/// The beginning of all of them, and what tests alone read.
const NOT_FOR_PEOPLE: &[&str] = &["CODEX_OAUTH_", "CODEX_OAUTH_BLESS"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    std::fs::read_to_string(root().join(PAGE)).unwrap()
}

/// As somebody has it who has set nothing.
fn defaults() -> Config {
    let home = tempfile::tempdir().unwrap();
    let env = Env::new(1000, Some(home.path().to_owned()), Some("/run/user/1000".into()));
    Config::load(&env.with("CODEX_OAUTH_AUTH_FILE", home.path().join(".claude/auth.json"))).unwrap()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Array(items) => {
            format!("`{}`", items.iter().map(Value::to_string).collect::<Vec<_>>().join(","))
        }
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// The table, and the names in it.
fn table() -> (String, BTreeSet<String>) {
    let config = defaults();
    let home = config.auth_file.ancestors().nth(2).unwrap().display().to_string();
    let mut table =
        "| name | variable | in the file | default | meaning |\n| --- | --- | --- | --- | --- |\n".to_owned();
    let mut names = BTreeSet::new();
    for setting in config.read_result().settings.iter().filter(|setting| !setting.name.starts_with("limits."))
    {
        let meaning = MEANINGS.iter().find(|(name, _)| *name == setting.name);
        let (_, meaning) = meaning
            .unwrap_or_else(|| panic!("{} has no line in daemon/src/config/meanings.rs", setting.name));
        let in_file = if setting.file_key { "yes" } else { "no" };
        let variable = setting.variable.as_ref().map_or_else(String::new, |name| format!("`{name}`"));
        let default = shown(&setting.value).replace(&home, "~").replace("/run/user/1000", "/run/user/UID");
        let (name, meaning) = (&setting.name, meaning.replace('|', "\\|"));
        table = format!("{table}| `{name}` | {variable} | {in_file} | {default} | {meaning} |\n");
        names.insert(setting.name.clone());
    }
    (table, names)
}

#[test]
fn the_page_of_settings_says_what_the_code_takes() {
    let page = page();
    let (before, rest) = page.split_once(BEGIN).expect("the table's beginning");
    let (found, after) = rest.split_once(END).expect("the table's end");
    let (expected, names) = table();
    if std::env::var("CODEX_OAUTH_BLESS").is_ok() {
        let whole = format!("{before}{BEGIN}{expected}{END}{after}");
        let mut file = std::fs::File::create(root().join(PAGE)).unwrap();
        std::io::Write::write_all(&mut file, whole.as_bytes()).unwrap();
        return;
    }
    assert!(found == expected, "{PAGE} is not what the code says; run: {BLESS}\n{expected}");
    let explained: BTreeSet<String> = MEANINGS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(explained, names, "explained, and taken");
}

#[test]
fn every_variable_of_ours_is_on_the_page() {
    let page = page();
    let mut missing = BTreeSet::new();
    for (path, text) in shipped() {
        for (at, _) in text.match_indices("CODEX_OAUTH_") {
            let is_name = |symbol: char| symbol.is_ascii_uppercase() || symbol == '_';
            let name: String = text[at..].chars().take_while(|symbol| is_name(*symbol)).collect();
            let is_known = name.starts_with("CODEX_OAUTH_TEST_") || NOT_FOR_PEOPLE.contains(&name.as_str());
            if !is_known && !page.contains(&format!("`{name}`")) {
                missing.insert(format!("{name} ({path})"));
            }
        }
    }
    assert!(missing.is_empty(), "not on {PAGE}: {missing:?}");
}

#[test]
fn every_example_of_a_configuration_is_one() {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut examples = 0;
    for path in docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for example in
            text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default())
        {
            let home = tempfile::tempdir().unwrap();
            let mut file = std::fs::File::create(home.path().join("config.toml")).unwrap();
            std::io::Write::write_all(&mut file, example.as_bytes()).unwrap();
            let env = Env::new(1000, Some(home.path().to_owned()), None)
                .with("CODEX_OAUTH_CONFIG_DIR", home.path());
            if let Err(error) = Config::load(&env) {
                panic!("{}: {error}\n{example}", path.display());
            }
            examples += 1;
        }
    }
    assert!(examples >= 2, "{examples} examples");
}
