//! Other people's programs, run for what they say: with a deadline, without our standard input.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use codex_oauth_proto::env::Env;

/// What a program's file name may end with.
const ENDINGS: &[&str] = if cfg!(windows) { &[".exe", ".cmd"] } else { &[""] };

/// The program of this name on PATH.
pub(crate) fn find(env: &Env, name: &str) -> Option<PathBuf> {
    find_all(env, name).next()
}

/// Every program of this name on PATH, in its order.
pub(crate) fn find_all(env: &Env, name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env.get_os("PATH").cloned().unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
    let files = folders.into_iter().flat_map(move |dir| {
        ENDINGS.iter().map(move |ending| dir.join(format!("{name}{ending}"))).collect::<Vec<_>>()
    });
    files.filter(|file| file.is_file())
}

/// Runs it to its end and gives its standard output.
///
/// # Errors
/// Why it did not go well: the last line that it said, if it said anything.
pub(crate) fn ask(command: &mut Command, patience: Duration) -> Result<String, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not run `{program}`: {error}"))?;
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let deadline = Instant::now() + patience;
    let rest = |said: &mpsc::Receiver<io::Result<Vec<u8>>>| {
        said.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    };
    let said = rest(&stdout).and_then(|stdout| Ok((stdout, rest(&stderr)?)));
    if said.is_err() {
        // It may have ended in this very moment.
        let _ended = child.kill();
    }
    let failed = |error: io::Error| error.to_string();
    let status = child.wait().map_err(failed)?;
    let Ok((stdout, stderr)) = said else {
        return Err(format!("`{program}` did not end within {} s", patience.as_secs()));
    };
    let output = Output { status, stdout: stdout.map_err(failed)?, stderr: stderr.map_err(failed)? };
    if status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(words(&output))
    }
}

/// Reads to the end on a thread of its own.
fn read(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (done, ended) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut said = Vec::new();
        let end = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut said));
        // Nobody listens any more when the time is over.
        let _late = done.send(end.map(|_| said));
    });
    ended
}

/// The last line that it said.
fn words(output: &Output) -> String {
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let last = said.iter().find_map(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
    last.map_or_else(|| format!("it ended with {}", output.status), |line| line.trim().to_owned())
}
