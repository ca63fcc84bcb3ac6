//! Other users. The test machines run as root, for whom permissions do not hold: what is promised about them is tried by a
//! user who exists for that test alone.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Home, Shim, binary};

/// Numbers that no distribution gives out (it ends below 65 536, subordinate ids begin at 100 000).
const FIRST: u32 = 70_000;
const COUNT: u32 = 20_000;

/// A user without a name and with no group but his own.
#[derive(Debug)]
pub struct User {
    uid: u32,
}

impl User {
    /// One whom no other test of this run has.
    pub fn make() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "only root becomes somebody else: run these tests as root"
        );
        let nth = std::process::id().wrapping_mul(64).wrapping_add(MADE.fetch_add(1, Ordering::Relaxed));
        Self { uid: FIRST + nth % COUNT }
    }

    /// The number.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Makes the home and everything in it his.
    pub fn moves_into(&self, home: &Home) {
        let owner = format!("{0}:{0}", self.uid);
        let given = Command::new("chown").args(["-R", &owner]).arg(home.path()).status();
        assert!(given.expect("chown runs").success());
    }

    /// A program of this workspace where he may run it: folders above the build may be closed to him. A copy, since the home
    /// becomes his.
    pub fn program(&self, home: &Home, name: &str) -> PathBuf {
        let own = home.path().join(name);
        if !own.exists() {
            // Not by this process: a child that it starts meanwhile would have the copy open, and then it cannot be run.
            let copied = Command::new("cp").arg(binary(name)).arg(&own).status();
            assert!(copied.expect("cp runs").success(), "room for a program");
        }
        own
    }

    /// A shim of his in this home.
    pub fn shim(&self, home: &Home) -> Shim {
        Shim::start(self.command(home, &self.program(home, "codex-oauth-mcp")))
    }

    /// A command of his in this home.
    pub fn command(&self, home: &Home, program: &Path) -> Command {
        let mut command = home.command(program);
        command.uid(self.uid).gid(self.uid);
        command
    }
}
