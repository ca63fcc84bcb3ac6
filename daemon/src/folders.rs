//! Which account a session's folder is given to, by `[folders]` of `config.toml`.
//!
//! The folder is that of the client's process, as the kernel tells it, never what the client says: an account is chosen by
//! where a person works. A process in another mount namespace has no folder here; its session uses the default account.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::stream::Stream;

/// Account names by absolute folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folders(BTreeMap<PathBuf, String>);

impl Folders {
    pub(crate) const fn new(folders: BTreeMap<PathBuf, String>) -> Self {
        Self(folders)
    }

    /// The account of the folder that the client's process is in. Looks only when some folder has one.
    pub(crate) fn account_of(&self, stream: &Stream) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.account_at(&folder_of(stream.peer_process()?)?)
    }

    /// The account of the nearest of its folders.
    fn account_at(&self, folder: &Path) -> Option<String> {
        folder.ancestors().find_map(|folder| self.0.get(folder)).cloned()
    }
}

/// The working folder of a process that sees the files that we see.
#[cfg(target_os = "linux")]
fn folder_of(pid: u32) -> Option<PathBuf> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let theirs = namespace(&pid.to_string())?;
    (Some(theirs) == namespace("self")).then(|| std::fs::read_link(format!("/proc/{pid}/cwd")).ok())?
}

/// No such look into another process without further libraries.
#[cfg(not(target_os = "linux"))]
fn folder_of(_: u32) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_decides() {
        let folders = [("/home/ada/work", "work"), ("/home/ada/work/oss", "own")];
        let folders = Folders(folders.map(|(folder, name)| (folder.into(), name.to_owned())).into());
        for (folder, account) in [
            ("/home/ada/work", Some("work")),
            ("/home/ada/work/a/b", Some("work")),
            ("/home/ada/work/oss/x", Some("own")),
            ("/home/ada/workshop", None),
            ("/", None),
        ] {
            assert_eq!(folders.account_at(Path::new(folder)).as_deref(), account, "{folder}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_tells_the_folder_of_a_process() {
        assert_eq!(folder_of(std::process::id()), std::env::current_dir().ok());
        assert_eq!(folder_of(u32::MAX), None);
    }
}
