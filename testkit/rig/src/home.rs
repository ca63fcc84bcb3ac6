//! A home that only the test knows.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::lock::{FileLock, LockError};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::binary;

/// A temporary folder with everything that a daemon and its clients touch, and the environment that leads there.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
    vars: BTreeMap<String, String>,
}

impl Home {
    pub(crate) fn new() -> Self {
        // Short: the socket's path has to fit 107 bytes.
        let dir = tempfile::Builder::new().prefix("cxo").tempdir().expect("a temporary folder");
        let place = |name: &str| dir.path().join(name).display().to_string();
        let vars = [
            ("HOME", place("home")),
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("CODEX_OAUTH_RUNTIME_DIR", place("run")),
            ("CODEX_OAUTH_STATE_DIR", place("state")),
            ("CODEX_OAUTH_CONFIG_DIR", place("config")),
            ("CODEX_OAUTH_AUTH_FILE", place("home/.claude/auth.json")),
            ("CODEX_OAUTH_CALLBACK_PORTS", free_ports()),
            ("CODEX_OAUTH_NO_BROWSER", "1".to_owned()),
            ("CODEX_OAUTH_NO_SPAWN", "1".to_owned()),
            ("CODEX_OAUTH_LOG", "trace".to_owned()),
            ("CODEX_OAUTH_DAEMON", binary("codex-oauthd").display().to_string()),
        ];
        let vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let home = Self { dir, vars };
        for folder in ["home/.claude", "config"] {
            std::fs::create_dir_all(home.path().join(folder)).expect("a folder in a temporary folder");
        }
        home
    }

    /// The same with one variable set.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same without a variable.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.vars.remove(name);
        self
    }

    /// The same where whoever needs a daemon may start one. That one is killed when this is dropped.
    #[must_use]
    pub fn spawning(self) -> Self {
        self.set("CODEX_OAUTH_NO_SPAWN", "0")
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The credential file.
    pub fn auth_file(&self) -> PathBuf {
        self.path().join("home/.claude/auth.json")
    }

    /// The environment as clients of this process read it.
    pub fn env(&self) -> Env {
        let us = Env::from_process();
        let bare = Env::new(us.uid, Some(self.path().join("home")), None);
        self.vars.iter().fold(bare, |env, (name, value)| env.with(name, value))
    }

    /// Where the daemon of this home listens.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::resolve(&self.env()).expect("a short path")
    }

    /// A command that runs in this home and knows no other.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.vars).current_dir(self.path());
        command
    }

    /// Writes a program.
    pub fn script(&self, path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        write(path, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    }

    pub(crate) fn write_limits(&self, limits: &[(&str, u64)]) {
        let lines: Vec<String> = limits.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        write(&self.path().join("config/config.toml"), &format!("[limits]\n{}", lines.concat()));
    }
}

impl Drop for Home {
    /// Kills the daemon that a client started: it is nobody's child here, and would outlive the test.
    fn drop(&mut self) {
        let may_spawn = self.vars.get("CODEX_OAUTH_NO_SPAWN").is_none_or(|value| value != "1");
        let Ok(endpoint) = Endpoint::resolve(&self.env()) else { return };
        if may_spawn && let Some(pid) = daemon_at(&endpoint.dir) {
            // It may end by itself just now.
            let _ended = kill_process(pid, Signal::KILL);
        }
    }
}

/// The daemon whose runtime folder this is, if one lives.
pub fn daemon_at(dir: &Path) -> Option<Pid> {
    let lock = dir.join("instance.lock");
    if !lock.exists() {
        return None;
    }
    // Only a lock that is held names a process that lives.
    let Err(LockError::Held { text, .. }) = FileLock::try_acquire(&lock) else { return None };
    Pid::from_raw(text.strip_prefix("pid ")?.split(' ').next()?.parse().ok()?)
}

/// Two ports that were free a moment ago: tests run side by side, so the registered pair cannot be everybody's.
fn free_ports() -> String {
    let listeners: Vec<TcpListener> =
        (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let ports =
        listeners.iter().map(|listener| listener.local_addr().expect("a bound port").port().to_string());
    ports.collect::<Vec<_>>().join(",")
}

/// Writes a file of the test's.
pub fn write(path: &Path, text: &str) {
    let mut file = std::fs::File::create(path).expect("a file in a temporary folder");
    file.write_all(text.as_bytes()).expect("room for a small file");
}
