//! What this process costs, as nobody else of its user can see: it is not dumpable. And whether another one still runs.

/// Proportional set size in bytes: its memory with shared pages counted in parts. `None` where the system does not tell.
pub(crate) fn pss_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Open descriptors, without the one used for counting.
pub(crate) fn open_files() -> Option<u64> {
    let listed = std::fs::read_dir("/dev/fd").ok()?.count();
    Some(listed.saturating_sub(1) as u64)
}

/// Whether a process of this id may still run. In doubt it does.
pub(crate) fn may_run(pid: u32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    test_kill_process(pid) != Err(Errno::SRCH)
}

/// Who started it: the name of the parent process and its number. After the parent's end it is init.
pub(crate) fn parent() -> String {
    let Some(pid) = rustix::process::getppid() else { return "unknown".to_owned() };
    let pid = pid.as_raw_nonzero();
    // A name is whatever its process says.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { format!("process {pid}") } else { format!("{name} ({pid})") }
}
