//! Where in which file a login stands, and in whose format.
//!
//! ```json
//! {"openai_codex": {"access_token": "…", "grant": {…}},
//!  "openai_codex_accounts": {"default": "work", "logins": {
//!      "work": {"access_token": "…", "grant": {…}},
//!      "codex": {"codex_file": "/home/ada/.codex/auth.json", "mode": "borrow"}}}}
//! ```
//! The first login stays where the original plugin and the builds before named accounts look for it. The named ones have a
//! key of their own beside it: both of those programs put a whole new value under `openai_codex` when a person signs in, and
//! leave what they do not know alone.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::codex_file;
use super::credentials::{Binding, Credentials};
use super::record::{self, RecordError};

/// The first login's key, shared with the original plugin.
pub(super) const KEY: &str = "openai_codex";
/// The key of the named ones.
const ACCOUNTS: &str = "openai_codex_accounts";
const LOGINS: &str = "logins";
const DEFAULT: &str = "default";
const CODEX_FILE: &str = "codex_file";
const MODE: &str = "mode";

/// The place of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shelf {
    /// Under [`KEY`].
    First,
    /// A named one of ours.
    Named(String),
    /// The Codex CLI's own file, as the account of this name.
    Codex {
        /// The account.
        name: String,
        /// What may be done with it.
        mode: Mode,
        /// What we are bound to, for a file that names an issuer and no backend.
        ours: Binding,
    },
}

/// What may be done with the login in the Codex CLI's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its access token is read, and nothing else.
    Borrow,
    /// It is renewed for both, under both of that program's locks.
    Share,
}

/// One entry below `logins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A login of ours.
    Own,
    /// A login in the Codex CLI's file.
    Codex(PathBuf, Mode),
}

/// The accounts that a credential file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Whether there is a record under [`KEY`].
    pub(super) has_first: bool,
    /// The account that serves whoever chose none.
    pub(super) default: Option<String>,
    /// The named ones, in the file's order.
    pub(super) named: Vec<(String, Entry)>,
}

impl Shelf {
    /// The value where the login is, if there is one.
    pub(super) fn get<'a>(&self, document: &'a Map<String, Value>) -> Option<&'a Value> {
        match self {
            Self::First => document.get(KEY),
            Self::Named(name) => document.get(ACCOUNTS)?.get(LOGINS)?.get(name),
            Self::Codex { .. } => document.get(codex_file::TOKENS),
        }
        .filter(|value| !value.is_null())
    }

    /// The login in the document.
    pub(super) fn login(&self, document: &Map<String, Value>) -> Result<Option<Credentials>, RecordError> {
        match self {
            Self::Codex { mode, ours, .. } => codex_file::parse(document, *mode, ours),
            Self::First | Self::Named(_) => self.get(document).map(record::parse).transpose(),
        }
    }

    /// Puts a login of ours in the place of whatever is there.
    pub(super) fn insert(&self, document: &mut Map<String, Value>, login: &Credentials) {
        let record = Value::Object(record::render(login));
        match self {
            Self::First => document.insert(KEY.to_owned(), record),
            Self::Named(name) => logins(document).insert(name.clone(), record),
            // Signing in there is the Codex CLI's own affair.
            Self::Codex { .. } => None,
        };
    }

    /// Puts the new pair of tokens into the login that is there; what it does not know stays.
    pub(super) fn renew(&self, document: &mut Map<String, Value>, renewed: &Credentials) {
        let place = match self {
            Self::First => document.get_mut(KEY),
            Self::Named(name) => logins(document).get_mut(name),
            Self::Codex { .. } => return codex_file::renew(document, renewed),
        };
        if let Some(Value::Object(old)) = place {
            record::merge(old, renewed);
        }
    }

    /// Removes the login; whether there was one.
    pub(super) fn remove(&self, document: &mut Map<String, Value>) -> bool {
        // `remove` would move the last key into the gap.
        match self {
            Self::First => document.shift_remove(KEY).is_some(),
            Self::Named(name) => remove_entry(document, name),
            Self::Codex { .. } => false,
        }
    }

    /// The name of a file that belongs to this login, beside its file: `.auth.json.copy`, `.auth.json.work.copy`.
    pub(super) fn sibling(&self, file: &Path, what: &str) -> PathBuf {
        let base = file.file_name().unwrap_or_default().to_string_lossy();
        file.with_file_name(match self {
            Self::Named(name) => format!(".{base}.{name}.{what}"),
            Self::First | Self::Codex { .. } => format!(".{base}.{what}"),
        })
    }

    /// Whose history it is: `refresh-history.jsonl`, `refresh-history.work.jsonl`.
    pub(super) fn history(&self, first: &Path) -> PathBuf {
        match self {
            Self::First => first.to_owned(),
            Self::Named(name) | Self::Codex { name, .. } => first.with_extension(format!("{name}.jsonl")),
        }
    }

    /// Whether the login's place is ours to sign in at and to remove from.
    pub(super) const fn is_ours(&self) -> bool {
        !matches!(self, Self::Codex { .. })
    }
}

