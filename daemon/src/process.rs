//! What this process costs. It is not dumpable, so nobody else of its user can look.

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
