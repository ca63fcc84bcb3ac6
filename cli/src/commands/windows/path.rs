//! The person's own PATH, as the registry keeps it for programs that start later.
//!
//! Promises: other entries stay as they are written, variables in them unexpanded; a value that is no text is not touched.

mod sys;

use std::io;
use std::path::Path;

/// Puts a folder at its end, unless it is in it.
pub(in crate::commands) fn add(folder: &Path) -> io::Result<()> {
    edit(
        |entries, folder| {
            if !entries.iter().any(|entry| is(entry, folder)) {
                entries.push(folder.to_owned());
            }
        },
        folder,
    )
}

/// Takes a folder out of it.
pub(in crate::commands) fn remove(folder: &Path) -> io::Result<()> {
    edit(|entries, folder| entries.retain(|entry| !is(entry, folder)), folder)
}

fn edit(change: impl FnOnce(&mut Vec<String>, &str), folder: &Path) -> io::Result<()> {
    let (before, kind) = sys::read()?;
    let mut entries: Vec<String> =
        before.split(';').filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    let count = entries.len();
    change(&mut entries, &folder.display().to_string());
    if entries.len() != count {
        sys::write(&entries.join(";"), kind)?;
        sys::announce();
    }
    Ok(())
}

/// Whether an entry names this folder: Windows knows no case, and a last backslash says nothing.
fn is(entry: &str, folder: &str) -> bool {
    let plain = |path: &str| path.trim_matches('"').trim_end_matches('\\').to_lowercase();
    plain(entry) == plain(folder)
}
