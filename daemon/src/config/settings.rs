//! Takes each setting from its variable, else from the file, else the default, and notes which: what `config/read` shows is
//! what was taken, since a setting can be had here alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use codex_oauth_proto::api::config::{Setting, Source};
use codex_oauth_proto::env::Env;
use reqwest::Url;
use serde_json::Value;

use super::network::Found;
use super::{ConfigError, values};
use crate::limits::Limits;
use crate::network::Chosen;

/// How a setting is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    name: &'static str,
    variable: Option<&'static str>,
    in_file: bool,
}

impl Key {
    /// A key of `config.toml` that has a variable too.
    pub(super) const fn new(name: &'static str, variable: &'static str) -> Self {
        Self { name, variable: Some(variable), in_file: true }
    }

    /// A key of `config.toml` alone.
    pub(super) const fn in_file(name: &'static str) -> Self {
        Self { name, variable: None, in_file: true }
    }

    /// What only the environment says.
    pub(super) const fn in_environment(name: &'static str, variable: &'static str) -> Self {
        Self { name, variable: Some(variable), in_file: false }
    }
}

/// The settings taken so far.
#[derive(Debug)]
pub(super) struct Settings<'a> {
    env: &'a Env,
    /// `config.toml`, for the errors about what is in it.
    path: &'a Path,
    taken: Vec<Setting>,
}

impl<'a> Settings<'a> {
    pub(super) const fn new(env: &'a Env, path: &'a Path) -> Self {
        Self { env, path, taken: Vec::new() }
    }

    /// Everything that was taken, in that order.
    pub(super) fn into_vec(self) -> Vec<Setting> {
        self.taken
    }

    /// A place. Clients must know it too, and they read no `config.toml`.
    pub(super) fn place(&mut self, name: &'static str, variable: &'static str, path: &Path) {
        let source = if self.env.get_os(variable).is_some() { Source::Environment } else { Source::Default };
        self.note(Key::in_environment(name, variable), path.display().to_string(), source);
    }

    /// A text as it is.
    pub(super) fn text(&mut self, key: Key, file: Option<String>, default: &str) -> String {
        let (text, source) = self.first(key, file, default);
        self.note(key, text.as_str(), source);
        text
    }

