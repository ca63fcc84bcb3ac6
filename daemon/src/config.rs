//! What the daemon runs with: defaults, then `config.toml`, then environment variables. Nothing of a session decides it.

mod meanings;
mod network;
mod settings;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use codex_oauth_proto::api::config::{ReadResult, Setting, Source};
use codex_oauth_proto::endpoint::{Endpoint, EndpointError};
use codex_oauth_proto::env::{Env, EnvError};
use codex_oauth_proto::{BUILD, ErrorCode, NextStep, Retry, WireError};
use serde::Deserialize;

pub use self::meanings::MEANINGS;
use self::network::InFile;
use self::settings::{Key, Settings};
use crate::limits::Limits;
use crate::network::NetworkSettings;

/// The public issuer (WIRE §1).
pub const PUBLIC_ISSUER: &str = "https://auth.openai.com";
/// The public backend (WIRE §1).
pub const PUBLIC_BACKEND: &str = "https://chatgpt.com/backend-api";
/// The public client id of Codex logins (WIRE §1): its redirect addresses are the loopback ones below.
pub const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";
/// The ports registered for that client id (WIRE §2.2).
pub const CALLBACK_PORTS: [u16; 2] = [1455, 1457];
/// How we name ourselves to issuer and backend. We are not the official client and do not say so.
pub const ORIGINATOR: &str = "codex_oauth";
/// The tracing filter that ships: what happened to the daemon and its logins, nothing of what was asked.
pub const LOG: &str = "info";

/// Where things are and with whom the daemon talks.
#[derive(Clone, Debug)]
pub struct Config {
    /// The socket's place.
    pub endpoint: Endpoint,
    /// The credential file, links resolved.
    pub auth_file: PathBuf,
    /// Database and logs.
    pub state_dir: PathBuf,
    /// Issuer without a trailing slash.
    pub issuer: String,
    /// Backend without a trailing slash.
    pub backend: String,
    /// Ports for the login callback, in order.
    pub callback_ports: Vec<u16>,
    /// The workspaces that may sign in; none named, any may.
    pub workspaces: Vec<String>,
    /// Proxy and roots for issuer and backend.
    pub network: NetworkSettings,
    /// `originator` header and first word of the User-Agent.
    pub originator: String,
    /// The accounts of sessions in these absolute folders, and below them.
    pub folders: BTreeMap<PathBuf, String>,
    /// The tracing filter.
    pub log: String,
    /// Bounds and waits.
    pub limits: Limits,
    /// All of it once more, with where each value comes from.
    settings: Vec<Setting>,
    /// `config.toml`.
    path: PathBuf,
    /// What was in it; nothing when there was none.
    document: Option<Document>,
}

/// A value that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A place could not be worked out.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The socket's place could not be worked out.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The file could not be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("could not use `{}`: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where in it and why, on one line.
        reason: String,
    },
    /// A value is not of its kind.
    #[error("could not use {name}=`{value}`: {reason}")]
    Value {
        /// Variable or key.
        name: String,
        /// The file that holds the key; none for a variable.
        file: Option<PathBuf>,
        /// The value.
        value: String,
        /// What it should be.
        reason: &'static str,
    },
}

impl ConfigError {
    /// The same for the wire.
    pub fn to_wire(&self) -> WireError {
        let step = match self {
            Self::Env(EnvError::NoHome { variable, .. } | EnvError::NotAbsolute { variable, .. }) => {
                NextStep::FixConfiguration { name: (*variable).to_owned() }
            }
            Self::Endpoint(_) => NextStep::FixConfiguration { name: "CODEX_OAUTH_RUNTIME_DIR".to_owned() },
            Self::Read { path, .. } | Self::Parse { path, .. } => {
                NextStep::FixFile { path: path.display().to_string() }
            }
            Self::Value { name, file: None, .. } => NextStep::FixConfiguration { name: name.clone() },
            Self::Value { name, file: Some(path), .. } => {
                NextStep::FixConfiguration { name: key_in(name, path) }
            }
        };
        let message = codex_oauth_proto::connect::with_causes(self);
        WireError::daemon(ErrorCode::Configuration, Retry::Never, message).next(step)
    }
}

/// `config.toml`. An unknown key is an error: a misspelt one would be silently without effect.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    issuer_url: Option<String>,
    backend_url: Option<String>,
    callback_ports: Option<Vec<u16>>,
    workspace: Option<String>,
    proxy: Option<String>,
    no_proxy: Option<String>,
    ca_file: Option<PathBuf>,
    originator: Option<String>,
    log: Option<String>,
    /// Account names by absolute folder.
    folders: BTreeMap<PathBuf, String>,
    /// Names of [`Limits`]: durations end in `_ms`, counts are bare.
    limits: BTreeMap<String, u64>,
}

