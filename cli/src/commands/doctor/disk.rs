//! Room for what we write: tried by writing, since quotas and limits show in no number.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use codex_oauth_proto::endpoint::{Endpoint, EndpointError};
use codex_oauth_proto::env::Env;

use super::report::Finding;
use super::system;
use crate::exit::Exit;

/// More than a renewal of the login and the record of a question take together.
const PROBE_BYTES: usize = 64 * 1024;

/// Below it a person should make room: logs (30 MiB at most) and the database (a few MiB) still fit.
const LITTLE_BYTES: u64 = 64 << 20;

/// The folders of the login, the state and the socket.
pub(super) fn look(env: &Env, endpoint: &Result<Endpoint, EndpointError>) -> Finding {
    let auth = env.auth_file().ok().and_then(|file| file.parent().map(Path::to_owned));
    let places = [auth, env.state_dir().ok(), endpoint.as_ref().ok().map(|endpoint| endpoint.dir.clone())];
    let there = |path: PathBuf| path.ancestors().find(|place| place.is_dir()).map(Path::to_owned);
    let places: BTreeSet<PathBuf> = places.into_iter().flatten().filter_map(there).collect();
    let least = places.iter().filter_map(|place| system::free_bytes(place)).min();
    let fine = least.map_or_else(|| "it can be written".to_owned(), |free| format!("{} free", bytes(free)));
    Finding::worst(places.iter().map(|place| room(place)).collect(), fine)
}

fn room(place: &Path) -> Finding {
    match write(place) {
        Ok(()) => match system::free_bytes(place) {
            Some(free) if free < LITTLE_BYTES => {
                let detail = format!("only {} are free in `{}`", bytes(free), place.display());
                Finding::warn(detail, format!("free some space on the disk of `{}`", place.display()))
            }
            _ => Finding::ok(""),
        },
        // Of permissions `folders` tells.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            Finding::ok("")
        }
        Err(error) => {
            let remedy = if error.kind() == ErrorKind::FileTooLarge {
                "raise the limit on the size of files (`ulimit -f unlimited`) where the daemon is started"
                    .to_owned()
            } else {
                format!("free some space on the disk of `{}`, then try again", place.display())
            };
            let detail = format!("could not write in `{}`: {error}", place.display());
            Finding::fail(detail, remedy, Exit::Failure)
        }
    }
}

/// Writes a file as large as what we may have to write at once, and removes it.
fn write(place: &Path) -> io::Result<()> {
    // Beyond this limit the system ends the process instead of failing the write.
    if system::file_size_limit().is_some_and(|limit| limit < PROBE_BYTES as u64) {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let path = place.join(format!("{}{}", super::leftovers::PROBE, std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let written = file.write_all(&vec![0; PROBE_BYTES]).and_then(|()| file.sync_all());
    drop(file);
    #[expect(clippy::disallowed_methods, reason = "this process made it, under its own number")]
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

/// `81.2 GiB`, `12.0 MiB`.
fn bytes(count: u64) -> String {
    let (unit, name) = if count >= 1 << 30 { (1_u64 << 30, "GiB") } else { (1 << 20, "MiB") };
    let tenths = u128::from(count) * 10 / u128::from(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        write(place.path()).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn sizes_are_told_in_what_a_disk_has() {
        assert_eq!(bytes(12 << 20), "12.0 MiB");
        assert_eq!(bytes(87_186_000_000), "81.1 GiB");
        assert_eq!(bytes(0), "0.0 MiB");
    }
}
