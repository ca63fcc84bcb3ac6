//! Rules of the house, checked over the sources.

use std::path::Path;

/// No file is longer (tests excluded).
const MOST_LINES: usize = 500;
/// Half of the files are no longer than this (tests excluded).
const MEDIAN_LINES: usize = 150;

/// Every Rust file that git would track, by its path from the root.
pub(crate) fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in ["proto", "daemon", "client-shim", "cli", "testkit"] {
        collect(root, &root.join(folder), &mut found);
    }
    assert!(found.len() > 50, "the sources were found");
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Sources that ship: no tests, no test kit. The part after `mod tests` is cut off.
pub(crate) fn shipped() -> Vec<(String, String)> {
    let ships = |path: &str| {
        !path.starts_with("testkit")
            && !path.contains("/tests/")
            && !path.contains("testing")
            && !path.contains("_tests")
            && !path.ends_with("/tests.rs")
    };
    let code = |text: String| text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    sources().into_iter().filter(|(path, _)| ships(path)).map(|(path, text)| (path, code(text))).collect()
}

#[test]
fn every_file_opens_with_what_it_promises() {
    // Unit tests in a file of their own say what they promise in their names.
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.ends_with("/tests.rs")) {
        assert!(text.trim_start().starts_with("//!"), "{path} has no module documentation");
    }
}

#[test]
fn files_are_short() {
    let mut lengths: Vec<(usize, String)> =
        shipped().into_iter().map(|(path, text)| (text.lines().count(), path)).collect();
    lengths.sort();
    let (longest, path) = lengths.last().unwrap();
    assert!(*longest <= MOST_LINES, "{path} has {longest} lines");
    let median = lengths[lengths.len() / 2].0;
    assert!(median <= MEDIAN_LINES, "the median file has {median} lines");
}

#[test]
fn each_danger_lives_in_one_file() {
    let rules: [(&str, &[&str], &str); 6] = [
        (
            "unsafe {",
            &[
                "cli/src/commands/windows/path/sys.rs",
                "cli/src/interrupt/windows.rs",
                "client-shim/src/arena.rs",
                "daemon/src/activation/launchd.rs",
                "daemon/src/activation/systemd.rs",
                "daemon/src/allocator.rs",
                "daemon/src/harden.rs",
                "daemon/src/names.rs",
                "daemon/src/notify.rs",
                "daemon/src/windows/sys.rs",
                "proto/src/local/windows/sys.rs",
                "proto/src/spawn/unix.rs",
                "proto/src/spawn/windows.rs",
            ],
            "unsafe code",
        ),
        ("tokio::spawn", &[], "use task::spawn"),
        ("tracker.spawn(", &["daemon/src/task.rs"], "use task::spawn"),
        (".try_lock()", &["proto/src/lock.rs"], "file locks"),
        ("unbounded_channel", &[], "every queue has a bound"),
        ("process::exit", &[], "return an ExitCode"),
    ];
    for (path, text) in shipped() {
        for (text_of_danger, allowed, reason) in rules {
            let found = text
                .lines()
                .any(|line| line.contains(text_of_danger) && !line.trim_start().starts_with("//"));
            assert!(!found || allowed.contains(&path.as_str()), "{path} has `{text_of_danger}`: {reason}");
        }
    }
}

#[test]
fn only_fsx_writes_files_in_the_daemon_and_only_tokio_tells_its_time() {
    for (path, text) in shipped().into_iter().filter(|(path, _)| path.starts_with("daemon/src")) {
        if !path.starts_with("daemon/src/fsx")
            && path != "daemon/src/harden.rs"
            && !path.starts_with("daemon/src/log/file")
        {
            for writing in ["File::create", "OpenOptions", "fs::write", "fs::rename"] {
                assert!(!text.contains(writing), "{path} has `{writing}`: only fsx writes files");
            }
        }
        assert!(!text.contains("std::time::Instant"), "{path}: tokio's clock can be paused, this one cannot");
    }
}

/// Under Wine no test can tell: a handle that is not overlapped hangs on Windows only, and nobody there impersonates.
#[test]
fn the_one_opener_of_pipes_is_overlapped_and_lets_nobody_act_as_us() {
    let opener = "proto/src/local/windows/pipe.rs";
    for (path, text) in shipped() {
        if path == opener {
            for flag in
                [".custom_flags(FILE_FLAG_OVERLAPPED)", ".security_qos_flags(SECURITY_IDENTIFICATION)"]
            {
                assert!(text.contains(flag), "{path} lacks {flag}");
            }
        } else {
            for other in ["DuplexPipeStream", "ClientOptions", "connect_by_path", "CreateFileW"] {
                assert!(!text.contains(other), "{path} has {other}: pipes are opened in {opener}");
            }
        }
    }
}

#[test]
fn no_test_is_left_out_or_waits_for_a_panic() {
    for (path, text) in sources() {
        for mark in [concat!("#[", "ignore"), concat!("#[", "should_panic")] {
            assert!(!text.contains(mark), "{path} has {mark}]");
        }
    }
}
