//! The daemon's own file, and the two former ones that it puts aside.

use std::convert::Infallible;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::path::Path;
use std::time::Duration;

use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use super::{last, print, shown};
use crate::args::LogsArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What former files are called, from young to old.
const FORMER: [&str; 2] = ["log.1", "log.2"];

/// How often a file is looked at that is followed: soon enough for a person who watches.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Shows the last lines, then those that come.
pub(super) fn show(context: &mut Context, args: LogsArgs, path: &Path) -> Result<Exit, Failure> {
    let mut log = Log { path, file: None, rest: Vec::new() };
    if log.open()? {
        print(context, &log.latest(args)?, args)?;
    } else {
        context.output.note(&format!("there is no log yet: `{}` does not exist", path.display()))?;
        context.output.say(
            "next: `codex-oauth daemon start`, or any use, starts a daemon that writes it; `codex-oauth daemon run` writes \
             to its own terminal instead",
        )?;
    }
    if args.follow {
        match follow(context, &mut log, args)? {}
    }
    Ok(Exit::Success)
}

/// Until Ctrl-C, or until nobody reads any more.
fn follow(context: &mut Context, log: &mut Log<'_>, args: LogsArgs) -> Result<Infallible, Failure> {
    loop {
        // Before it is read: what was written to a file that is put aside is then all there.
        let is_elsewhere = log.is_elsewhere()?;
        for line in log.news()? {
            if let Some(line) = shown(&line, args) {
                context.output.line(&line)?;
            }
        }
        if !(is_elsewhere && log.open()?) {
            #[expect(
                clippy::disallowed_methods,
                reason = "no event tells on every system that a file has grown"
            )]
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// The log, which may be put aside while it is read.
struct Log<'p> {
    path: &'p Path,
    file: Option<File>,
    /// The beginning of a line that is being written.
    rest: Vec<u8>,
}

impl Log<'_> {
    /// Goes on at the beginning of the file that the path leads to now. False: there is none.
    fn open(&mut self) -> Result<bool, WireError> {
        match File::open(self.path) {
            Ok(file) => self.file = Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(unreadable(self.path, &error)),
        }
        self.rest.clear();
        Ok(true)
    }

    /// The last lines, of former files too where the newest has too few.
    fn latest(&mut self, args: LogsArgs) -> Result<Vec<String>, WireError> {
        let mut lines = last(self.news()?.iter().map(String::as_str), args.lines, args);
        for former in FORMER.map(|extension| self.path.with_extension(extension)) {
            if lines.len() >= args.lines {
                break;
            }
            let text = match std::fs::read(&former) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(unreadable(&former, &error)),
            };
            lines.splice(..0, last(text.lines(), args.lines - lines.len(), args));
        }
        Ok(lines)
    }

    /// The whole lines that were written since the last call.
    fn news(&mut self) -> Result<Vec<String>, WireError> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        // The daemon puts a file aside at 10 MiB.
        file.read_to_end(&mut self.rest).map_err(|error| unreadable(self.path, &error))?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect())
    }

    /// Whether the path leads to another file by now, or to the same one made empty.
    fn is_elsewhere(&mut self) -> Result<bool, WireError> {
        let Some(file) = &mut self.file else { return Ok(true) };
        let mut look = || -> io::Result<bool> {
            let found = std::fs::metadata(self.path)?;
            Ok(!is_same(&found, &file.metadata()?) || found.len() < file.stream_position()?)
        };
        match look() {
            Ok(is_elsewhere) => Ok(is_elsewhere),
            // Between two names.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(unreadable(self.path, &error)),
        }
    }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// There a file that has taken the place of another one is told by its length.
#[cfg(windows)]
const fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

fn unreadable(path: &Path, error: &io::Error) -> WireError {
    let message = format!("could not read the log `{}`: {error}", path.display());
    WireError::daemon(ErrorCode::Configuration, Retry::Safe, message)
        .next(NextStep::FixFile { path: path.display().to_string() })
}
