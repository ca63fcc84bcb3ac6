//! What `install.sh` put in place, found from where this program lies.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use codex_oauth_proto::env::APP;

use super::not_removed;
use crate::failure::Failure;

/// Programs under `libexec/codex-oauth`.
const PROGRAMS: &[&str] = &["codex-oauthd", "codex-oauth-mcp"];

/// What `install.sh` leaves beside them: without it the files are a package manager's, or nobody's.
const MARKER: &str = "installed";

/// The marketplace that `install.sh` copies to `share/codex-oauth`.
const MARKETPLACE: &[&str] = &[".claude-plugin", "plugin"];

/// One installation.
#[derive(Debug)]
pub(super) struct Installation {
    prefix: PathBuf,
    command: PathBuf,
}

impl Installation {
    /// The installation that this program belongs to.
    pub(super) fn of(command: &Path) -> Option<Self> {
        let bin = command.parent().filter(|dir| dir.file_name().is_some_and(|name| name == "bin"))?;
        let found = Self { prefix: bin.parent()?.to_owned(), command: command.to_owned() };
        found.libexec().join(MARKER).is_file().then_some(found)
    }

    /// The folder that everything lies in.
    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The folder that is registered with Claude Code, if the plugin was installed.
    pub(super) fn marketplace(&self) -> Option<PathBuf> {
        Some(self.share()).filter(|share| share.is_dir())
    }

    /// Removes it; what is gone. The mark goes last: until then a second try knows what it is about.
    pub(super) fn remove(&self) -> Result<Vec<PathBuf>, Failure> {
        let (libexec, share) = (self.libexec(), self.share());
        for part in MARKETPLACE {
            remove_tree(&share.join(part))?;
        }
        for program in PROGRAMS {
            remove_file(&libexec.join(program))?;
        }
        let mut gone = vec![self.command.clone()];
        remove_file(&self.command)?;
        remove_file(&libexec.join(MARKER))?;
        for folder in [share, libexec] {
            if remove_empty(&folder)? {
                gone.push(folder);
            }
        }
        for parent in ["bin", "libexec", "share"] {
            remove_empty(&self.prefix.join(parent))?;
        }
        Ok(gone)
    }

    fn libexec(&self) -> PathBuf {
        self.prefix.join("libexec").join(APP)
    }

    fn share(&self) -> PathBuf {
        self.prefix.join("share").join(APP)
    }
}

fn remove_file(path: &Path) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "a file of install.sh, by its name")]
    let removed = std::fs::remove_file(path);
    absent_is_fine(removed).map_err(|error| not_removed(path, &error))
}

fn remove_tree(path: &Path) -> Result<(), Failure> {
    absent_is_fine(std::fs::remove_dir_all(path)).map_err(|error| not_removed(path, &error))
}

/// Whether the folder was there and empty; a folder with something in it stays.
fn remove_empty(path: &Path) -> Result<bool, Failure> {
    match std::fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Ok(false),
        // A folder that is shared, as under /usr/local, or linked to another place.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(not_removed(path, &error)),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn installed(prefix: &Path) -> PathBuf {
        let (bin, libexec) = (prefix.join("bin"), prefix.join("libexec").join(APP));
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&libexec).unwrap();
        for name in PROGRAMS.iter().chain([&MARKER]) {
            File::create(libexec.join(name)).unwrap();
        }
        File::create(bin.join(APP)).unwrap();
        bin.join(APP)
    }

    #[test]
    fn without_the_mark_nothing_is_recognised() {
        let prefix = tempfile::tempdir().unwrap();
        let command = installed(prefix.path());
        assert!(Installation::of(&command).is_some());
        std::fs::remove_dir_all(prefix.path().join("libexec")).unwrap();
        assert!(Installation::of(&command).is_none());
        assert!(Installation::of(Path::new("/usr/bin/codex-oauth")).is_none());
    }

    #[test]
    fn what_others_put_beside_it_stays() {
        let prefix = tempfile::tempdir().unwrap();
        let found = Installation::of(&installed(prefix.path())).unwrap();
        let foreign = [prefix.path().join("bin/other"), prefix.path().join("libexec/codex-oauth/other")];
        for path in &foreign {
            File::create(path).unwrap();
        }
        assert_eq!(found.remove().unwrap(), [prefix.path().join("bin/codex-oauth")]);
        assert!(foreign.iter().all(|path| path.is_file()));
        assert!(!prefix.path().join("libexec/codex-oauth/codex-oauthd").exists());
    }

    #[test]
    fn a_second_try_finishes_what_the_first_began() {
        let prefix = tempfile::tempdir().unwrap();
        let found = Installation::of(&installed(prefix.path())).unwrap();
        remove_file(&prefix.path().join("libexec/codex-oauth/codex-oauthd")).unwrap();
        found.remove().unwrap();
        assert_eq!(std::fs::read_dir(prefix.path()).unwrap().count(), 0);
    }
}