impl Config {
    /// Reads the file, if there is one, and the variables.
    pub fn load(env: &Env) -> Result<Self, ConfigError> {
        let path = env.config_dir()?.join("config.toml");
        let document = read(&path)?;
        let file = document.clone().unwrap_or_default();
        let (endpoint, auth_file, state_dir) = (Endpoint::resolve(env)?, env.auth_file()?, env.state_dir()?);
        let mut take = Settings::new(env, &path);
        take.place("auth_file", "CODEX_OAUTH_AUTH_FILE", &auth_file);
        take.place("runtime_dir", "CODEX_OAUTH_RUNTIME_DIR", &endpoint.dir);
        take.place("state_dir", "CODEX_OAUTH_STATE_DIR", &state_dir);
        take.place("config_dir", "CODEX_OAUTH_CONFIG_DIR", &env.config_dir()?);
        Ok(Self {
            endpoint,
            auth_file,
            state_dir,
            issuer: take.url(
                Key::new("issuer_url", "CODEX_OAUTH_ISSUER_URL"),
                file.issuer_url,
                PUBLIC_ISSUER,
            )?,
            backend: take.url(
                Key::new("backend_url", "CODEX_OAUTH_BACKEND_URL"),
                file.backend_url,
                PUBLIC_BACKEND,
            )?,
            callback_ports: take.ports(
                Key::new("callback_ports", "CODEX_OAUTH_CALLBACK_PORTS"),
                file.callback_ports,
                &CALLBACK_PORTS,
            )?,
            workspaces: take.names(Key::new("workspace", "CODEX_OAUTH_WORKSPACE"), file.workspace),
            network: network::take(
                &mut take,
                InFile { proxy: file.proxy, no_proxy: file.no_proxy, ca_file: file.ca_file },
            )?,
            originator: take.text(Key::in_file("originator"), file.originator, ORIGINATOR),
            folders: take.folders(&file.folders)?,
            log: take.text(Key::new("log", "CODEX_OAUTH_LOG"), file.log, LOG),
            limits: take.limits(&file.limits)?,
            settings: take.into_vec(),
            path,
            document,
        })
    }

    /// Every setting with where it comes from, and whether the file is still what was read.
    pub fn read_result(&self) -> ReadResult {
        let config_file_note = match read(&self.path) {
            Ok(now) if now == self.document => None,
            Ok(_) => {
                Some("it was changed; after `codex-oauth daemon stop` the next use reads it anew".to_owned())
            }
            Err(error) => {
                let why = codex_oauth_proto::connect::with_causes(&error);
                Some(format!("it was changed, and the next start of the daemon will refuse it: {why}"))
            }
        };
        ReadResult {
            config_file: self.path.display().to_string(),
            config_file_read: self.document.is_some(),
            config_file_note,
            settings: self.settings.clone(),
        }
    }

    /// What to correct when the value of the setting `name` turns out to be of no use.
    pub fn to_correct(&self, name: &str) -> NextStep {
        NextStep::FixConfiguration { name: self.named_by(name) }
    }

    /// The variable, or the key and its file, that decides the setting `name`.
    pub fn named_by(&self, name: &str) -> String {
        let setting = self.settings.iter().find(|setting| setting.name == name);
        match setting {
            Some(Setting { source: Source::File, .. }) => key_in(name, &self.path),
            Some(Setting { variable: Some(variable), .. }) => variable.clone(),
            _ => name.to_owned(),
        }
    }

    /// `User-Agent`: our own name and build.
    pub fn user_agent(&self) -> String {
        format!("{}/{BUILD} ({}; {})", self.originator, std::env::consts::OS, std::env::consts::ARCH)
    }

    /// Scheme, host and port of the backend: what a grant is bound to.
    pub fn backend_origin(&self) -> String {
        values::origin(&self.backend)
    }
}

/// Nothing when there is no such file.
fn read(path: &Path) -> Result<Option<Document>, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    toml::from_str(&text).map(Some).map_err(|error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let line = line.map_or_else(String::new, |line| format!("line {line}: "));
        ConfigError::Parse { path: path.to_owned(), reason: format!("{line}{}", error.message()) }
    })
}

fn key_in(name: &str, path: &Path) -> String {
    format!("{name} in `{}`", path.display())
}

#[cfg(test)]
mod tests {
    use codex_oauth_proto::local::UserId;

    use super::*;

    fn write(path: &Path, text: &str) {
        use std::io::Write as _;
        std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn env(dir: &Path) -> Env {
        Env::new(UserId::default(), Some(dir.to_owned()), None).with("CODEX_OAUTH_CONFIG_DIR", dir)
    }

    #[test]
    fn the_variable_wins_over_the_file_and_the_file_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let ca = if cfg!(windows) { "C:/ca.pem" } else { "/ca.pem" };
        let text = format!(
            "issuer_url = \"https://issuer.example/\"\nca_file = \"{ca}\"\n[limits]\ndrain_ms = 5\nturns = 3\n"
        );
        write(&dir.path().join("config.toml"), &text);
        let config = Config::load(&env(dir.path())).unwrap();
        assert_eq!(config.issuer, "https://issuer.example");
        assert_eq!(config.backend, PUBLIC_BACKEND);
        assert_eq!(config.callback_ports, CALLBACK_PORTS);
        assert_eq!((config.limits.drain.as_millis(), config.limits.turns), (5, 3));
        let config =
            Config::load(&env(dir.path()).with("CODEX_OAUTH_ISSUER_URL", "http://127.0.0.1:9")).unwrap();
        assert_eq!(config.issuer, "http://127.0.0.1:9");
    }

