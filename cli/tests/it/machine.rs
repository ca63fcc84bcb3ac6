//! A machine of a new user: a home, a release as it is downloaded, a `claude` that writes down what it is asked, no cargo.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rig::{Ran, Running};

/// The three programs.
pub(crate) const PROGRAMS: [&str; 3] = ["codex-oauth", "codex-oauthd", "codex-oauth-mcp"];

/// The tools that scripts need, and no others.
const SYSTEM_PATH: &str = "/usr/bin:/bin";

/// See the module.
pub(crate) struct Machine(tempfile::TempDir);

impl Machine {
    /// One with nothing installed. Programs of this build lie in the release's `bin/`, as links.
    pub(crate) fn new() -> Self {
        // Short: a socket's path has to fit 107 bytes. Private, as the daemon demands.
        let dir = tempfile::Builder::new().prefix("cxi").tempdir_in("/tmp").unwrap();
        let machine = Self(dir);
        for folder in ["home", "tools", "release/bin", "codex-oauth"] {
            std::fs::create_dir_all(machine.path(folder)).unwrap();
        }
        let ours_alone = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(machine.path("codex-oauth"), ours_alone).unwrap();
        for part in ["install.sh", "plugin", ".claude-plugin"] {
            copy(&repository().join(part), &machine.path("release"));
        }
        for name in PROGRAMS {
            symlink(built(name), machine.path("release/bin").join(name)).unwrap();
        }
        machine
    }

    /// A place on it.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    /// Where `install.sh` installs without `--prefix`.
    pub(crate) fn prefix(&self) -> PathBuf {
        self.path("home/.local")
    }

    /// A program of this user's, with nothing of the caller's around it.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", format!("{}:{SYSTEM_PATH}", self.path("tools").display()))
            .env("CODEX_OAUTH_RUNTIME_DIR", self.path("codex-oauth"))
            .env("CODEX_OAUTH_NO_BROWSER", "1")
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, program: impl AsRef<Path>, args: &[&str]) -> Ran {
        Running::start(self.command(program).args(args)).finish()
    }

    /// Runs the release's `install.sh`.
    pub(crate) fn install(&self, args: &[&str]) -> Ran {
        self.run(self.path("release/install.sh"), args)
    }

    /// Runs the installed command line.
    pub(crate) fn codex_oauth(&self, args: &[&str]) -> Ran {
        self.run(self.prefix().join("bin/codex-oauth"), args)
    }

    /// Runs the command line of this build, which is there whatever is installed.
    pub(crate) fn uninstalled_codex_oauth(&self, args: &[&str]) -> Ran {
        self.run(built("codex-oauth"), args)
    }

    /// Puts a `claude` on PATH that runs `body` after it has written its arguments down.
    pub(crate) fn claude(&self, body: &str) {
        let text = format!("#!/bin/sh\necho \"$*\" >> '{}'\n{body}\n", self.path("claude.log").display());
        write_program(&self.path("tools/claude"), &text);
    }

    /// Puts a program on PATH that runs `body` after it has written its name and arguments down.
    pub(crate) fn tool(&self, name: &str, body: &str) {
        let log = self.path("tools.log");
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> '{}'\n{body}\n", log.display());
        write_program(&self.path("tools").join(name), &text);
    }

    /// What those programs were asked since the last time, a line for each.
    pub(crate) fn asked_of_tools(&self) -> Vec<String> {
        let log = self.path("tools.log");
        let asked = std::fs::read_to_string(&log).unwrap_or_default();
        let _none = std::fs::File::create(log);
        asked.lines().map(str::to_owned).collect()
    }

    /// What `claude` was asked, a line for each time.
    pub(crate) fn asked_of_claude(&self) -> String {
        std::fs::read_to_string(self.path("claude.log")).unwrap_or_default()
    }

    /// Every file under the home.
    pub(crate) fn files_at_home(&self) -> Vec<PathBuf> {
        files(&self.path("home"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Whatever a failed test has left running.
        let _stopped = self.command(built("codex-oauth")).args(["daemon", "stop"]).output();
    }
}

/// The repository that this test was built from.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A program of this workspace, built by the same `cargo test --workspace` that runs the test.
pub(crate) fn built(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_codex-oauth")).with_file_name(name);
    assert!(path.is_file(), "{} is missing: run the tests with `cargo test --workspace`", path.display());
    path
}

/// Copies a file or folder into `folder`, modes included.
pub(crate) fn copy(from: &Path, folder: &Path) {
    let copied = Command::new("cp").arg("-Rp").arg(from).arg(folder).status().unwrap();
    assert!(copied.success());
}

/// Writes a program, from another process: while a test's own descriptor is open for writing, a child that another test
/// forks at that moment keeps it, and the program cannot be started.
pub(crate) fn write_program(path: &Path, text: &str) {
    let script = "cat > \"$0\" && chmod 755 \"$0\"";
    let mut child =
        Command::new("/bin/sh").args(["-c", script]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Every file below a folder, links included.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
