//! An installation on Windows, where the program of a running process can be neither replaced nor removed: a folder for each
//! version, and one command that runs the newest.
//!
//! ```text
//! PREFIX\VERSION\            command, daemon, MCP shim
//! PREFIX\VERSION\share\      marketplace and plugin, which carries copies of the three
//! PREFIX\bin\                codex-oauth.cmd; this folder is on the person's PATH
//! PREFIX\installed           what tells that these files are ours
//! ```

pub(super) mod path;

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use codex_oauth_proto::env::{APP, Env};
use codex_oauth_proto::{ErrorCode, WireError};

use super::uninstall::not_removed;
use crate::failure::Failure;

/// The three.
pub(super) const PROGRAMS: [&str; 3] = ["codex-oauth.exe", "codex-oauthd.exe", "codex-oauth-mcp.exe"];

/// Where the programs lie in a version's plugin.
const PLUGIN_PROGRAMS: &str = r"share\plugin\bin";

/// From a program up to the prefix: out of the version's folder, and out of its plugin.
const VERSION_DEPTH: usize = 2;
const PLUGIN_DEPTH: usize = 5;

/// Without it the files are a package manager's, or nobody's.
const MARKER: &str = "installed";

/// One installation.
#[derive(Debug)]
pub(super) struct Installation {
    prefix: PathBuf,
}

impl Installation {
    /// The one in this folder, whether there is one already or not.
    pub(super) const fn at(prefix: PathBuf) -> Self {
        Self { prefix }
    }

    /// The one that this program belongs to, also as the copy in its plugin.
    pub(super) fn of(program: &Path) -> Option<Self> {
        let above =
            [VERSION_DEPTH, PLUGIN_DEPTH].into_iter().filter_map(|depth| program.ancestors().nth(depth));
        above.map(|prefix| Self::at(prefix.to_owned())).find(Self::exists)
    }

    /// Whether there is one.
    pub(super) fn exists(&self) -> bool {
        self.marker().is_file()
    }

    /// The folder that everything lies in.
    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// What says that it is there.
    pub(super) fn marker(&self) -> PathBuf {
        self.prefix.join(MARKER)
    }

    /// Where this version lies.
    pub(super) fn version(&self, version: &str) -> PathBuf {
        self.prefix.join(version)
    }

    /// The folder on PATH.
    pub(super) fn links(&self) -> PathBuf {
        self.prefix.join("bin")
    }

    /// The folder of this version that is registered with Claude Code, if the plugin was installed.
    pub(super) fn marketplace(&self) -> Option<PathBuf> {
        Some(self.version(codex_oauth_proto::version::build()).join("share")).filter(|share| share.is_dir())
    }

    /// The folders of all versions.
    pub(super) fn versions(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.prefix)? {
            found.push(entry?.path());
        }
        found.retain(|folder| PROGRAMS.iter().any(|program| folder.join(program).is_file()));
        Ok(found)
    }

    /// Removes it; what is gone. The mark goes last: until then a second try knows what it is about.
    pub(super) fn remove(&self) -> Result<Vec<PathBuf>, Failure> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| not_removed(&path, &error)
        };
        let links = self.links();
        path::remove(&links).map_err(|error| {
            let message = format!("could not take `{}` from your PATH: {error}", links.display());
            WireError::caller(ErrorCode::Configuration, message)
        })?;
        let mut gone = self.versions().map_err(failed(&self.prefix))?;
        gone.push(links);
        for folder in &gone {
            remove_tree(folder).map_err(failed(folder))?;
        }
        remove_file(&self.marker()).map_err(failed(&self.marker()))?;
        // With somebody else's file in it, it stays.
        if fs::remove_dir(&self.prefix).is_ok() {
            gone.push(self.prefix.clone());
        }
        Ok(gone)
    }
}

/// Where an installation lies that nobody has put elsewhere.
pub(super) fn usual_prefix(env: &Env) -> Option<PathBuf> {
    Some(Path::new(env.get_os("LOCALAPPDATA")?).join("Programs").join(APP))
}

/// This program's file; codex-oauth.cmd starts it by way of a `..`.
pub(super) fn this_program() -> io::Result<PathBuf> {
    std::env::current_exe().and_then(std::path::absolute)
}

/// Whether a program of this version runs: then its sessions still need the others.
pub(super) fn is_used(version: &Path) -> bool {
    let folders = [version.to_owned(), version.join(PLUGIN_PROGRAMS)];
    folders.iter().flat_map(|folder| PROGRAMS.map(|program| folder.join(program))).any(|program| {
        // Nobody writes to a program that runs.
        OpenOptions::new().write(true).open(program).is_err_and(|error| error.kind() != ErrorKind::NotFound)
    })
}

/// Where programs are moved that run while they are removed.
pub(super) fn put_aside() -> PathBuf {
    std::env::temp_dir().join("codex-oauth-removed")
}

/// Removes a folder with all that is in it; none is fine.
pub(super) fn remove_tree(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            remove_file(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

/// Removes a file; none is fine. A program that runs cannot be removed, but be moved.
pub(super) fn remove_file(file: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a file of an installation, by its name")]
    let removed = fs::remove_file(file);
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => set_aside(file).map_err(|_| error),
        other => other,
    }
}

/// Moves a file among the temporary ones, under a name that no other file moves to.
fn set_aside(file: &Path) -> io::Result<()> {
    let folder = put_aside();
    fs::create_dir_all(&folder)?;
    let name = file.display().to_string().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let to = folder.join(format!("{name}.{}", std::process::id()));
    #[expect(clippy::disallowed_methods, reason = "on its way out")]
    fs::rename(file, to)
}