impl Mode {
    /// As it is written into the file and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Borrow => "borrow",
            Self::Share => "share",
        }
    }
}

impl Index {
    /// Reads the names. An entry that is no object is none of ours.
    pub(super) fn of(document: &Map<String, Value>) -> Self {
        let accounts = document.get(ACCOUNTS);
        let named = accounts.and_then(|accounts| accounts.get(LOGINS)).and_then(Value::as_object);
        let entry = |(name, value): (&String, &Value)| {
            let entry = match value.get(CODEX_FILE).and_then(Value::as_str) {
                None => Entry::Own,
                // Whatever is not plainly `share` writes nothing.
                Some(file) if value[MODE] == Mode::Share.as_str() => Entry::Codex(file.into(), Mode::Share),
                Some(file) => Entry::Codex(file.into(), Mode::Borrow),
            };
            (value.is_object() && is_name(name)).then(|| (name.clone(), entry))
        };
        Self {
            has_first: Shelf::First.get(document).is_some(),
            default: accounts
                .and_then(|accounts| accounts.get(DEFAULT))
                .and_then(Value::as_str)
                .map(str::to_owned),
            named: named.into_iter().flatten().filter_map(entry).collect(),
        }
    }

    /// What the account of this name is.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.named.iter().find(|(named, _)| named == name).map(|(_, entry)| entry)
    }
}

/// Makes `name` the account that serves whoever chose none; `None`: the first one again.
pub(super) fn set_default(document: &mut Map<String, Value>, name: Option<&str>) -> bool {
    let accounts = accounts(document);
    if let Some(name) = name {
        return accounts.insert(DEFAULT.to_owned(), name.into()).as_ref() != Some(&name.into());
    }
    let changed = accounts.shift_remove(DEFAULT).is_some();
    prune(document);
    changed
}

/// Enters the Codex CLI's file as the account `name`.
pub(super) fn set_codex(document: &mut Map<String, Value>, name: &str, file: &Path, mode: Mode) {
    let entry = json!({ CODEX_FILE: file.to_string_lossy(), MODE: mode.as_str() });
    logins(document).insert(name.to_owned(), entry);
}

/// Removes the entry of a named account; whether there was one.
pub(super) fn remove_entry(document: &mut Map<String, Value>, name: &str) -> bool {
    let changed = logins(document).shift_remove(name).is_some();
    prune(document);
    changed
}

/// Without accounts nothing of ours stays in the file.
fn prune(document: &mut Map<String, Value>) {
    let Some(Value::Object(accounts)) = document.get_mut(ACCOUNTS) else { return };
    if accounts.get(LOGINS).and_then(Value::as_object).is_some_and(Map::is_empty) {
        accounts.shift_remove(LOGINS);
    }
    if accounts.is_empty() {
        document.shift_remove(ACCOUNTS);
    }
}

/// Where the document holds an API key of the original plugin: `openai_codex.api_key`. A key begins with `sk-`, whatever a
/// version of that plugin calls it.
pub(super) fn api_keys(document: &Map<String, Value>) -> Vec<String> {
    let is_key = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("sk-"));
    let ours = |name: &str| name.contains("codex") || name.contains("openai");
    let mut found = Vec::new();
    for (name, value) in document.iter().filter(|(name, _)| ours(name)) {
        if is_key(value) {
            found.push(name.clone());
        }
        let fields = value.as_object().into_iter().flatten();
        found.extend(fields.filter(|(_, value)| is_key(value)).map(|(field, _)| format!("{name}.{field}")));
    }
    found
}

