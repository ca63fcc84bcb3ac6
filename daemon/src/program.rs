//! The program file that this process was started from, to tell whether another one lies in its place by now.

use std::fs::Metadata;
use std::path::PathBuf;
use std::time::SystemTime;

/// Where the program lay, and which file that was.
#[derive(Debug)]
pub(crate) struct Program {
    file: Option<(PathBuf, Identity)>,
}

/// What another file has different, even one of the same time from a package: number, length, time.
type Identity = (u64, u64, Option<SystemTime>);

impl Program {
    /// This process's own. To be asked early: a path of today may hold another file tomorrow.
    pub(crate) fn running() -> Self {
        let path = std::env::current_exe().ok();
        Self {
            file: path.and_then(|path| std::fs::metadata(&path).ok().map(|found| (path, identity(&found)))),
        }
    }

    /// Whether another program lies there now. One that is gone, or cannot be looked at, is not another one.
    pub(crate) fn is_replaced(&self) -> bool {
        let Some((path, known)) = &self.file else { return false };
        std::fs::metadata(path).is_ok_and(|found| identity(&found) != *known)
    }
}

fn identity(found: &Metadata) -> Identity {
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(found);
    #[cfg(windows)]
    let number = std::os::windows::fs::MetadataExt::creation_time(found);
    (number, found.len(), found.modified().ok())
}
