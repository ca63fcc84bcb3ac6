//! A home of its own for one benchmark: fake issuer and backend, a daemon that is signed in, and the environment of its shims.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use codex_oauth_proto::Client;
use codex_oauth_proto::api::account;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::report::{REPORT_FLAG, StartupReport};
use fake_openai::{Config, FakeOpenAi, MintRequest};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;

use crate::error::{Error, Trying as _};
use crate::upstream::Upstream;

/// A daemon without turns ends at once; this ends only a run that hangs.
const END: Duration = Duration::from_secs(10);

/// How the daemon reaches its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The fake itself over plain HTTP.
    Fake,
    /// The fast upstream for turns, the fake for the rest.
    Fast,
    /// The fake over TLS and HTTP/2.
    Tls,
}

/// Everything around the shims. Dropping it ends the daemon and removes the folder.
#[derive(Debug)]
pub(crate) struct House {
    /// Issuer, backend, and the journal of both.
    pub(crate) fake: FakeOpenAi,
    /// The fast upstream, if that is the backend.
    pub(crate) upstream: Option<Upstream>,
    vars: BTreeMap<String, String>,
    daemon: Option<Child>,
    dir: TempDir,
}

impl House {
    /// Starts everything with the daemon's own limits, and signs in.
    pub(crate) fn start(daemon: &Path, backend: Backend) -> Result<Self, Error> {
        Self::start_limited(daemon, backend, "")
    }

    /// The same with `limits`, lines of that table in `config.toml`.
    pub(crate) fn start_limited(daemon: &Path, backend: Backend, limits: &str) -> Result<Self, Error> {
        let config = if backend == Backend::Tls { Config::with_tls() } else { Config::default() };
        let fake = FakeOpenAi::start(config).trying("start fake-openai")?;
        let upstream = (backend == Backend::Fast).then(|| Upstream::start(fake.address())).transpose()?;
        // Short: the socket's path has to fit 107 bytes.
        let dir = tempfile::Builder::new().prefix("cxo").tempdir().trying("make a temporary folder")?;
        let mut house = Self { fake, upstream, vars: BTreeMap::new(), daemon: None, dir };
        house.furnish(daemon)?;
        if !limits.is_empty() {
            house.write("config/config.toml", &format!("[limits]\n{limits}"))?;
        }
        house.start_daemon(daemon)?;
        house.sign_in()?;
        Ok(house)
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The daemon's process id, while it runs.
    pub(crate) fn daemon_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// A command that runs in this home and knows no other.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.vars);
        command
    }

    /// A session of role `api` with the daemon that runs.
    pub(crate) fn api(&self) -> Result<Client, Error> {
        let client = Client::open_if_running(&self.env());
        let client = client.map_err(|error| Error::said("talk to the daemon", error.message))?;
        client.ok_or_else(|| Error::said("talk to the daemon", "none runs"))
    }

    /// Ends the daemon that this house started and waits for its end.
    pub(crate) fn stop_daemon(&mut self) -> Result<(), Error> {
        match self.daemon.take() {
            Some(mut child) => {
                end(child.id())?;
                child.wait().trying("wait for the daemon's end").map(drop)
            }
            None => Ok(()),
        }
    }

    /// Lets the access token in the credential file have ended; the refresh token stays.
    pub(crate) fn end_token(&self) -> Result<(), Error> {
        const FILE: &str = "home/.claude/auth.json";
        let read = || -> std::io::Result<Value> {
            Ok(serde_json::from_slice(&std::fs::read(self.path().join(FILE))?)?)
        };
        let mut document = read().trying("read the credential file")?;
        let login = &mut document["openai_codex"];
        let ended = MintRequest { access_token_life_secs: Some(-60), ..MintRequest::default() };
        login["access_token"] = self.fake.mint(&ended).access_token.into();
        login["expires_at"] = 1.into();
        // A pair that was renewed a moment ago is not renewed again for its end: the clock might be wrong.
        login["grant"]["last_refresh"] = Value::Null;
        self.write(FILE, &document.to_string())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        File::create(self.path().join(name))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .trying(&format!("write {name}"))
    }

    /// The environment as clients of this process read it.
    pub(crate) fn env(&self) -> Env {
        let us = Env::from_process();
        let bare = Env::new(us.uid, Some(self.path().join("home")), None);
        self.vars.iter().fold(bare, |env, (name, value)| env.with(name, value))
    }