    #[test]
    fn a_value_that_cannot_be_used_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for (name, value, expected) in [
            ("CODEX_OAUTH_ISSUER_URL", "http://issuer.example", "loopback only"),
            ("CODEX_OAUTH_ISSUER_URL", "issuer", "expected a URL"),
            ("CODEX_OAUTH_BACKEND_URL", "ftp://example.com", "expected https"),
            ("CODEX_OAUTH_BACKEND_URL", "https://u:p@example.com", "no user name"),
            ("CODEX_OAUTH_CALLBACK_PORTS", "80x", "port numbers"),
            ("CODEX_OAUTH_CA_FILE", "ca.pem", "absolute"),
        ] {
            let refused = Config::load(&env(dir.path()).with(name, value)).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn a_value_of_the_file_is_refused_by_key_and_file() {
        let dir = tempfile::tempdir().unwrap();
        for (text, name) in [
            ("issuer_url = \"issuer\"", "issuer_url"),
            ("callback_ports = []", "callback_ports"),
            ("ca_file = \"ca.pem\"", "ca_file"),
            ("[limits]\ndrian_ms = 5", "limits.drian_ms"),
        ] {
            write(&dir.path().join("config.toml"), text);
            let refused = Config::load(&env(dir.path())).unwrap_err().to_wire();
            assert!(refused.message.starts_with(&format!("could not use {name}=`")), "{}", refused.message);
            let place = format!("{name} in `{}`", dir.path().join("config.toml").display());
            assert_eq!(refused.next_step, Some(NextStep::FixConfiguration { name: place }));
        }
    }

    #[test]
    fn what_is_shown_is_what_is_in_force_with_its_source() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("config.toml"), "log = \"debug\"\n[limits]\ndrain_ms = 5\n");
        let env = env(dir.path())
            .with("CODEX_OAUTH_CALLBACK_PORTS", "7, 8")
            .with("https_proxy", "http://ada:FAKE@proxy:3128");
        let config = Config::load(&env).unwrap();
        let read = config.read_result();
        let shown = |name: &str| {
            let setting = read.settings.iter().find(|setting| setting.name == name).unwrap();
            (setting.value.to_string(), setting.source, setting.variable.clone())
        };
        let variable = |name: &str| Some(name.to_owned());
        assert_eq!(shown("log"), ("\"debug\"".to_owned(), Source::File, variable("CODEX_OAUTH_LOG")));
        assert_eq!(shown("limits.drain_ms"), ("5".to_owned(), Source::File, None));
        assert_eq!(shown("limits.turns").1, Source::Default);
        assert_eq!(
            shown("callback_ports"),
            ("[7,8]".to_owned(), Source::Environment, variable("CODEX_OAUTH_CALLBACK_PORTS"))
        );
        assert_eq!(
            shown("proxy"),
            ("\"http://proxy:3128\"".to_owned(), Source::Environment, variable("https_proxy"))
        );
        assert_eq!(shown("config_dir").1, Source::Environment);
        assert_eq!(shown("ca_file"), ("null".to_owned(), Source::Default, variable("CODEX_OAUTH_CA_FILE")));
        // What is shown can be written into the file as it is.
        let keys = read.settings.iter().filter(|setting| setting.file_key);
        for setting in keys {
            let (table, key) = setting.name.split_once('.').unwrap_or(("", &setting.name));
            let value = if setting.value.is_null() { "\"/x\"".into() } else { setting.value.clone() };
            let text = if table.is_empty() {
                format!("{key} = {value}")
            } else {
                format!("[{table}]\n{key} = {value}")
            };
            toml::from_str::<Document>(&text).unwrap();
        }
        assert_eq!((read.config_file_read, read.config_file_note), (true, None));
    }

    #[test]
    fn a_file_that_was_changed_since_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::load(&env(dir.path())).unwrap();
        assert!(!config.read_result().config_file_read);
        for (text, told) in [("log = \"warn\"", "was changed"), ("log = 7", "will refuse it: could not use")]
        {
            write(&dir.path().join("config.toml"), text);
            let note = config.read_result().config_file_note.unwrap();
            assert!(note.contains(told), "{note}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        for (text, told) in [
            ("log = \"info\"\nisuer_url = \"x\"", "`: line 2: unknown field `isuer_url`, expected one of"),
            ("log = \"info", "`: line 1: "),
            ("[limits]\ndrian_ms = 5", "limits.drian_ms=`5`: there is no such limit"),
        ] {
            write(&dir.path().join("config.toml"), text);
            let refused = Config::load(&env(dir.path())).unwrap_err().to_wire().message;
            assert!(refused.contains(told) && refused.lines().count() == 1, "{refused}");
        }
    }
}
