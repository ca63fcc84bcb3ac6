//! What of the environment decides where things are, read once and passed on as a value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::hello::SESSION_ENV;
use crate::local::{self, UserId};

/// The folder name under every base directory.
pub const APP: &str = "codex-oauth";

/// The variable that names the home folder.
pub const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// A snapshot of what decides places. Pure functions take it, so that a test can write one down.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// The caller's user.
    pub uid: UserId,
    /// Its home folder.
    pub home: Option<PathBuf>,
    /// `/run/user/<uid>`, when it exists and belongs to the caller. Looked up by uid and not through
    /// `XDG_RUNTIME_DIR`: a caller under cron or `su` lacks the variable and would raise a second daemon.
    pub run_user: Option<PathBuf>,
    vars: BTreeMap<String, OsString>,
}

/// A place could not be worked out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvError {
    /// Neither the variable nor a home folder says where.
    #[error("could not tell where {what} belongs: no home folder is known; set {variable}, or {instead}")]
    NoHome {
        /// What was looked for.
        what: &'static str,
        /// The variable that is missing: [`HOME`].
        variable: &'static str,
        /// The one that would say this place alone.
        instead: &'static str,
    },
    /// A relative path would mean another place for each working directory.
    #[error("could not use {variable}=`{}`: it must be an absolute path", value.display())]
    NotAbsolute {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: PathBuf,
    },
}

impl Env {
    /// The calling process's own.
    pub fn from_process() -> Self {
        let uid = local::current_user();
        let vars =
            std::env::vars_os().filter_map(|(name, value)| Some((known_as(name.into_string().ok()?), value)));
        Self {
            uid,
            home: std::env::home_dir().filter(|home| home.is_absolute()),
            run_user: run_user(uid),
            vars: vars.collect(),
        }
    }

    /// One written down: no variables.
    pub fn new(uid: UserId, home: Option<PathBuf>, run_user: Option<PathBuf>) -> Self {
        Self { uid, home, run_user, vars: BTreeMap::new() }
    }

    /// The same with one variable set: for tests and for passing a choice on.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.vars.insert(name.to_owned(), value.into());
        self
    }

    /// A variable that is set, not empty and valid UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name)?.to_str().filter(|value| !value.is_empty())
    }

    /// A variable as the system gave it.
    pub fn get_os(&self, name: &str) -> Option<&OsString> {
        self.vars.get(name).filter(|value| !value.is_empty())
    }

    /// Every variable that has a UTF-8 name.
    pub(crate) fn vars(&self) -> impl Iterator<Item = (&str, &OsString)> {
        self.vars.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// `1` means yes; anything else, or nothing, means no.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    /// The part of the environment that travels in a hello.
    pub fn session_vars(&self) -> BTreeMap<String, String> {
        SESSION_ENV.iter().filter_map(|name| Some(((*name).to_owned(), self.get(name)?.to_owned()))).collect()
    }

    /// Where database and logs live: `CODEX_OAUTH_STATE_DIR`, else the platform's state folder.
    pub fn state_dir(&self) -> Result<PathBuf, EnvError> {
        let (what, variable) = ("the state folder", "CODEX_OAUTH_STATE_DIR");
        if cfg!(windows) {
            return match self.absolute(variable)? {
                Some(dir) => Ok(dir),
                None => Ok(self.local_app_data(what, variable)?.join("state")),
            };
        }
        let platform: &[&str] = if cfg!(target_os = "macos") {
            &["Library", "Application Support", APP]
        } else {
            &[".local", "state", APP]
        };
        self.dir(what, variable, "XDG_STATE_HOME", platform)
    }

    /// Where `config.toml` lives: `CODEX_OAUTH_CONFIG_DIR`, else the platform's configuration folder.
    pub fn config_dir(&self) -> Result<PathBuf, EnvError> {
        let (base, platform): (_, &[&str]) = if cfg!(windows) {
            ("APPDATA", &["AppData", "Roaming", APP])
        } else {
            ("XDG_CONFIG_HOME", &[".config", APP])
        };
        self.dir("the configuration", "CODEX_OAUTH_CONFIG_DIR", base, platform)
    }

    /// `%LOCALAPPDATA%\codex-oauth`: what belongs to this user on this machine.
    pub(crate) fn local_app_data(
        &self,
        what: &'static str,
        variable: &'static str,
    ) -> Result<PathBuf, EnvError> {
        match self.absolute("LOCALAPPDATA")? {
            Some(base) => Ok(base.join(APP)),
            None => Ok(self.home_or(what, variable)?.join("AppData").join("Local").join(APP)),
        }
    }

    /// The credential file: `CODEX_OAUTH_AUTH_FILE`, else `~/.claude/auth.json`. Links are resolved as far as the path
    /// exists, so that two spellings of one file are one file.
    pub fn auth_file(&self) -> Result<PathBuf, EnvError> {
        let path = match self.absolute("CODEX_OAUTH_AUTH_FILE")? {
            Some(path) => path,
            None => self.home_or("the login", "CODEX_OAUTH_AUTH_FILE")?.join(".claude").join("auth.json"),
        };
        Ok(canonical(&path))
    }

    /// An absolute path from a variable, or nothing when it is not set.
    pub fn absolute(&self, variable: &'static str) -> Result<Option<PathBuf>, EnvError> {
        match self.get_os(variable).map(PathBuf::from) {
            Some(value) if !value.is_absolute() => Err(EnvError::NotAbsolute { variable, value }),
            found => Ok(found),
        }
    }

    fn dir(
        &self,
        what: &'static str,
        variable: &'static str,
        base: &str,
        under_home: &[&str],
    ) -> Result<PathBuf, EnvError> {
        if let Some(path) = self.absolute(variable)? {
            return Ok(path);
        }
        // The XDG specification says to ignore a relative value.
        let base = self.get_os(base).map(PathBuf::from).filter(|path| path.is_absolute());
        if let (Some(base), false) = (base, cfg!(target_os = "macos")) {
            return Ok(base.join(APP));
        }
        Ok(under_home.iter().fold(self.home_or(what, variable)?.to_owned(), |path, part| path.join(part)))
    }

    fn home_or(&self, what: &'static str, variable: &'static str) -> Result<&Path, EnvError> {
        if let Some(home) = &self.home {
            return Ok(home);
        }
        // One that is relative is not taken, see `from_process`; that is what has to be said then.
        self.absolute(HOME)?;
        Err(EnvError::NoHome { what, variable: HOME, instead: variable })
    }
}

