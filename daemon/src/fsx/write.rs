//! The writing half: whole files replaced, small files of our own created, filled, grown and removed, each step on the disk
//! before the next begins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempPath;

use super::{FsError, Stamp, check_replaceable, ops, parent, resolve, stamp};

/// Leftovers younger than this may be the work of a process that still runs.
const SWEEP_AFTER: Duration = Duration::from_secs(60);

/// Files moved aside within one second; more is a loop.
const MOST_ASIDE: u32 = 100;

/// Replaces the file at `path` by `bytes`: resolves symbolic links, writes a new 0600 file beside the target, syncs
/// it, renames it over the target and syncs the directory. A missing parent directory is created with mode 0700; the
/// mode of an existing one is left alone.
///
/// Refuses what [`check_replaceable`] refuses. On an error before the rename the old file is untouched.
pub fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    replace(path, bytes, || Ok(()))?.sync()
}

/// The same up to the rename, and only if the file is still as it was when `read` was its stamp (`None`: absent); else
/// [`FsError::Changed`]. Looked at as late as can be: a program that writes without a lock can still slip in between
/// that look and the rename, some microseconds.
pub fn replace_if(path: &Path, bytes: &[u8], read: Option<&Stamp>) -> Result<Unsynced, FsError> {
    replace(path, bytes, || {
        if stamp(path)?.as_ref() == read { Ok(()) } else { Err(FsError::Changed { path: path.to_owned() }) }
    })
}

/// A file was replaced. Its bytes are on the disk and everybody can read them, but a power cut may bring the old file back.
#[derive(Debug)]
#[must_use = "without `sync` a power cut may bring the old file back"]
pub struct Unsynced {
    dir: PathBuf,
}

impl Unsynced {
    /// Waits until the new file is the one that a power cut leaves.
    pub fn sync(self) -> Result<(), FsError> {
        ops::sync_dir(&self.dir).map_err(io_error("sync", &self.dir))
    }
}

/// Creates a 0600 file that must not exist yet: [`io::ErrorKind::AlreadyExists`] if it does. It gets its name when it is whole
/// and synced: nobody, not even after a crash, finds a part of it.
pub fn create_durable(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let dir = parent(path);
    let temp = written_temp(path, bytes)?;
    ops::place(temp, path).map_err(io_error("create", path))?;
    let synced = ops::sync_dir(dir).map_err(io_error("sync", dir));
    if synced.is_err()
        && let Err(error) = ops::remove(path)
    {
        tracing::warn!(path = %path.display(), %error, "a file that could not be synced was not removed either");
    }
    synced
}

/// Writes `bytes` at `offset` into an existing file of our own, in its place.
pub fn overwrite_durable(path: &Path, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
    let mut file = ops::open(path).map_err(io_error("open", path))?;
    ops::write_at(&mut file, path, offset, bytes).map_err(io_error("write", path))?;
    ops::sync_data(&file, path).map_err(io_error("sync", path))
}

/// Makes a file longer by `bytes`; creates it with mode 0600.
pub fn append_durable(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let mut file = ops::open_to_append(path).map_err(io_error("open", path))?;
    let end = file.metadata().map_err(io_error("examine", path))?.len();
    ops::write_at(&mut file, path, end, bytes).map_err(io_error("write", path))?;
    ops::sync(&file, path).map_err(io_error("sync", path))
}

/// Removes a file of our own; whether there was one.
pub fn remove_durable(path: &Path) -> Result<bool, FsError> {
    match ops::remove(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io_error("remove", path)(error)),
    }
    let dir = parent(path);
    ops::sync_dir(dir).map_err(io_error("sync", dir))?;
    Ok(true)
}

/// Gives the file at `path` another name beside it, `<name>.<word>-<unix seconds>`, and says which.
pub fn move_aside(path: &Path, word: &str, now: SystemTime) -> Result<PathBuf, FsError> {
    let target = resolve(path)?;
    let dir = parent(&target);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    // A rename would replace what was moved aside before.
    let names = (0..MOST_ASIDE).map(|more| match more {
        0 => format!("{name}.{word}-{seconds}"),
        more => format!("{name}.{word}-{seconds}-{more}"),
    });
    let free = names.map(|name| dir.join(name)).find(|path| fs::symlink_metadata(path).is_err());
    let taken = || io_error("move aside", &target)(io::ErrorKind::AlreadyExists.into());
    let aside = free.ok_or_else(taken)?;
    ops::rename(&target, &aside).map_err(io_error("move aside", &target))?;
    ops::sync_dir(dir).map_err(io_error("sync", dir))?;
    Ok(aside)
}

/// Removes the temporary files that a [`write_durable`] to `path`, or to a file of our own beside it, left behind when its
/// process was killed; how many.
/// They hold what was to be written, so a login among other things.
pub fn sweep(path: &Path, now: SystemTime) -> Result<usize, FsError> {
    let target = resolve(path)?;
    let dir = parent(&target);
    let (prefix, suffix) = temp_name(&target);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(io_error("list", dir)(error)),
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry.map_err(io_error("list", dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let old = |modified: SystemTime| now.duration_since(modified).is_ok_and(|age| age > SWEEP_AFTER);
        let leftover = name.starts_with(&prefix)
            && name.ends_with(suffix)
            && entry.metadata().is_ok_and(|file| file.is_file() && file.modified().is_ok_and(old));
        if leftover {
            swept += usize::from(remove_durable(&entry.path())?);
        }
    }
    Ok(swept)
}

fn replace(
    path: &Path,
    bytes: &[u8],
    last_look: impl FnOnce() -> Result<(), FsError>,
) -> Result<Unsynced, FsError> {
    check_replaceable(path)?;
    let target = resolve(path)?;
    let dir = parent(&target);
    create_private_dirs(dir)?;

    let temp = written_temp(&target, bytes)?;
    last_look()?;
    ops::replace(temp, &target).map_err(io_error("replace", &target))?;
    Ok(Unsynced { dir: dir.to_owned() })
}

/// A file beside `target` that holds `bytes`, on the disk.
fn written_temp(target: &Path, bytes: &[u8]) -> Result<TempPath, FsError> {
    let dir = parent(target);
    let (prefix, suffix) = temp_name(target);
    let mut temp = ops::create_temp(dir, &prefix, suffix).map_err(io_error("create a file in", dir))?;
    let name = temp.path().to_owned();
    ops::write_at(temp.as_file_mut(), &name, 0, bytes).map_err(io_error("write a file in", dir))?;
    ops::sync(temp.as_file(), &name).map_err(io_error("sync a file in", dir))?;
    Ok(temp.into_temp_path())
}

/// Beginning and end of the names of temporary files for `target`. Those of our own files beside a file, which begin with its
/// name behind a dot (`.auth.json.copy`), begin as that file's own, so that one [`sweep`] finds them all.
fn temp_name(target: &Path) -> (String, &'static str) {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    (format!(".{}.", name.trim_start_matches('.')), ".tmp")
}

/// Creates what is missing of `dir`, each entry synced into the directory above it.
fn create_private_dirs(dir: &Path) -> Result<(), FsError> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = parent(dir);
    create_private_dirs(above)?;
    match ops::create_dir(dir) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        created => created.and_then(|()| ops::sync_dir(above)),
    }
    .map_err(io_error("create", dir))
}

fn io_error(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> FsError {
    let path = path.to_owned();
    move |source| FsError::Io { verb, path: path.clone(), source }
}