    /// Names parted by commas; none need be given.
    pub(super) fn names(&mut self, key: Key, file: Option<String>) -> Vec<String> {
        let given = self.variable(key).map(|text| (text, Source::Environment));
        let given = given.or_else(|| file.map(|text| (text, Source::File)));
        let source = given.as_ref().map_or(Source::Default, |(_, source)| *source);
        self.note(key, given.as_ref().map(|(text, _)| text.as_str()), source);
        let text = given.map(|(text, _)| text).unwrap_or_default();
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// An address.
    pub(super) fn url(
        &mut self,
        key: Key,
        file: Option<String>,
        default: &str,
    ) -> Result<String, ConfigError> {
        let (text, source) = self.first(key, file, default);
        let url = values::url(&text).map_err(|reason| {
            let shown = values::without_user_info(&text);
            self.refuse(key, source, shown, reason)
        })?;
        self.note(key, url.as_str(), source);
        Ok(url)
    }

    /// Ports.
    pub(super) fn ports(
        &mut self,
        key: Key,
        file: Option<Vec<u16>>,
        default: &[u16],
    ) -> Result<Vec<u16>, ConfigError> {
        let (ports, source) = match (self.variable(key), file) {
            (Some(text), _) => (
                values::ports(&text)
                    .map_err(|reason| self.refuse(key, Source::Environment, text.clone(), reason))?,
                Source::Environment,
            ),
            (None, Some(ports)) if ports.is_empty() => {
                return Err(self.refuse(key, Source::File, "[]".to_owned(), values::NO_PORTS));
            }
            (None, Some(ports)) => (ports, Source::File),
            (None, None) => (default.to_vec(), Source::Default),
        };
        self.note(key, ports.clone(), source);
        Ok(ports)
    }

    /// What a setting without a default is: its own variable, else the file, else the first of `general` that is set.
    pub(super) fn first_of(&self, key: Key, file: Option<String>, general: &[&'static str]) -> Option<Found> {
        let variable = |name: &'static str| {
            let text = self.env.get(name)?.to_owned();
            Some(Found { text, source: Source::Environment, variable: Some(name) })
        };
        let file = file.map(|text| Found { text, source: Source::File, variable: None });
        key.variable.and_then(variable).or(file).or_else(|| general.iter().copied().find_map(variable))
    }

    /// Notes what was found, as it may be `shown`.
    pub(super) fn note_found(&mut self, key: Key, found: Option<&Found>, shown: Option<&str>) {
        let key = Key { variable: found.and_then(|found| found.variable).or(key.variable), ..key };
        self.note(key, shown, found.map_or(Source::Default, |found| found.source));
    }

    /// Who said it: the variable, or the key and its file.
    pub(super) fn chooser(&self, key: Key, found: &Found) -> String {
        found.variable.map_or_else(|| self.in_file(key.name), str::to_owned)
    }

    /// An address that was taken, unless it is the default one.
    pub(super) fn named_address(&self, name: &str) -> Option<Chosen<Url>> {
        let setting = self.taken.iter().find(|setting| setting.name == name)?;
        let by = match setting.source {
            Source::Default | Source::Unknown => return None,
            Source::File => self.in_file(name),
            Source::Environment => setting.variable.clone()?,
        };
        Some(Chosen { value: setting.value.as_str()?.parse().ok()?, by })
    }

    /// A key of `config.toml`, with its path.
    pub(super) fn in_file(&self, name: &str) -> String {
        format!("{name} in `{}`", self.path.display())
    }

    /// As [`Settings::refuse`], of what was found.
    pub(super) fn refuse_found(
        &self,
        key: Key,
        found: &Found,
        value: String,
        reason: &'static str,
    ) -> ConfigError {
        self.refuse(Key { variable: found.variable.or(key.variable), ..key }, found.source, value, reason)
    }

    /// The accounts of folders; a relative folder would be somebody else's in every shell.
    pub(super) fn folders(
        &mut self,
        given: &BTreeMap<PathBuf, String>,
    ) -> Result<BTreeMap<PathBuf, String>, ConfigError> {
        for (folder, account) in given {
            let name = format!("folders.{}", folder.display());
            if !folder.is_absolute() {
                let (file, value) = (Some(self.path.to_owned()), account.clone());
                return Err(ConfigError::Value {
                    name,
                    file,
                    value,
                    reason: "the folder must be an absolute path",
                });
            }
            let value = account.clone().into();
            self.taken.push(Setting { name, value, source: Source::File, variable: None, file_key: true });
        }
        Ok(given.clone())
    }

    /// Bounds and waits, those of `given` changed.
    pub(super) fn limits(&mut self, given: &BTreeMap<String, u64>) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        for (name, value) in given {
            limits.set(name, *value).map_err(|reason| ConfigError::Value {
                name: format!("limits.{name}"),
                file: Some(self.path.to_owned()),
                value: value.to_string(),
                reason,
            })?;
        }
        for (name, value) in limits.entries() {
            let source = if given.contains_key(&name) { Source::File } else { Source::Default };
            let (name, value) = (format!("limits.{name}"), value.into());
            self.taken.push(Setting { name, value, source, variable: None, file_key: true });
        }
        Ok(limits)
    }

    fn first(&self, key: Key, file: Option<String>, default: &str) -> (String, Source) {
        match (self.variable(key), file) {
            (Some(text), _) => (text, Source::Environment),
            (None, Some(text)) => (text, Source::File),
            (None, None) => (default.to_owned(), Source::Default),
        }
    }

    fn variable(&self, key: Key) -> Option<String> {
        key.variable.and_then(|name| self.env.get(name)).map(str::to_owned)
    }

    fn note(&mut self, key: Key, value: impl Into<Value>, source: Source) {
        self.taken.push(Setting {
            name: key.name.to_owned(),
            value: value.into(),
            source,
            variable: key.variable.map(str::to_owned),
            file_key: key.in_file,
        });
    }

    fn refuse(&self, key: Key, source: Source, value: String, reason: &'static str) -> ConfigError {
        let (name, file) = match (source, key.variable) {
            (Source::File, _) => (key.name, Some(self.path.to_owned())),
            (_, variable) => (variable.unwrap_or(key.name), None),
        };
        ConfigError::Value { name: name.to_owned(), file, value, reason }
    }
}