    /// Folders, the certificate and the variables.
    fn furnish(&mut self, daemon: &Path) -> Result<(), Error> {
        for folder in ["home/.claude", "config"] {
            std::fs::create_dir_all(self.path().join(folder)).trying("make a folder")?;
        }
        let place = |name: &str| self.path().join(name).display().to_string();
        let mut vars: BTreeMap<&str, String> = [
            ("HOME", place("home")),
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("CODEX_OAUTH_RUNTIME_DIR", place("run")),
            ("CODEX_OAUTH_STATE_DIR", place("state")),
            ("CODEX_OAUTH_CONFIG_DIR", place("config")),
            ("CODEX_OAUTH_AUTH_FILE", place("home/.claude/auth.json")),
            ("CODEX_OAUTH_CALLBACK_PORTS", free_ports()?),
            ("CODEX_OAUTH_NO_BROWSER", "1".to_owned()),
            ("CODEX_OAUTH_DAEMON", daemon.display().to_string()),
            ("CODEX_OAUTH_ISSUER_URL", self.fake.issuer_url()),
            ("CODEX_OAUTH_BACKEND_URL", self.fake.backend_url()),
        ]
        .into();
        if let Some(upstream) = &self.upstream {
            vars.insert("CODEX_OAUTH_BACKEND_URL", format!("http://{}/backend-api", upstream.address));
        }
        if let (Some(issuer), Some(backend)) = (self.fake.tls_issuer_url(), self.fake.tls_backend_url()) {
            let ca = self.path().join("ca.pem");
            self.write("ca.pem", self.fake.ca_pem())?;
            vars.insert("CODEX_OAUTH_CA_FILE", ca.display().to_string());
            vars.insert("CODEX_OAUTH_ISSUER_URL", issuer);
            vars.insert("CODEX_OAUTH_BACKEND_URL", backend);
        }
        self.vars = vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(())
    }

    fn start_daemon(&mut self, program: &Path) -> Result<(), Error> {
        let log = self.path().join("daemon.log");
        let mut child = self
            .command(program)
            .args(["run", REPORT_FLAG])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).trying("open a log")?)
            .spawn()
            .trying("start the daemon")?;
        let report = child.stdout.take();
        self.daemon = Some(child);
        let mut line = String::new();
        if let Some(report) = report {
            BufReader::new(report).read_line(&mut line).trying("read the daemon's report")?;
        }
        match serde_json::from_str(&line) {
            Ok(StartupReport::Ready { .. }) => Ok(()),
            _ => Err(Error::said("start the daemon", tail(&log, &line))),
        }
    }

    /// Starts a login and follows its link like a browser.
    fn sign_in(&self) -> Result<(), Error> {
        let refuse = |reason: String| Error::said("sign in", reason);
        let mut client = self.api()?;
        let params =
            account::LoginStartParams { device: Some(false), ..account::LoginStartParams::default() };
        let started = client.call::<account::LoginStart>(&params).map_err(|error| refuse(error.message))?;
        // The fake answers alike on both of its listeners.
        let link = match self.fake.tls_issuer_url() {
            Some(tls) => started.auth_url.replace(&tls, &self.fake.issuer_url()),
            None => started.auth_url,
        };
        let page = self.fake.authorize(&link).trying("follow the login's link")?;
        let completed = loop {
            let told = client.notification().map_err(|error| refuse(error.message))?;
            if told.method == account::LOGIN_COMPLETED {
                break told;
            }
        };
        if page.status != 200 || completed.params.get("success") != Some(&true.into()) {
            return Err(refuse(completed.params.to_string()));
        }
        Ok(())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let Some(mut child) = self.daemon.take() else { return };
        // In the orderly way, in which a daemon that counts writes down what it has counted.
        if end(child.id()).is_err() {
            let _ended = child.kill();
        }
        let _ended = child.wait();
    }
}

/// Asks a process to end, which need not be a child, and waits until it has; one that does not is killed.
pub(crate) fn end(pid: u32) -> Result<(), Error> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::said("end a process", "no process has that id"))?;
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        handle => handle.trying("watch a process")?,
    };
    for signal in [Signal::TERM, Signal::KILL] {
        match kill_process(pid, signal) {
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            sent => sent.trying("end a process")?,
        }
        let mut waits = [PollFd::new(&handle, PollFlags::IN)];
        let timeout =
            Timespec::try_from(END).map_err(|error| Error::said("bound a wait", error.to_string()))?;
        if poll(&mut waits, Some(&timeout)).trying("wait for the end of a process")? > 0 {
            return Ok(());
        }
    }
    Err(Error::said("end a process", format!("{pid:?} does not end")))
}

/// Waits. For what is measured over a time, and for what no event tells.
#[expect(clippy::disallowed_methods, reason = "idleness is measured by doing nothing for a while")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Two ports that were free a moment ago: the registered pair may be in use by a daemon that works.
fn free_ports() -> Result<String, Error> {
    let listen = |_| TcpListener::bind("127.0.0.1:0").trying("find a free port");
    let listeners = (0..2).map(listen).collect::<Result<Vec<_>, _>>()?;
    let port =
        |listener: &TcpListener| Ok(listener.local_addr().trying("find a free port")?.port().to_string());
    Ok(listeners.iter().map(port).collect::<Result<Vec<_>, Error>>()?.join(","))
}

fn tail(log: &PathBuf, report: &str) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    format!("{report}{}", lines[lines.len().saturating_sub(5)..].join("\n"))
}
