//! Bytes that nobody would send: openings, messages and shim input, mutated from a kept corpus. Whatever comes, nothing
//! panics, what goes out is JSON lines, and the next client is served.
//!
//! An input that finds something is printed with the failure and belongs into `daemon/tests/corpus`.

use std::path::Path;
use std::time::{Duration, Instant};

use codex_oauth_proto::hello::Role;
use codex_oauth_rig::scale::{Seeded, lasting};
use codex_oauth_rig::{Daemon, Lines, Rig, Shim};
use serde_json::json;

/// Ten minutes in full, for three doors.
const EACH: Duration = Duration::from_secs(200);

/// What breaks parsers, put where it does not belong.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-0",
    b"1e999",
    b"18446744073709551616",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"[[[[[[[[",
    b"\"id\":1,",
    b"\"id\":",
    b"\"method\":\"ping\",",
    b"@moved",
];

/// The longest input: the bound of a line has its own test.
const MOST_BYTES: usize = 64 * 1024;

/// The kept inputs of one door.
struct Corpus(Vec<Vec<u8>>);

impl Corpus {
    fn read(door: &str, rig: &Rig) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(door);
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        // The one thing in a hello that depends on the test's home.
        let auth_file = rig.home.auth_file().display().to_string();
        let whole = |bytes: Vec<u8>| match String::from_utf8(bytes) {
            Ok(text) => text.replace("AUTH_FILE", &auth_file).into_bytes(),
            Err(error) => error.into_bytes(),
        };
        Self(paths.into_iter().map(|path| whole(std::fs::read(path).unwrap())).collect())
    }

    /// Each kept input as it is, then mutations of them until the time is over.
    fn run(&self, test: &str, mut try_one: impl FnMut(&[u8])) {
        let mut random = Seeded::new(test);
        let end = Instant::now() + lasting(EACH);
        for kept in &self.0 {
            attempt(kept, &mut try_one);
        }
        while Instant::now() < end {
            attempt(&self.mutated(&mut random), &mut try_one);
        }
    }

    fn mutated(&self, random: &mut Seeded) -> Vec<u8> {
        let mut bytes = self.pick(random).clone();
        for _ in 0..=random.below(4) {
            let (from, to) = (place(random, bytes.len()), place(random, bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            match random.below(6) {
                0 => bytes.truncate(to),
                1 => drop(bytes.drain(from..to)),
                2 => bytes.extend_from_within(from..to),
                3 => {
                    let token = TOKENS[place(random, TOKENS.len() - 1)];
                    bytes.splice(from..from, token.iter().copied());
                }
                4 => {
                    let other = self.pick(random);
                    let cut = place(random, other.len());
                    bytes.splice(from..to, other[cut..].iter().copied());
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(from) {
                        *byte ^= 1 << random.below(8);
                    }
                }
            }
            bytes.truncate(MOST_BYTES);
        }
        bytes
    }

    fn pick(&self, random: &mut Seeded) -> &Vec<u8> {
        &self.0[place(random, self.0.len() - 1)]
    }
}

/// From 0 to `last`.
fn place(random: &mut Seeded, last: usize) -> usize {
    usize::try_from(random.below(last as u64 + 1)).unwrap()
}

fn attempt(input: &[u8], try_one: &mut impl FnMut(&[u8])) {
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| try_one(input)));
    // What failed is in the output already, from the panic itself.
    assert!(tried.is_ok(), "the input was: {}", input.escape_ascii());
}

/// Whether the daemon is whole: no task of its own has panicked, and it serves.
fn assert_whole(rig: &Rig, daemon: &Daemon) {
    let log = rig.log(daemon);
    let panicked = log.lines().find(|line| line.contains("panicked"));
    assert!(panicked.is_none(), "{panicked:?}");
    let mut lines = Lines::open(&rig.home, Role::Api);
    lines.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    assert!(lines.answer(&json!(1)).get("result").is_some());
}

/// Says it and reads to the end: [`Lines::receive`] takes nothing but JSON.
fn say(mut lines: Lines, input: &[u8]) {
    lines.send_bytes(input);
    lines.finish();
    while lines.receive().is_some() {}
}

#[test]
fn no_opening_harms_the_daemon() {
    let rig = Rig::new();
    let daemon = rig.daemon();
    Corpus::read("hello", &rig).run("openings", |input| say(Lines::connect(&rig.home), input));
    assert_whole(&rig, &daemon);
}

#[test]
fn no_message_harms_the_daemon() {
    let rig = Rig::new();
    let daemon = rig.daemon();
    let (mcp, api) = (Corpus::read("mcp", &rig), Corpus::read("api", &rig));
    let both = Corpus(mcp.0.into_iter().chain(api.0).collect());
    let mut role = Role::Mcp;
    both.run("messages", |input| {
        role = if role == Role::Mcp { Role::Api } else { Role::Mcp };
        say(Lines::open(&rig.home, role), input);
    });
    assert_whole(&rig, &daemon);
}

#[test]
fn no_input_silences_the_shim_or_makes_it_say_what_is_not_json() {
    /// A session's memory of strange requests is bounded; a fresh one sees other states.
    const INPUTS_EACH: u32 = 50;
    let rig = Rig::new();
    let daemon = rig.daemon();
    let mut shim = Shim::spawn(&rig.home);
    let mut n = 0;
    Corpus::read("shim", &rig).run("shim input", |input| {
        n += 1;
        if n % INPUTS_EACH == 0 {
            shim = Shim::spawn(&rig.home);
        }
        shim.send_bytes(input);
        // The newline ends whatever was begun; the answer to the request after it proves that the shim goes on.
        shim.send_bytes(b"\n");
        shim.request(&json!(format!("still there {n}")), "ping", &json!({}));
    });
    assert_whole(&rig, &daemon);
}
