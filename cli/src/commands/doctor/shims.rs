//! The shims of this user: one for each window, and none whose window is gone.

use codex_oauth_proto::local::UserId;

use super::report::Finding;

/// Counts them, and names those whose parent has ended.
#[cfg(target_os = "linux")]
pub(super) fn look(uid: UserId) -> Finding {
    use codex_oauth_proto::people::words::count;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    let mut running = 0;
    let mut orphans = Vec::new();
    for (pid, folder) in processes() {
        let ours = folder.metadata().is_ok_and(|found| found.uid() == uid);
        // The kernel keeps 15 bytes of a name: all of `codex-oauth-mcp`.
        if !ours || name_of(&folder) != "codex-oauth-mcp" {
            continue;
        }
        running += 1;
        let parent = parent_of(&folder).map(|pid| name_of(Path::new(&format!("/proc/{pid}"))));
        if parent.is_some_and(|parent| INITS.contains(&parent.as_str())) {
            orphans.push(pid.to_string());
        }
    }
    if orphans.is_empty() {
        return Finding::ok(match running {
            0 => "none runs".to_owned(),
            running => format!("{}, each with its window", count(running, "shim")),
        });
    }
    let detail = format!(
        "{} whose window is gone: process {}",
        count(orphans.len() as u64, "shim"),
        orphans.join(", ")
    );
    Finding::warn(detail, format!("run `kill {}`", orphans.join(" ")))
}

/// Processes are not told of without further libraries; the daemon counts its sessions all the same.
#[cfg(not(target_os = "linux"))]
pub(super) fn look(_: UserId) -> Finding {
    Finding::skip("this system does not list processes; `daemon` counts the sessions")
}

/// Who takes over processes whose parent has ended. A client may be the first process of a container too.
#[cfg(target_os = "linux")]
const INITS: &[&str] = &["systemd", "init", "tini", "dumb-init", "docker-init", "catatonit"];

/// Processes looked at; a machine with more is searched no further.
#[cfg(target_os = "linux")]
const MOST_PROCESSES: usize = 32_768;

/// Every process that `/proc` shows, with its folder there.
#[cfg(target_os = "linux")]
pub(super) fn processes() -> impl Iterator<Item = (u32, std::path::PathBuf)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    pids.take(MOST_PROCESSES)
}

/// What a process calls itself, without what would drive a terminal.
#[cfg(target_os = "linux")]
pub(super) fn name_of(folder: &std::path::Path) -> String {
    let name = std::fs::read_to_string(folder.join("comm")).unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).collect()
}

/// `proc_pid_stat(5)`: the name, which may hold anything, stands in brackets before the rest.
#[cfg(target_os = "linux")]
fn parent_of(folder: &std::path::Path) -> Option<u32> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
