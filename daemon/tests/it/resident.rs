//! A house in which somebody lives who is not root: for root no door is closed, and nothing is foreign enough.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use codex_oauth_proto::report::{REPORT_FLAG, StartupReport};
use codex_oauth_rig::{Home, Rig, Shim, User, daemon_at, eventually, text_of};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// The house and its resident. His clients may start daemons.
pub(crate) struct Resident {
    // Before the home, in which the log is.
    _log: ShownOnFailure,
    pub(crate) home: Home,
    pub(crate) user: User,
    daemon: PathBuf,
    _fake: fake_openai::FakeOpenAi,
}

impl Resident {
    /// Moves in; the runtime folder is there.
    pub(crate) fn new() -> Self {
        let Rig { fake, home } = Rig::new();
        let user = User::make();
        let daemon = user.program(&home, "codex-oauthd");
        user.program(&home, "codex-oauth-mcp");
        let home = home.spawning().set("CODEX_OAUTH_DAEMON", daemon.to_str().unwrap());
        let dir = home.endpoint().dir;
        std::fs::create_dir(&dir).unwrap();
        chmod(&dir, 0o700);
        user.moves_into(&home);
        let log = ShownOnFailure(home.path().join("state/daemon.log"));
        Self { _log: log, home, user, daemon, _fake: fake }
    }

    /// The same house with other variables.
    pub(crate) fn furnish(mut self, change: impl FnOnce(Home) -> Home) -> Self {
        self.home = change(self.home);
        self
    }

    /// What a session that has just begun is told of its status.
    pub(crate) fn told(&self) -> Told {
        self.told_with(&[])
    }

    /// The same with further variables.
    pub(crate) fn told_with(&self, variables: &[(&str, &str)]) -> Told {
        let mut command = self.user.command(&self.home, &self.home.path().join("codex-oauth-mcp"));
        command.envs(variables.iter().copied());
        let mut shim = Shim::start(command);
        shim.initialize();
        Told::by(&mut shim)
    }

    /// What a daemon reports that is started now; it is one that does not serve.
    pub(crate) fn refused_daemon(&self) -> StartupReport {
        let mut command: Command = self.user.command(&self.home, &self.daemon);
        let output = command.args(["run", REPORT_FLAG]).output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Gives a path to a user.
    pub(crate) fn give(path: &Path, owner: u32) {
        std::os::unix::fs::lchown(path, Some(owner), Some(owner)).unwrap();
    }

    /// The daemon that serves here.
    pub(crate) fn pid(&self) -> Option<Pid> {
        daemon_at(&self.home.endpoint().dir)
    }

    /// Kills the daemon that serves here; its socket stays.
    pub(crate) fn kill_daemon(&self) {
        kill_process(self.pid().expect("a daemon serves"), Signal::KILL).unwrap();
        eventually("it is gone", || self.pid().is_none());
    }
}

/// The log of the daemons that clients started.
struct ShownOnFailure(PathBuf);

impl Drop for ShownOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.0).unwrap_or_default();
            #[expect(clippy::print_stderr, reason = "the log of a failing test")]
            {
                eprintln!("--- {} ---\n{log}", self.0.display());
            }
        }
    }
}

/// The result of `codex_status`.
#[derive(Debug)]
pub(crate) struct Told {
    is_error: bool,
    text: String,
}

impl Told {
    /// Asked in an open session.
    pub(crate) fn by(shim: &mut Shim) -> Self {
        let result: Value = shim.request_tool("codex_status", &json!({}));
        Self { is_error: result["isError"] == true, text: text_of(&result) }
    }

    /// A daemon has answered.
    pub(crate) fn is_answered(&self, when: &str) {
        assert!(!self.is_error && self.text.starts_with("signed out"), "{when}: {}", self.text);
    }

    /// No session, and all of this is said.
    pub(crate) fn names(&self, when: &str, words: &[&str]) {
        assert!(self.is_error && self.text.contains("\nnext: "), "{when}: {}", self.text);
        for word in words {
            assert!(self.text.contains(word), "{when}: `{word}` is not in: {}", self.text);
        }
    }
}

/// Sets a mode.
pub(crate) fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
