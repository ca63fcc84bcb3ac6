//! The credential file as a file, and whether it can be understood. Whose tokens are in it only the daemon reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use codex_oauth_proto::NextStep;
use codex_oauth_proto::Surface;
use codex_oauth_proto::env::Env;
use serde::de::IgnoredAny;

use super::report::{Finding, Fixer};
use super::system;
use crate::exit::Exit;

/// As much as the daemon reads: `daemon/src/fsx.rs`.
const MOST_BYTES: u64 = 4 << 20;

/// Owner, mode, whether it is JSON, and whether it can be replaced as a whole.
pub(super) fn look(env: &Env, fixer: &mut Fixer) -> Finding {
    let file = match env.auth_file() {
        Ok(file) => file,
        Err(error) => {
            return Finding::fail(
                error.to_string(),
                "set CODEX_OAUTH_AUTH_FILE to an absolute path",
                Exit::Daemon,
            );
        }
    };
    let shown = file.display();
    let found = match file.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok(format!("none yet; a login makes `{shown}`"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Finding::skip("no folder to look in: see `folders`");
        }
        Err(error) => {
            return Finding::fail(
                format!("could not look at `{shown}`: {error}"),
                repair(&file),
                Exit::Failure,
            );
        }
    };
    if !found.is_file() {
        return Finding::fail(format!("`{shown}` is not a file"), repair(&file), Exit::Failure);
    }
    if let Some(owner) = system::owner(&file).filter(|owner| *owner != env.uid) {
        let detail = format!("`{shown}` belongs to user {owner}, not to you");
        return Finding::fail(detail, repair(&file), Exit::Failure);
    }
    let mut findings = vec![understood(&file)];
    if system::links(&file) > 1 {
        let detail = format!("`{shown}` has further names (hard links), so it cannot be replaced safely");
        let remedy = format!("remove the others: `find / -samefile {shown}` lists them");
        findings.push(Finding::fail(detail, remedy, Exit::Failure));
    }
    if let Some(mode) = system::mode(&file) {
        if mode & 0o200 == 0 {
            let remedy = format!("run `chmod u+w {shown}`: the login cannot be renewed without");
            findings.push(Finding::fail(format!("`{shown}` is read-only"), remedy, Exit::Failure));
        }
        if mode & 0o077 != 0 {
            let trouble = Finding::warn(format!("others may read `{shown}` (mode {mode:04o})"), "");
            let what = format!("chmod 600 {shown}");
            findings.push(fixer.mend(trouble, what, || system::set_mode(&file, 0o600)));
        }
    }
    Finding::worst(findings, format!("{shown}, yours alone"))
}

/// Whether it is a JSON object, as the daemon needs it. Where it breaks is said; of its text, which holds tokens, nothing is
/// kept or shown.
#[expect(clippy::zero_sized_map_values, reason = "a set is a JSON array")]
fn understood(file: &Path) -> Finding {
    let shown = file.display();
    let opened = match File::open(file) {
        Ok(opened) => BufReader::new(opened.take(MOST_BYTES)),
        Err(error) => {
            let detail = format!("could not read `{shown}`: {error}");
            return Finding::fail(detail, repair(file), Exit::Failure);
        }
    };
    match serde_json::from_reader::<_, BTreeMap<String, IgnoredAny>>(opened) {
        Ok(_) => Finding::ok(""),
        Err(error) if error.is_io() => {
            Finding::fail(format!("could not read `{shown}`: {error}"), repair(file), Exit::Failure)
        }
        Err(error) => {
            let at = format!("line {}, column {}", error.line(), error.column());
            let detail = format!("`{shown}` cannot be understood: it is no JSON object ({at})");
            let remedy = format!("run `codex-oauth login`; the file is kept as `{shown}.unreadable-…`");
            Finding::fail(detail, remedy, Exit::Failure)
        }
    }
}

fn repair(file: &Path) -> String {
    NextStep::FixFile { path: file.display().to_string() }.render(Surface::Shell)
}
