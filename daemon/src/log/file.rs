//! `daemon.log` of a daemon that nobody supervises: it and two former ones, each of at most 10 MiB, readable by its owner
//! alone. What is written to standard error beside it, such as a panic, goes to the same file.

#[cfg_attr(windows, path = "file/windows.rs")]
#[cfg_attr(unix, path = "file/unix.rs")]
mod system;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file is put aside before it grows over this. Days of a busy daemon, and small enough to be sent with a report.
pub(super) const FILE_BYTES: u64 = 10 << 20;

/// What former files are called, from young to old.
const FORMER: [&str; 2] = ["log.1", "log.2"];

/// The open file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Standard error follows the file when another one takes its place.
    is_stderr: bool,
}

impl LogFile {
    /// The file at `path`, if it is what standard error leads to: the starter opened it, and from here on it is ours.
    pub(super) fn behind_stderr(path: &Path) -> io::Result<Option<Self>> {
        if !system::stderr_leads_to(path)? {
            return Ok(None);
        }
        Ok(Some(Self { path: path.to_owned(), file: open(path)?, is_stderr: true }))
    }

    /// Appends whole lines. The files before and after stay within their bound, whatever happens to them.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        if size > 0 && size + lines.len() as u64 > FILE_BYTES {
            self.put_aside()?;
        }
        self.file.write_all(lines)
    }

    /// Opens the path again: somebody has moved the file, or asks for it.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        if self.is_stderr {
            system::follow(&self.file)?;
        }
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let [young, old] = FORMER.map(|extension| self.path.with_extension(extension));
        let is_at_path = std::fs::metadata(&self.path)
            .is_ok_and(|found| self.file.metadata().is_ok_and(|ours| system::is_same(&found, &ours)));
        // A daemon before or after this one writes here as well, and may have done it already.
        if is_at_path {
            let moved = rename(&young, &old).and_then(|()| rename(&self.path, &young));
            if moved.is_err() {
                // In a folder that takes no new names the bound is kept all the same.
                return self.file.set_len(0);
            }
        }
        self.reopen()
    }
}

fn open(path: &Path) -> io::Result<File> {
    system::owner_only(OpenOptions::new().append(true).create(true)).open(path)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a log, which a power cut may cost")]
    let renamed = std::fs::rename(from, to);
    renamed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use codex_oauth_rig::scale::rounds;

    use super::*;

    fn log_in(dir: &Path) -> LogFile {
        let path = dir.join("daemon.log");
        LogFile { file: open(&path).unwrap(), path, is_stderr: false }
    }

    fn bytes_in(dir: &Path) -> u64 {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    }

    #[test]
    fn a_gibibyte_of_log_keeps_thirty_mebibytes_and_the_newest_lines() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log_in(dir.path());
        let mut line = vec![b'x'; 64 << 10];
        *line.last_mut().unwrap() = b'\n';
        for _mebibyte in 0..rounds(1024) {
            for _ in 0..16 {
                log.write(&line).unwrap();
            }
            assert!(bytes_in(dir.path()) <= 30 << 20);
        }
        log.write(b"the newest\n").unwrap();
        let kept = std::fs::read_to_string(dir.path().join("daemon.log")).unwrap();
        assert!(kept.ends_with("the newest\n"));
        assert!(bytes_in(dir.path()) > 20 << 20, "what fits is kept");
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn two_daemons_with_one_log_put_a_file_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (log_in(dir.path()), log_in(dir.path()));
        let most = usize::try_from(FILE_BYTES).unwrap();
        one.write(&vec![b'a'; most]).unwrap();
        one.write(b"one\n").unwrap();
        other.write(b"other\n").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("daemon.log")).unwrap(), "one\nother\n");
        assert!(!dir.path().join("daemon.log.2").exists());
    }

    #[test]
    fn a_log_that_was_moved_away_goes_on_at_its_path_once_it_is_reopened() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log_in(dir.path());
        log.write(b"before\n").unwrap();
        rename(&dir.path().join("daemon.log"), &dir.path().join("moved")).unwrap();
        log.reopen().unwrap();
        log.write(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("daemon.log")).unwrap(), "after\n");
    }

    #[test]
    fn a_full_disk_is_told_and_not_waited_for() {
        let mut log = LogFile {
            path: "/dev/full".into(),
            file: OpenOptions::new().append(true).open("/dev/full").unwrap(),
            is_stderr: false,
        };
        assert_eq!(log.write(b"line\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
