//! What the kernel knows of a process, from `/proc`.

use std::path::Path;

use crate::error::{Error, Trying as _};

/// The costs of some processes together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Proportional share of memory, kB.
    pub(crate) pss_kb: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Time on a processor in clock ticks (1/100 s), user and system.
    pub(crate) ticks: u64,
    /// The same in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Context switches, voluntary or not.
    pub(crate) switches: u64,
}

impl Usage {
    /// Of these processes together.
    pub(crate) fn of(pids: &[u32]) -> Result<Self, Error> {
        let mut sum = Self::default();
        for pid in pids {
            let one = Self::of_one(*pid)?;
            sum.pss_kb += one.pss_kb;
            sum.threads += one.threads;
            sum.ticks += one.ticks;
            sum.cpu_ns += one.cpu_ns;
            sum.switches += one.switches;
        }
        Ok(sum)
    }

    fn of_one(pid: u32) -> Result<Self, Error> {
        let folder = Path::new("/proc").join(pid.to_string());
        let read = |name: &str| {
            std::fs::read_to_string(folder.join(name)).trying(&format!("read {name} of process {pid}"))
        };
        let (status, stat, schedstat, rollup) =
            (read("status")?, read("stat")?, read("schedstat")?, read("smaps_rollup")?);
        let missing = |what: &str| Error::said("read the costs of a process", format!("no {what} of {pid}"));
        let number = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse::<u64>().ok()).ok_or_else(|| missing(name))
        };
        // proc_pid_stat(5): the name in parentheses may hold anything; utime and stime are the 12th and 13th word after it.
        let after_name = stat.rsplit_once(')').map(|(_, after)| after).ok_or_else(|| missing("stat"))?;
        let word = |n: usize| after_name.split_whitespace().nth(n).and_then(|word| word.parse::<u64>().ok());
        let ticks = word(11).zip(word(12)).map(|(user, system)| user + system);
        let cpu_ns = schedstat.split_whitespace().next().and_then(|word| word.parse().ok());
        Ok(Self {
            pss_kb: number(&rollup, "Pss")?,
            threads: number(&status, "Threads")?,
            ticks: ticks.ok_or_else(|| missing("stat"))?,
            cpu_ns: cpu_ns.ok_or_else(|| missing("schedstat"))?,
            switches: number(&status, "voluntary_ctxt_switches")?
                + number(&status, "nonvoluntary_ctxt_switches")?,
        })
    }
}

/// Microseconds that a process's first thread has spent on a processor. A program that serves everything on one thread pays
/// all but its start there, and on a busy machine this moves less than a wall clock.
pub(crate) fn cpu_micros(pid: u32) -> Result<f64, Error> {
    let what = format!("read the processor time of process {pid}");
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).trying(&what)?;
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    Ok(nanoseconds.ok_or_else(|| Error::said(&what, "schedstat begins with no number"))? / 1e3)
}

/// `kB` as MB.
pub(crate) fn megabytes(kb: u64) -> f64 {
    u32::try_from(kb).map_or(f64::INFINITY, f64::from) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_threads_and_memory_and_has_run() {
        let usage = Usage::of(&[std::process::id()]).unwrap();
        assert!(usage.threads >= 1 && usage.pss_kb > 0 && usage.cpu_ns > 0, "{usage:?}");
        assert!(cpu_micros(std::process::id()).unwrap() > 0.0);
    }
}
