//! Other people's programs, run for what they say: with a deadline, without our standard input.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use codex_oauth_proto::env::Env;
use rustix::process::{Pid, Signal, kill_process};

/// The program of this name on PATH.
pub(crate) fn find(env: &Env, name: &str) -> Option<PathBuf> {
    let path = env.get_os("PATH")?;
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Runs it to its end and gives its standard output.
///
/// # Errors
/// Why it did not go well: the last line that it said, if it said anything.
pub(crate) fn ask(command: &mut Command, patience: Duration) -> Result<String, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not run `{program}`: {error}"))?;
    let pid = Pid::from_child(&child);
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more when the time is over.
        let _late = done.send(child.wait_with_output());
    });
    match ended.recv_timeout(patience) {
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Ok(output)) => Err(words(&output)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            // It may have ended in this very moment.
            let _ended = kill_process(pid, Signal::KILL);
            Err(format!("`{program}` did not end within {} s", patience.as_secs()))
        }
    }
}

/// The last line that it said.
fn words(output: &Output) -> String {
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let last = said.iter().find_map(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
    last.map_or_else(|| format!("it ended with {}", output.status), |line| line.trim().to_owned())
}
