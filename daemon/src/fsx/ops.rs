//! Every system call by which this daemon changes the disk, one function each: what a crash can cut between, and where a
//! test can cut, fail or watch.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

#[cfg(test)]
pub(crate) use hook::{Hook, Op, hook};

/// A directory with mode 0700.
pub(super) fn create_dir(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::CreateDir(path.to_owned()))?;
    #[allow(unused_mut, reason = "only unix has modes")]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A new file with mode 0600 and a name of its own, `<prefix>XXXXXX<suffix>`; it is removed when it is dropped.
pub(super) fn create_temp(dir: &Path, prefix: &str, suffix: &str) -> io::Result<NamedTempFile> {
    #[cfg(test)]
    hook::before(&Op::CreateTemp(dir.to_owned()))?;
    // `tempfile` creates with O_EXCL and mode 0600.
    let temp = tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile_in(dir)?;
    #[cfg(test)]
    hook::after(&Op::Created(temp.path().to_owned()));
    Ok(temp)
}

/// The file, to be changed in its place.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// The file, to be made longer; created with mode 0600.
pub(super) fn open_to_append(path: &Path) -> io::Result<File> {
    #[cfg(test)]
    hook::before(&Op::OpenToAppend(path.to_owned()))?;
    private(OpenOptions::new().append(true).create(true)).open(path)
}

/// Writes all of `bytes` at `offset`; a file opened to append is only made longer.
pub(super) fn write_at(file: &mut File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::Write(path.to_owned(), offset, bytes.to_owned()))?;
    #[cfg(not(test))]
    let _ = path;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Waits until what was written is on the disk.
pub(super) fn sync(file: &File, path: &Path) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::Sync(path.to_owned()))?;
    #[cfg(not(test))]
    let _ = path;
    file.sync_all()
}

/// The same for a file whose length and place were on the disk before: its times need not be.
pub(super) fn sync_data(file: &File, path: &Path) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::Sync(path.to_owned()))?;
    #[cfg(not(test))]
    let _ = path;
    file.sync_data()
}

/// Puts the file `from` in the place of `to`.
pub(super) fn replace(from: TempPath, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::Rename(from.to_path_buf(), to.to_owned()))?;
    rename_over(from, to)
}

#[cfg(unix)]
fn rename_over(from: TempPath, to: &Path) -> io::Result<()> {
    from.persist(to).map_err(|error| error.error)
}

/// Whoever has the target open, a virus scanner perhaps, forbids that it is replaced: it is tried again for a while. The new
/// file has the access list that its folder hands down.
#[cfg(windows)]
fn rename_over(mut from: TempPath, to: &Path) -> io::Result<()> {
    use std::time::{Duration, Instant};

    use windows_sys::Win32::Foundation::{
        ERROR_ACCESS_DENIED, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION,
    };

    /// A scanner is done with a small file long before.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Nothing announces a file that is closed.
    const LOOK_AGAIN: Duration = Duration::from_millis(50);

    let deadline = Instant::now() + PATIENCE;
    loop {
        let failed = match from.persist(to) {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        let code = failed.error.raw_os_error().map(i32::cast_unsigned);
        let in_use = [ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION].map(Some);
        if !in_use.contains(&code) || Instant::now() >= deadline {
            return Err(failed.error);
        }
        from = failed.path;
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Gives the file `from` the name `to`; fails when there is a file of that name.
pub(super) fn place(from: TempPath, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::Place(from.to_path_buf(), to.to_owned()))?;
    from.persist_noclobber(to).map_err(|error| error.error)
}

/// Gives the file `from` the name `to`.
#[expect(clippy::disallowed_methods, reason = "the caller syncs the directory")]
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::Rename(from.to_owned(), to.to_owned()))?;
    fs::rename(from, to)
}

/// Removes a file of ours.
#[expect(clippy::disallowed_methods, reason = "the callers remove only what this daemon created")]
pub(super) fn remove(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::Remove(path.to_owned()))?;
    fs::remove_file(path)
}

/// Waits until the names in a directory are on the disk.
#[cfg(unix)]
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(test)]
    hook::before(&Op::SyncDir(dir.to_owned()))?;
    File::open(dir)?.sync_all()
}

/// Windows cannot sync a directory; the rename is journalled.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(super) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod hook {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use parking_lot::Mutex;

    /// A change of the disk that is about to happen.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) enum Op {
        CreateDir(PathBuf),
        /// A file with a name of its own in this directory.
        CreateTemp(PathBuf),
        /// Happened: told once the name is known.
        Created(PathBuf),
        OpenToAppend(PathBuf),
        Write(PathBuf, u64, Vec<u8>),
        Sync(PathBuf),
        Place(PathBuf, PathBuf),
        Rename(PathBuf, PathBuf),
        Remove(PathBuf),
        #[cfg_attr(windows, allow(dead_code, reason = "no folder is synced there"))]
        SyncDir(PathBuf),
    }

    impl Op {
        fn path(&self) -> &Path {
            match self {
                Self::CreateDir(path)
                | Self::CreateTemp(path)
                | Self::Created(path)
                | Self::OpenToAppend(path)
                | Self::Write(path, ..)
                | Self::Sync(path)
                | Self::Place(path, _)
                | Self::Rename(path, _)
                | Self::Remove(path)
                | Self::SyncDir(path) => path,
            }
        }
    }

    type Watch = Arc<dyn Fn(&Op) -> io::Result<()> + Send + Sync>;

    /// Writes run on other threads than the test, so the folder tells whose they are.
    static WATCHES: Mutex<Vec<(PathBuf, Watch)>> = Mutex::new(Vec::new());

    /// Ends the watch when it is dropped.
    #[derive(Debug)]
    pub(crate) struct Hook(PathBuf);

    /// Calls `watch` before each change below `folder`; its error is the change's.
    pub(crate) fn hook(folder: &Path, watch: impl Fn(&Op) -> io::Result<()> + Send + Sync + 'static) -> Hook {
        WATCHES.lock().push((folder.to_owned(), Arc::new(watch)));
        Hook(folder.to_owned())
    }

    impl Drop for Hook {
        fn drop(&mut self) {
            WATCHES.lock().retain(|(folder, _)| *folder != self.0);
        }
    }

    pub(super) fn before(op: &Op) -> io::Result<()> {
        let found = WATCHES.lock().iter().find(|(folder, _)| op.path().starts_with(folder)).cloned();
        found.map_or(Ok(()), |(_, watch)| watch(op))
    }

    pub(super) fn after(op: &Op) {
        // What has happened cannot fail any more.
        let _told = before(op);
    }
}
