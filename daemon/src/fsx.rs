//! The only writer of files.
//!
//! [`write_durable`] replaces a file as a whole: after a crash at any point the path holds the old bytes or the new
//! ones, never a mixture, with mode 0600, and what it returned `Ok` for survives a power cut. [`read_stable`] reads a
//! file that others may be rewriting in place, without ever taking a half-written file for an empty one.
//!
//! Small files of our own beside it are created, filled, grown and removed with the same care.
//!
//! The functions block; those that write wait for a disk and belong on a blocking thread.

mod ops;
mod write;

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[cfg(test)]
pub(crate) use ops::{Hook, Op, hook};
pub use write::{
    Unsynced, append_durable, create_durable, move_aside, overwrite_durable, remove_durable, replace_if,
    sweep, write_durable,
};

/// A credential file is a few KiB; what is larger is not one, and must not be read into memory.
const MAX_BYTES: u64 = 4 << 20;

/// Linux follows 40 links in one path; nobody chains more than a few.
const MAX_LINKS: usize = 16;

/// A file that could not be read, replaced or examined.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// A system call failed.
    #[error("could not {verb} `{}`", path.display())]
    Io {
        /// What was tried: `open`, `read`, `create a file in`, ...
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A directory, socket, pipe or device lies where a file belongs.
    #[error("could not use `{}`: it is not a regular file", path.display())]
    NotAFile {
        /// The resolved path.
        path: PathBuf,
    },
    /// The file is larger than anything this daemon writes.
    #[error("could not read `{}`: it is larger than {MAX_BYTES} bytes", path.display())]
    TooLarge {
        /// The resolved path.
        path: PathBuf,
    },
    /// Replacing the file would separate it from its other names.
    #[error("could not replace `{}`: the file has {links} hard links", path.display())]
    HardLinked {
        /// The resolved path.
        path: PathBuf,
        /// How many names the file has.
        links: u64,
    },
    /// Somebody took the write permission away on purpose.
    #[error("could not replace `{}`: the file is read-only", path.display())]
    ReadOnly {
        /// The resolved path.
        path: PathBuf,
    },
    /// Another program wrote the file after it was read.
    #[error("could not replace `{}`: another program is writing it", path.display())]
    Changed {
        /// The path as given.
        path: PathBuf,
    },
    /// The symbolic links lead in a circle.
    #[error("could not resolve `{}`: more than {MAX_LINKS} symbolic links", path.display())]
    TooManyLinks {
        /// The path as given.
        path: PathBuf,
    },
}

/// How often and how fast a file that does not parse is read again.
#[derive(Clone, Copy, Debug)]
pub struct Reread {
    /// Further reads after the first.
    pub tries: u32,
    /// Pause before each of them.
    pub pause: Duration,
}

/// Why [`read_stable`] has no value.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    /// The file could not be read at all.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// Every read gave bytes that the parser refused; this is the last refusal.
    #[error("could not parse the file")]
    Parse(#[source] E),
}

/// Tells one state of a file from another without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// Device, inode and change time: a rename gives another inode, a restored mtime another change time.
    identity: [i128; 3],
}

impl Stamp {
    /// When the file was written last, where the system tells.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }
}

/// The stamp of the file at `path`; `None` when there is none. One system call.
pub fn stamp(path: &Path) -> Result<Option<Stamp>, FsError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(stamp_of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FsError::Io { verb: "examine", path: path.to_owned(), source }),
    }
}

/// The bytes of a file that nobody else writes; `None` when it does not exist.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FsError> {
    Ok(read_whole(path)?.map(|(_, bytes)| bytes))
}

/// Reads and parses a file that somebody else may be rewriting in place at this moment: an empty or unparsable file is
/// read again, up to [`Reread::tries`] times. `Ok(None)` only when the file does not exist.
///
/// The stamp is that of the bytes that were parsed.
pub async fn read_stable<T, E>(
    path: &Path,
    reread: Reread,
    parse: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<Option<(Stamp, T)>, ReadError<E>> {
    let mut tries_left = reread.tries;
    loop {
        let Some((stamp, bytes)) = read_whole(path)? else { return Ok(None) };
        match parse(&bytes) {
            Ok(value) => return Ok(Some((stamp, value))),
            Err(error) if tries_left == 0 => return Err(ReadError::Parse(error)),
            Err(_) => tries_left -= 1,
        }
        tokio::time::sleep(reread.pause).await;
    }
}

/// Whether [`write_durable`] may replace the file at `path`: asked before something that cannot be repeated is spent.
/// A missing file may be created. Mode bits decide, so that root is refused where its owner would be.
pub fn check_replaceable(path: &Path) -> Result<(), FsError> {
    let path = resolve(path)?;
    match fs::symlink_metadata(&path) {
        Ok(metadata) => check_metadata(&path, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(FsError::Io { verb: "examine", path, source }),
    }
    check_directory(&path)
}

fn read_whole(path: &Path) -> Result<Option<(Stamp, Vec<u8>)>, FsError> {
    let io_error = |verb| move |source| FsError::Io { verb, path: path.to_owned(), source };
    // Examined before it is opened: opening a named pipe would wait for a writer.
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(FsError::NotAFile { path: path.to_owned() }),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("examine")(source)),
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("open")(source)),
    };
    // Taken before the read: a change after it makes the stamp old, never the bytes.
    let stamp = stamp_of(&file.metadata().map_err(io_error("examine"))?);
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io_error("read"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FsError::TooLarge { path: path.to_owned() });
    }
    Ok(Some((stamp, bytes)))
}

/// Follows symbolic links of the last component, also to a target that does not exist yet.
fn resolve(path: &Path) -> Result<PathBuf, FsError> {
    let mut resolved = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&resolved) {
            Ok(target) => resolved = parent(&resolved).join(target),
            // Not a link, or nothing there: `EINVAL` and `ENOENT`; other failures show when the file is used.
            Err(_) => return Ok(resolved),
        }
    }
    Err(FsError::TooManyLinks { path: path.to_owned() })
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn check_metadata(path: &Path, metadata: &Metadata) -> Result<(), FsError> {
    let path = || path.to_owned();
    if !metadata.is_file() {
        return Err(FsError::NotAFile { path: path() });
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if metadata.nlink() > 1 {
            return Err(FsError::HardLinked { path: path(), links: metadata.nlink() });
        }
    }
    if metadata.permissions().readonly() {
        return Err(FsError::ReadOnly { path: path() });
    }
    Ok(())
}

/// Asks the kernel, because a mode says nothing about a read-only mount.
#[cfg(unix)]
fn check_directory(path: &Path) -> Result<(), FsError> {
    use rustix::fs::{Access, access};
    let dir = parent(path);
    match access(dir, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => {
            Err(FsError::Io { verb: "create a file in", path: dir.to_owned(), source: errno.into() })
        }
    }
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn check_directory(_: &Path) -> Result<(), FsError> {
    Ok(())
}

fn stamp_of(metadata: &Metadata) -> Stamp {
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt as _;
        let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        [i128::from(metadata.dev()), i128::from(metadata.ino()), changed]
    };
    #[cfg(not(unix))]
    let identity = [0; 3];
    Stamp { len: metadata.len(), modified: metadata.modified().ok(), identity }
}

#[cfg(test)]
mod tests;