/// Whether an account may be called so: it becomes part of file names and of messages.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_');
    (1..=MOST_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

/// Bytes of an account's name: a word or two, and file names stay short.
const MOST_NAME: usize = 32;

fn accounts(document: &mut Map<String, Value>) -> &mut Map<String, Value> {
    object(document.entry(ACCOUNTS).or_insert_with(|| json!({})))
}

fn logins(document: &mut Map<String, Value>) -> &mut Map<String, Value> {
    object(accounts(document).entry(LOGINS).or_insert_with(|| json!({})))
}

/// What is no object under a key of ours says nothing, and gives way.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made an object just now")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::credentials;

    fn document(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => unreachable!("every row is an object"),
        }
    }

    #[test]
    fn a_named_login_stands_beside_the_first_one_and_changes_nothing_else() {
        let before = json!({"zed": 1, "openai_codex": {"access_token": "a"}, "alpha": [2]});
        let mut changed = document(before.clone());
        let work = Shelf::Named("work".to_owned());
        work.insert(&mut changed, &credentials("at", "rt"));
        assert_eq!(work.login(&changed).unwrap().unwrap(), credentials("at", "rt"));
        assert_eq!(changed.keys().collect::<Vec<_>>(), ["zed", "openai_codex", "alpha", ACCOUNTS]);
        assert_eq!(changed[KEY], before[KEY]);
        assert_eq!(Index::of(&changed).named, [("work".to_owned(), Entry::Own)]);
        assert!(work.remove(&mut changed) && !work.remove(&mut changed));
        assert_eq!(work.login(&changed).unwrap(), None);
    }

    #[test]
    fn a_program_that_writes_the_first_login_anew_leaves_the_named_ones() {
        let mut changed = document(json!({}));
        Shelf::Named("work".to_owned()).insert(&mut changed, &credentials("at", "rt"));
        // The original plugin, and a build before named accounts: a whole new value under its key.
        changed.insert(KEY.to_owned(), json!({"access_token": "new", "refresh_token": "flat"}));
        assert_eq!(Index::of(&changed).named.len(), 1);
    }

    #[test]
    fn an_entry_that_is_not_plainly_shared_is_borrowed() {
        for (mode, read) in [
            (json!("share"), Mode::Share),
            (json!("borrow"), Mode::Borrow),
            (json!("Share"), Mode::Borrow),
            (Value::Null, Mode::Borrow),
        ] {
            let found = document(json!({ACCOUNTS: {"logins": {"c": {"codex_file": "/x", "mode": mode}}}}));
            assert_eq!(Index::of(&found).entry("c"), Some(&Entry::Codex("/x".into(), read)), "{mode}");
        }
    }

    #[test]
    fn a_name_is_a_short_word_that_is_safe_in_a_file_name() {
        for name in ["work", "a", "my_2nd-login"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Work", "a/b", "..", "a.b", "a b", "\u{e9}", &"x".repeat(33)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn an_api_key_of_the_original_plugin_is_found_by_its_form() {
        let found = document(json!({
            "openai_codex": {"access_token": "a", "api_key": "sk-1"}, "openai_codex_api_key": "sk-2",
            "codex_api": {"key": "sk-3"}, "somebody_else": {"key": "sk-4"},
        }));
        assert_eq!(api_keys(&found), ["openai_codex.api_key", "openai_codex_api_key", "codex_api.key"]);
    }

    #[test]
    fn what_is_no_object_names_no_account() {
        for value in [json!({}), json!({ACCOUNTS: 5}), json!({ACCOUNTS: {"logins": []}})] {
            assert_eq!(Index::of(&document(value)), Index::default());
        }
        let odd = document(json!({ACCOUNTS: {"logins": {"a": 5, "../b": {}}}}));
        assert_eq!(Index::of(&odd).named, []);
    }
}
