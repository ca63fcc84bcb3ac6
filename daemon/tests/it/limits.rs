//! Every bound, reached: who meets it is told or closed, the daemon holds little, and the others do not notice.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::daemon::{Status, StatusResult};
use codex_oauth_proto::hello::Role;
use codex_oauth_proto::{Client, MAX_LINE_BYTES};
use codex_oauth_rig::scale::{figure, lasting, rounds};
use codex_oauth_rig::{Daemon, Lines, Rig, Shim, eventually};
use codex_oauthd::limits::Limits;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::support::{answer, ask, call, mcp};

/// Its answer is some hundred times as long.
const LIST: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"tools/list\"}\n";

const MIB: u64 = 1024 * 1024;

fn status(api: &mut Client) -> StatusResult {
    api.call::<Status>(&Empty {}).unwrap()
}

/// What the daemon holds. Of the program's own pages, which count in its share of memory as well, it has the more the fewer other
/// daemons run beside it.
pub(crate) fn held_by(daemon: &Daemon) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", daemon.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Waits without an event.
#[expect(clippy::disallowed_methods, reason = "what happens in a quiet time is measured by waiting")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[test]
fn who_does_not_read_costs_little_and_is_closed_while_the_others_are_answered_whole() {
    const OTHERS: usize = 49;
    const QUESTIONS: usize = 32;
    const PROMPT: &str = "[[repeat 100 300]]";
    let rig = Rig::new().limits(&[("write_stall_ms", 1_500)]);
    let daemon = rig.signed_in();
    let mut api = rig.api();
    let mut others: Vec<Lines> = (0..OTHERS).map(|_| mcp(&rig.home)).collect();
    for other in &mut others {
        answer(other, PROMPT);
    }
    let ask_much = |lines: &mut Lines| {
        for n in 0..QUESTIONS {
            call(lines, &json!(n), "codex_query", &json!({"prompt": PROMPT}));
        }
    };
    // What the same questions cost for a client that reads, in buffers and connections that are kept, is not held for the
    // slow one.
    ask_much(&mut others[0]);
    for n in 0..QUESTIONS {
        others[0].answer(&json!(n));
    }
    let (before, sessions) = (held_by(&daemon), status(&mut api).sessions);
    let mut slow = mcp(&rig.home);
    ask_much(&mut slow);
    slow.send_until_full(LIST, Duration::from_millis(300), 200_000);
    for other in &mut others {
        let whole = ask(other, PROMPT)["content"][0]["text"].as_str().map(str::len);
        assert_eq!(whole, Some(100 * 300));
    }
    let held = held_by(&daemon).saturating_sub(before);
    assert!(held <= 4 * MIB, "{held} bytes are held for one that does not read");
    eventually("it is closed at its bound", || status(&mut api).sessions == sessions);
}

#[test]
fn an_endless_line_costs_the_daemon_no_more_than_twice_the_bound() {
    const SENT: usize = 8;
    let rig = Rig::new().limits(&[("hello_ms", 60_000)]);
    let daemon = rig.daemon();
    let piece = vec![b'x'; MAX_LINE_BYTES];
    for role in [None, Some(Role::Api), Some(Role::Mcp)] {
        let before = held_by(&daemon);
        let mut lines = role.map_or_else(|| Lines::connect(&rig.home), |role| Lines::open(&rig.home, role));
        for _ in 0..SENT {
            lines.send_bytes(&piece);
        }
        let held = held_by(&daemon).saturating_sub(before);
        assert!(held <= 2 * MAX_LINE_BYTES as u64, "{role:?}: {held} bytes");
        lines.send_bytes(b"\n");
        let said = lines.receive().expect("the end of the line brings the reason").to_string();
        assert!(said.contains("long"), "{said}");
        assert_eq!(lines.receive(), None);
    }
}

/// Connects without waiting, and says hello. `None`: the backlog is full.
fn knock(rig: &Rig, hello: &[u8]) -> Option<OwnedFd> {
    let address = SocketAddrUnix::new(rig.home.endpoint().socket()).unwrap();
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    connect(&socket, &address).ok()?;
    rustix::io::write(&socket, hello).ok().map(|_| socket)
}

