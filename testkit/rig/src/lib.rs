//! The whole house for a test: fake issuer and backend, a real daemon in a home of its own, real shims, an MCP client.
//!
//! Promises: nothing of the caller's own home is touched; every wait has one deadline, [`patience`]; every process that was
//! started is ended when its handle is dropped; the daemon's log is shown only when the test fails.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

mod daemon;
mod home;
mod inbox;
mod lines;
mod mcp;
pub mod scale;
mod shim;
mod user;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use codex_oauth_proto::Client;
use codex_oauth_proto::api::daemon::LogFlush;
use codex_oauth_proto::api::{Empty, account};
use fake_openai::{Config, FakeOpenAi};

pub use daemon::{Daemon, is_stopped};
pub use home::{Home, daemon_at, write};
pub use lines::Lines;
pub use mcp::{McpClient, text_of};
pub use shim::Shim;
pub use user::User;

/// How long a test waits for what must happen: `TEST_PATIENCE_MS`, 30 s by default. Longer than anything takes on a busy
/// machine, so that it ends only tests that would hang.
pub fn patience() -> Duration {
    let given = std::env::var("TEST_PATIENCE_MS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(given.unwrap_or(30_000))
}

/// What a daemon talks to that nobody told otherwise.
const PUBLIC_ISSUER: &str = "https://auth.openai.com";

/// First and longest pause between two looks of [`eventually`]. Without one it takes a processor from what it waits for.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(10));

/// Asks until it holds, and panics with `what` when it does not within [`patience`].
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience();
    let (mut pause, longest) = LOOK_AGAIN;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        #[expect(clippy::disallowed_methods, reason = "between two looks; the deadline is above")]
        std::thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}

/// A binary of this workspace: beside the running program, or beside the folder of a running test.
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program has a path");
    let places = own.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    places.clone().find(|path| path.is_file()).unwrap_or_else(|| {
        let places: Vec<String> = places.map(|path| path.display().to_string()).collect();
        panic!("{} is missing: run the tests with `cargo test --workspace`", places.join(" or "))
    })
}

/// How the login ended that this session began: the parameters of its `account/login/completed`.
pub fn login_end(client: &mut Client) -> serde_json::Value {
    loop {
        let told = client.notification().expect("the login's end is told");
        if told.method == account::LOGIN_COMPLETED {
            return told.params;
        }
    }
}

/// Issuer, backend and a home whose configuration points at them. No daemon runs until one is started.
#[derive(Debug)]
pub struct Rig {
    /// The fake.
    pub fake: FakeOpenAi,
    /// The home.
    pub home: Home,
}

impl Rig {
    /// Plain HTTP.
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    /// TLS with HTTP/2 and the fake's own certificate authority, given to the daemon by configuration.
    pub fn over_tls() -> Self {
        let rig = Self::with(Config::with_tls());
        let ca = rig.home.path().join("ca.pem");
        write(&ca, rig.fake.ca_pem());
        let (issuer, backend) = (rig.fake.tls_issuer_url(), rig.fake.tls_backend_url());
        let Self { fake, home } = rig;
        let home = home
            .set("CODEX_OAUTH_CA_FILE", ca.to_str().expect("a UTF-8 path"))
            .set("CODEX_OAUTH_ISSUER_URL", &issuer.expect("TLS was asked for"))
            .set("CODEX_OAUTH_BACKEND_URL", &backend.expect("TLS was asked for"));
        Self { fake, home }
    }

    /// The public addresses, which only a proxy in front of the fake leads to. The daemon is started with these variables.
    pub fn behind(variables: &[(&str, &str)]) -> Self {
        let Self { fake, home } = Self::with(Config::with_tls());
        let home = home.unset("CODEX_OAUTH_ISSUER_URL").unset("CODEX_OAUTH_BACKEND_URL");
        let ca = home.path().join("ca.pem");
        write(&ca, fake.ca_pem());
        let home = home.set("CODEX_OAUTH_CA_FILE", ca.to_str().expect("a UTF-8 path"));
        Self { fake, home }.set(variables)
    }

    /// The same with these variables set.
    #[must_use]
    pub fn set(self, variables: &[(&str, &str)]) -> Self {
        let home = variables.iter().fold(self.home, |home, (name, value)| home.set(name, value));
        Self { home, ..self }
    }

    /// With the fake's own configuration.
    pub fn with(config: Config) -> Self {
        let fake = FakeOpenAi::start(config).expect("the fake starts on a free port");
        let home = Home::new()
            .set("CODEX_OAUTH_ISSUER_URL", &fake.issuer_url())
            .set("CODEX_OAUTH_BACKEND_URL", &fake.backend_url());
        Self { fake, home }
    }

    /// Shortens limits of the daemon, by their names in `config.toml`.
    #[must_use]
    pub fn limits(self, limits: &[(&str, u64)]) -> Self {
        self.home.write_limits(limits);
        self
    }

    /// Starts a daemon and waits until it is ready.
    pub fn daemon(&self) -> Daemon {
        Daemon::start(&self.home)
    }

    /// Starts a daemon and signs in through its own browser login.
    pub fn signed_in(&self) -> Daemon {
        let daemon = self.daemon();
        self.sign_in();
        daemon
    }

    /// Signs in on the running daemon: starts a login and follows its link like a browser.
    pub fn sign_in(&self) {
        let mut client = self.api();
        let params =
            account::LoginStartParams { device: Some(false), ..account::LoginStartParams::default() };
        let started = client.call::<account::LoginStart>(&params).expect("a login starts");
        // The fake answers alike on both of its listeners, and a browser of our own for TLS would prove nothing more.
        let theirs = [self.fake.tls_issuer_url(), Some(PUBLIC_ISSUER.to_owned())];
        let plain = self.fake.issuer_url();
        let link =
            theirs.iter().flatten().fold(started.auth_url, |link, theirs| link.replace(theirs, &plain));
        let page = self.fake.authorize(&link).expect("the link can be followed");
        assert_eq!(page.status, 200, "{}", page.body);
        let completed = login_end(&mut client);
        assert_eq!(completed["success"], true, "{completed}");
    }

    /// Everything that its daemon has logged by now: lines wait a little to share a write.
    pub fn log(&self, daemon: &Daemon) -> String {
        let flushed = self.api().call::<LogFlush>(&Empty {}).expect("a daemon that serves");
        assert!(flushed.written, "the log takes nothing");
        daemon.log()
    }

    /// A session of role `api` with the running daemon.
    pub fn api(&self) -> Client {
        Client::open_or_start(&self.home.env())
            .unwrap_or_else(|error| panic!("no session: {}", error.message))
    }
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}
