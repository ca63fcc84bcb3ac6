//! `codex-oauth test --demo`: the same walk against fake-openai on this machine, in a home that is made for it and removed.

use std::io::{self, BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use codex_oauth_proto::api::account::{LOGIN_COMPLETED, LoginCompleted, LoginStart, LoginStartParams};
use codex_oauth_proto::env::Env;
use codex_oauth_proto::{Client, ErrorCode, NextStep, Nonce, Retry, Waited, WireError};
use serde::Deserialize;

use super::Steps;
use crate::child;
use crate::commands::daemon;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// How long a login that nobody has to click through may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Said first, so that nobody takes it for more than it is.
const SIMULATED: &str = "\
SIMULATED: issuer and backend are fake-openai on this machine. Nothing leaves
it, and no account is used. Daemon, login, HTTP and streaming are real.";

/// Walks all steps in a house of its own.
pub(super) fn run(context: &mut Context) -> Result<Exit, Failure> {
    let program = program(&context.env).ok_or_else(missing)?;
    let house = House::build(&program).map_err(|error| could_not("start the demo", &error))?;
    context.output.line(SIMULATED)?;
    let simulated = house.env(&context.env);
    let own = std::mem::replace(&mut context.env, simulated);
    let ended = walk(context, &program);
    let stopped = daemon::stop_running(context);
    context.env = own;
    let exit = ended?;
    stopped?;
    Ok(exit)
}

fn walk(context: &mut Context, program: &Path) -> Result<Exit, Failure> {
    let mut steps = Steps { context, began: Instant::now() };
    let mut client = steps.begin()?;
    let signed_in = sign_in(&mut client, program);
    steps.wire("sign in", signed_in)?;
    steps.ok("sign in", None, "with PKCE; fake-openai followed the link")?;
    steps.walk(client, None)
}

fn sign_in(client: &mut Client, program: &Path) -> Result<(), Failure> {
    let params = LoginStartParams { device: Some(false), ..LoginStartParams::default() };
    let login = client.call::<LoginStart>(&params)?;
    let mut browser = Command::new(program);
    child::ask(browser.args(["--follow", &login.auth_url]), PATIENCE)
        .map_err(|why| could_not("follow the link of the login", &why))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.wait(Some(deadline), None)? {
            Waited::Notification(incoming) if incoming.method == LOGIN_COMPLETED => {
                let completed: LoginCompleted = incoming.read()?;
                return completed.error.map_or(Ok(()), |error| Err(error.into()));
            }
            Waited::Notification(_) | Waited::Woken | Waited::Alive => {}
            Waited::TimedOut => return Err(could_not("sign in", &"the login did not end in time").into()),
        }
    }
}

/// The fake, and a folder for everything that a daemon and its clients touch. Both are gone when this is.
struct House {
    fake: Child,
    urls: Urls,
    dir: PathBuf,
    /// Two ports that are free, for the login's way back: the registered pair may be in use by a real login.
    ports: String,
}

/// What the fake says of itself when it is ready.
#[derive(Deserialize)]
struct Urls {
    issuer_url: String,
    backend_url: String,
}

impl House {
    fn build(program: &Path) -> io::Result<Self> {
        let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [one, other] = listeners.map(|listener| listener.local_addr().map(|address| address.port()));
        let ports = format!("{},{}", one?, other?);
        let mut fake = Command::new(program)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let said = fake.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let urls = said.transpose().and_then(|_| Ok(serde_json::from_str::<Urls>(&line)?));
        let dir = urls.and_then(|urls| Ok((urls, folder()?)));
        match dir {
            Ok((urls, dir)) => Ok(Self { fake, urls, dir, ports }),
            Err(error) => {
                drop(fake.stdin.take());
                fake.wait()?;
                Err(error)
            }
        }
    }

    /// The environment in which nothing leads to the person's own home.
    fn env(&self, own: &Env) -> Env {
        let place = |name: &str| self.dir.join(name);
        let mut env = own.clone();
        env.home = Some(place("home"));
        env.with("HOME", place("home"))
            .with("CLAUDE_CONFIG_DIR", place("home/.claude"))
            .with("CODEX_HOME", place("home/.codex"))
            .with("CODEX_OAUTH_RUNTIME_DIR", place("run"))
            .with("CODEX_OAUTH_STATE_DIR", place("state"))
            .with("CODEX_OAUTH_CONFIG_DIR", place("config"))
            .with("CODEX_OAUTH_AUTH_FILE", place("home/.claude/auth.json"))
            .with("CODEX_OAUTH_ISSUER_URL", &self.urls.issuer_url)
            .with("CODEX_OAUTH_BACKEND_URL", &self.urls.backend_url)
            .with("CODEX_OAUTH_CALLBACK_PORTS", &self.ports)
            .with("CODEX_OAUTH_NO_BROWSER", "1")
            .with("CODEX_OAUTH_NO_SPAWN", "0")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.fake.stdin.take());
        let _ended = self.fake.wait();
        // What cannot be removed lies where temporary files lie.
        let _removed = std::fs::remove_dir_all(&self.dir);
    }
}

/// A folder for this user alone. Its name is short: the socket's path has a bound.
fn folder() -> io::Result<PathBuf> {
    let nonce = Nonce::random()?.to_string();
    let dir = std::env::temp_dir().join(format!("cxo-demo-{}", nonce.get(..8).unwrap_or(&nonce)));
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&dir)?;
    builder.recursive(true).create(dir.join("home/.claude"))?;
    builder.create(dir.join("config"))?;
    Ok(dir)
}

/// The fake beside this program, else on PATH.
fn program(env: &Env) -> Option<PathBuf> {
    let name = format!("fake-openai{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(name)));
    beside.filter(|path| path.is_file()).or_else(|| child::find(env, "fake-openai"))
}

fn missing() -> WireError {
    let message = "could not find `fake-openai` beside this program or on PATH: no release brings it along; \
                   `cargo build -p fake-openai` in the source makes it";
    let step = NextStep::FixConfiguration { name: "PATH".to_owned() };
    WireError::caller(ErrorCode::Configuration, message).next(step)
}

fn could_not(what: &str, why: &dyn std::fmt::Display) -> WireError {
    WireError::daemon(ErrorCode::Internal, Retry::Safe, format!("could not {what}: {why}"))
        .next(NextStep::Retry)
}
