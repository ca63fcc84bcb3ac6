//! What is still there of the Python plugin that this one replaces: a running copy of its server.
//!
//! That server keeps tokens in its memory and writes the credential file without a lock, so a person should know that one
//! runs. It is recognised by its command line: Python with the plugin's script, `…/servers/codex-mcp-server/server.py`.

use std::path::Path;

/// The end of the script's path in every published version of the plugin.
const SCRIPT: &str = "servers/codex-mcp-server/server.py";
/// Processes looked at; a machine with more is searched no further.
const MOST_PROCESSES: usize = 8192;

/// A note for each running copy of the server that belongs to this user.
pub(crate) fn running(uid: u32) -> Vec<String> {
    running_in(Path::new("/proc"), uid)
}

fn running_in(proc: &Path, uid: u32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .take(MOST_PROCESSES);
    let mut found: Vec<u32> = pids
        .filter(|pid| {
            let folder = proc.join(pid.to_string());
            is_of(&folder, uid)
                && std::fs::read(folder.join("cmdline")).is_ok_and(|line| is_the_server(&line))
        })
        .collect();
    found.sort_unstable();
    let note = |pid| {
        format!(
            "a copy of the Python plugin still runs (process {pid}); close the window that started it: it writes the \
             same credential file without a lock"
        )
    };
    found.into_iter().map(note).collect()
}

/// Whether the NUL-separated command line is Python with the plugin's server. An editor that has the file open is none.
fn is_the_server(command_line: &[u8]) -> bool {
    let mut arguments = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = arguments.next().unwrap_or_default();
    let is_python = program.rsplit('/').next().is_some_and(|name| name.starts_with("python"));
    is_python && arguments.any(|argument| argument.ends_with(SCRIPT))
}

#[cfg(unix)]
fn is_of(folder: &Path, uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(folder).is_ok_and(|metadata| metadata.uid() == uid)
}

#[cfg(not(unix))]
fn is_of(_: &Path, _: u32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_python_with_the_plugins_script_is_the_server() {
        for (line, is) in [
            ("python3\0/home/ada/.claude/plugins/codex-oauth/servers/codex-mcp-server/server.py\0", true),
            ("/usr/bin/python3.12\0-u\0/x/servers/codex-mcp-server/server.py\0", true),
            ("vim\0/x/servers/codex-mcp-server/server.py\0", false),
            ("python3\0/x/servers/other/server.py\0", false),
            ("python3\0-c\0print()\0", false),
            ("", false),
        ] {
            assert_eq!(is_the_server(line.as_bytes()), is, "{line:?}");
        }
    }
}