/// Nanoseconds on a processor.
fn cpu_ns(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn out_of_descriptors_the_daemon_rests_keeps_whom_it_has_and_then_serves_again() {
    const DESCRIPTORS: u64 = 64;
    const CLIENTS: usize = 200;
    /// Their answers fill what the kernel holds for a client that does not read, several times.
    const LISTS: usize = 200;
    const NORMAL: Duration = Duration::from_secs(1);
    let rig = Rig::new();
    let daemon = rig.signed_in();
    let mut early = rig.api();
    let mut unread = mcp(&rig.home);
    let few = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    prlimit(pid, Resource::Nofile, few).unwrap();
    let hello = format!("{}\n", Lines::hello(&rig.home, Role::Api));
    let clients: Vec<_> = (0..CLIENTS).map(|_| knock(&rig, hello.as_bytes())).collect();
    eventually("no descriptor is left", || daemon.log().contains("could not accept a connection"));
    unread.send_bytes(&LIST.repeat(LISTS));

    let (window, before) =
        (lasting(Duration::from_secs(10)).max(Duration::from_millis(500)), cpu_ns(daemon.pid()));
    let began = Instant::now();
    pause(window);
    let used = Duration::from_nanos(cpu_ns(daemon.pid()) - before);
    let share = 100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64();
    figure("out of descriptors: the daemon's processor", &format!("{share:.1} %"), "5 %", share <= 5.0);
    // Full, it would take the whole window. Twice the promise, for what a debug build logs.
    assert!(share <= 10.0, "{share} %");
    assert!(status(&mut early).sessions >= 10, "those that are in stay in");
    for _ in 0..LISTS {
        assert!(
            unread.receive().is_some_and(|answer| answer["result"]["tools"].is_array()),
            "who reads later loses nothing"
        );
    }

    drop(clients);
    let freed = Instant::now();
    let mut late = Lines::open(&rig.home, Role::Api);
    late.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    assert!(late.answer(&json!(1)).get("result").is_some());
    let normal = freed.elapsed();
    figure("out of descriptors: answered again", &format!("{normal:.0?}"), "1 s", normal <= NORMAL);
    eventually("all places are free again", || status(&mut early).sessions <= 3);
}

/// How often each thread of a process was put on a processor.
fn switches(pid: u32) -> BTreeMap<PathBuf, u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_thread = |folder: PathBuf| {
        // It may end meanwhile.
        let text = std::fs::read_to_string(folder.join("status")).ok()?;
        let counts = text.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        Some((folder, counts.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum()))
    };
    threads.filter_map(|thread| of_thread(thread.unwrap().path())).collect()
}

/// How often its threads woke in between; one that has ended woke once for it.
fn woken(before: &BTreeMap<PathBuf, u64>, after: &BTreeMap<PathBuf, u64>) -> u64 {
    let ended = before.keys().filter(|thread| !after.contains_key(*thread)).count() as u64;
    let woke = |(thread, count): (&PathBuf, &u64)| count - before.get(thread).copied().unwrap_or_default();
    ended + after.iter().map(woke).sum::<u64>()
}

#[test]
fn nothing_wakes_an_idle_house_but_timers_that_are_named() {
    /// What may wake a daemon without work, and how often at most.
    const NAMED: &[(&str, Duration)] = &[
        ("the daemon looks whether the socket is still its own", Duration::from_secs(60)),
        ("while a window is open it looks whether the login ends soon", Duration::from_secs(60)),
        ("the HTTP client looks for connections to close", Duration::from_secs(90)),
    ];
    /// The way back to its wait, of a process that has just answered, may fall into the first.
    const ATTEMPTS: usize = 5;
    let rig = Rig::new();
    let daemon = rig.signed_in();
    let shims: Vec<Shim> = (0..rounds(200)).map(|_| Shim::initialized(&rig.home)).collect();
    let _api = rig.api();
    let window = lasting(Duration::from_secs(60));
    let named: u64 = NAMED.iter().map(|(_, every)| 1 + window.as_secs() / every.as_secs()).sum();
    // On its way to a late time, tokio's timer wheel wakes once for each of its levels: 4 min, 4 s, 64 ms.
    let allowed = if window < Duration::from_secs(60) { 0 } else { 3 * named };
    let pids: Vec<u32> = std::iter::once(daemon.pid()).chain(shims.iter().map(Shim::pid)).collect();
    let counted = || {
        let before: Vec<_> = pids.iter().map(|pid| switches(*pid)).collect();
        pause(window);
        let woke = |(pid, before): (&u32, _)| woken(before, &switches(*pid));
        let mut each = pids.iter().zip(&before).map(woke);
        (each.next().unwrap_or_default(), each.sum::<u64>())
    };
    let mut seen = Vec::new();
    let is_quiet = std::iter::repeat_with(counted).take(ATTEMPTS).any(|(daemon, shims)| {
        seen.push((daemon, shims));
        daemon <= allowed && shims == 0
    });
    assert!(is_quiet, "(daemon, shims), of which {allowed} and 0 are allowed: {seen:?}");
}

#[test]
fn the_page_of_limits_has_every_bound_and_its_value() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/LIMITS.md")).unwrap();
    for (name, value) in Limits::default().entries() {
        let row = format!("| `{name}` | {value} | ");
        assert!(page.lines().any(|line| line.starts_with(&row)), "no row begins with {row}");
    }
    let mut constants = 0;
    for row in page.lines().filter(|line| line.contains(".rs` | ")) {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, name, value, file, _, ..] = cells[..] else { panic!("{row}") };
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let said = text
            .lines()
            .any(|line| line.contains(&format!("const {name}: ")) && line.ends_with(&format!(" = {value};")));
        assert!(said, "{file} does not say {name} = {value}");
        constants += 1;
    }
    assert!(constants >= 10, "{constants} rows about constants");
}
