//! The credential file as a file. What is in it only the daemon reads.

use std::path::Path;

use codex_oauth_proto::NextStep;
use codex_oauth_proto::Surface;
use codex_oauth_proto::env::Env;

use super::report::{Finding, Fixer};
use super::system;
use crate::exit::Exit;

/// Owner, mode, and whether it can be replaced as a whole.
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
    let mut findings = Vec::new();
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

fn repair(file: &Path) -> String {
    NextStep::FixFile { path: file.display().to_string() }.render(Surface::Shell)
}