/// Resolves links in the longest part of `path` that exists.
fn canonical(path: &Path) -> PathBuf {
    if is_canonical(path) {
        return path.to_owned();
    }
    if let Ok(real) = path.canonicalize() {
        return plain(real);
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !parent.as_os_str().is_empty() => canonical(parent).join(name),
        _ => path.to_owned(),
    }
}

/// Whether `path` exists and the kernel says that no part of it is a link: one question where resolving asks about each
/// part. False is no answer: older kernels (before 5.6) and some sandboxes do not know the question.
#[cfg(target_os = "linux")]
fn is_canonical(path: &Path) -> bool {
    use std::path::Component;

    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

    let as_spelled: PathBuf =
        path.components().filter(|part| matches!(part, Component::RootDir | Component::Normal(_))).collect();
    path.is_absolute()
        && as_spelled.as_os_str() == path.as_os_str()
        && openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)
            .is_ok()
}

#[cfg(not(target_os = "linux"))]
fn is_canonical(_path: &Path) -> bool {
    false
}

/// Names of variables have no case on Windows.
fn known_as(name: String) -> String {
    if cfg!(windows) { name.to_ascii_uppercase() } else { name }
}

/// Without the `\\?\` that Windows puts before a resolved path: not every program understands it.
pub(crate) fn plain(path: PathBuf) -> PathBuf {
    if !cfg!(windows) {
        return path;
    }
    let text = path.to_str().and_then(|text| text.strip_prefix(r"\\?\"));
    match text {
        Some(text) if text.as_bytes().get(1) == Some(&b':') => PathBuf::from(text),
        _ => path,
    }
}

#[cfg(not(unix))]
fn run_user(_: UserId) -> Option<PathBuf> {
    None
}

#[cfg(unix)]
fn run_user(uid: UserId) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    if !cfg!(target_os = "linux") {
        return None;
    }
    let path = PathBuf::from(format!("/run/user/{uid}"));
    let found = std::fs::symlink_metadata(&path).ok()?;
    (found.is_dir() && found.uid() == uid).then_some(path)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Env {
        Env::new(1000, Some("/home/ada".into()), None)
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn places_follow_the_variables_then_xdg_then_home() {
        let path = |text: &str| Ok(PathBuf::from(text));
        assert_eq!(home().state_dir(), path("/home/ada/.local/state/codex-oauth"));
        assert_eq!(home().with("XDG_STATE_HOME", "/x").state_dir(), path("/x/codex-oauth"));
        assert_eq!(
            home().with("XDG_STATE_HOME", "x").state_dir(),
            path("/home/ada/.local/state/codex-oauth")
        );
        assert_eq!(home().with("CODEX_OAUTH_STATE_DIR", "/s").state_dir(), path("/s"));
        assert_eq!(home().config_dir(), path("/home/ada/.config/codex-oauth"));
        assert_eq!(home().auth_file(), path("/home/ada/.claude/auth.json"));
    }

    #[test]
    fn a_relative_path_is_refused_by_the_name_of_its_variable() {
        let refused = home().with("CODEX_OAUTH_AUTH_FILE", "auth.json").auth_file().unwrap_err();
        assert!(refused.to_string().contains("CODEX_OAUTH_AUTH_FILE"));
    }

    #[test]
    fn without_a_home_the_error_names_the_variable_to_set() {
        let refused = Env::default().state_dir().unwrap_err();
        assert!(refused.to_string().contains("set HOME, or CODEX_OAUTH_STATE_DIR"), "{refused}");
        let refused = Env::default().with("HOME", "rel").state_dir().unwrap_err().to_string();
        assert_eq!(refused, "could not use HOME=`rel`: it must be an absolute path");
    }

    #[test]
    fn only_the_listed_variables_travel() {
        let env = home().with("DISPLAY", ":0").with("OPENAI_API_KEY", "FAKE").with("HTTPS_PROXY", "http://p");
        assert_eq!(env.session_vars().into_keys().collect::<Vec<_>>(), ["DISPLAY"]);
    }

    #[test]
    fn two_spellings_of_one_file_are_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        let spellings = ["new.json", "link/new.json", "./new.json", "link/../FOLDER/new.json", "//new.json"];
        let folder = real.file_name().unwrap().to_str().unwrap();
        for exists in [false, true] {
            if exists {
                std::fs::File::create(real.join("new.json")).unwrap();
                std::os::unix::fs::symlink("new.json", real.join("other.json")).unwrap();
            }
            let linked = exists.then_some("link/other.json");
            for spelled in spellings.into_iter().chain(linked) {
                // A path that was joined as text keeps its dots and slashes.
                let spelled = format!("{}/{}", real.display(), spelled.replace("FOLDER", folder));
                let env = home().with("CODEX_OAUTH_AUTH_FILE", spelled.as_str());
                assert_eq!(env.auth_file().unwrap(), real.join("new.json"), "{spelled}, exists: {exists}");
            }
        }
    }
}
