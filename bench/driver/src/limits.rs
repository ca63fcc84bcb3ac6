//! What one bad client costs the others, and what a house full of idle ones costs the machine.

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use codex_oauth_proto::api::{Empty, daemon};
use codex_oauth_proto::caller::Caller;
use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::hello::Role;
use codex_oauth_proto::{Nonce, connect, launch};

use crate::args::Args;
use crate::error::{Error, Trying as _};
use crate::home::{Backend, House, pause};
use crate::mcp::{self, Mcp};
use crate::proc::{Usage, megabytes};
use crate::sse::Answer;
use crate::stats::{median, median_ratio, micros, percentile};
use crate::table::{Table, with_unit};

/// Sessions beside the one that does not read.
const OTHERS: usize = 49;

/// Rounds of three blocks, and how often a block asks in every other session.
const ROUNDS: usize = 40;
const ASKS: usize = 4;

/// What the slow one asks for before it stops reading: its calls at once, and lists until nobody takes more.
const QUESTIONS: u32 = 32;
const LIST: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":\"list\",\"method\":\"tools/list\"}\n";

/// How long a write may wait before it counts as not taken.
const NOT_TAKEN: Duration = Duration::from_millis(50);

/// Idle sessions, and how long they are watched.
const IDLE_SESSIONS: usize = 200;
const IDLE: Duration = Duration::from_secs(60);

/// After the last reply: everybody's way back to its wait.
const SETTLE: Duration = Duration::from_millis(500);

const PROMPT: &str = "What is Python?";

/// Measures, and adds its rows.
pub(crate) fn measure(args: &Args, table: &mut Table) -> Result<(), Error> {
    let house = House::start(args.path("daemon")?, Backend::Fast)?;
    slow_reader(args, &house, table)?;
    idle(args, &house, table)
}

fn slow_reader(args: &Args, house: &House, table: &mut Table) -> Result<(), Error> {
    let mut command = house.command(args.path("shim")?);
    let text = Answer::small().text.trim_end().to_owned();
    let start = |_| Ok(Mcp::start(&mut command)?.0);
    let mut others = (0..OTHERS).map(start).collect::<Result<Vec<_>, Error>>()?;
    let mut block = || {
        let mut took = Vec::with_capacity(OTHERS * ASKS);
        for _ in 0..ASKS {
            for other in &mut others {
                let began = Instant::now();
                other.send(&mcp::query(2, PROMPT))?;
                let line = other.line()?;
                took.push(micros(began.elapsed()));
                mcp::has_answer(line, &text)?;
            }
        }
        Ok::<_, Error>(took)
    };
    block()?;
    let before = pss(house)?;
    let first = Last::start(house, Reading::Nothing)?;
    // What nobody takes more of: the one that reads asks for as many.
    let lists = first.lists;
    // Of the first, for which the daemon has to grow: later ones get what those before gave back.
    let held = megabytes(pss(house)?.saturating_sub(before) / 1024);
    drop(first);
    // All read; the same once more, for what two blocks differ by that are alike; one does not read.
    let mut blocks: [Vec<Vec<f64>>; 3] = Default::default();
    for round in 0..ROUNDS {
        // Each goes first equally often.
        for at in (0..blocks.len()).map(|n| (n + round) % 3) {
            let reading = if at == 2 { Reading::Nothing } else { Reading::All { lists } };
            let _last = Last::start(house, reading)?;
            blocks[at].push(block()?);
        }
    }
    let [reads, reads_too, slow] = &blocks;
    let ratio = |blocks, percent| median_ratio(&each(blocks, percent), &each(reads, percent));
    table.note("50 sessions, all read: p50 / p99 of 49", both(reads));
    table.note("50 sessions, one does not read: p50 / p99 of 49", both(slow));
    table.note("all read, x another block where all read: p99", with_unit(ratio(reads_too, 99), "x"));
    table.at_most(
        "one that does not read: the others' p99, x the same one reading",
        ratio(slow, 99),
        "x",
        1.2,
    );
    table.note(
        "one that does not read: the others' p50, x the same one reading",
        with_unit(ratio(slow, 50), "x"),
    );
    table.at_most("one that does not read: held for it", held, "MB", 4.0);
    Ok(())
}

fn idle(args: &Args, house: &House, table: &mut Table) -> Result<(), Error> {
    let mut command = house.command(args.path("shim")?);
    let start = |_| Ok(Mcp::start(&mut command)?.0);
    let sessions = (0..IDLE_SESSIONS).map(start).collect::<Result<Vec<_>, Error>>()?;
    pause(SETTLE);
    let shims: Vec<u32> = sessions.iter().map(Mcp::pid).collect();
    let daemon = status(house)?.pid;
    pause(SETTLE);
    let before = (Usage::of(&shims)?, Usage::of(&[daemon])?);
    pause(IDLE);
    let after = (Usage::of(&shims)?, Usage::of(&[daemon])?);
    let of = |what: &str| format!("{IDLE_SESSIONS} idle shims for {} s: {what}", IDLE.as_secs());
    table.at_most(
        &of("PSS together with the daemon"),
        megabytes(after.0.pss_kb + after.1.pss_kb),
        "MB",
        30.0,
    );
    table.note(&of("PSS of the daemon"), with_unit(megabytes(after.1.pss_kb), "MB"));
    table.exactly(&of("context switches of the shims"), after.0.switches - before.0.switches, 0);
    table.note(&of("context switches of the daemon"), (after.1.switches - before.1.switches).to_string());
    table.note(&of("CPU time of the daemon, us"), ((after.1.cpu_ns - before.1.cpu_ns) / 1000).to_string());
    Ok(())
}

/// What the fiftieth session does with its answers.
#[derive(Clone, Copy)]
enum Reading {
    /// It asks for lists until nobody takes more.
    Nothing,
    /// It asks for so many lists.
    All {
        /// The number.
        lists: usize,
    },
}

/// The fiftieth session, of the role `mcp`: it asks, and reads or not. It ends when dropped.
struct Last {
    stream: UnixStream,
    /// Lists that it has asked for.
    lists: usize,
    reader: Option<JoinHandle<()>>,
}

impl Last {
    /// Returns when everything is asked, and [`NOT_TAKEN`] later for one that reads: the other has waited that long to find
    /// that nobody takes more.
    fn start(house: &House, reading: Reading) -> Result<Self, Error> {
        let env = house.env();
        let endpoint = Endpoint::resolve(&env).map_err(|error| said("find the socket", &error))?;
        let nonce = Nonce::random().trying("make a nonce")?;
        let hello = launch::hello(&env, Role::Mcp, nonce).map_err(|error| said("say hello", &error))?;
        let session = connect::open(&endpoint, env.uid, (&hello).into(), &Caller::unwatched());
        let stream = session.map_err(|error| said("open a session", &error))?.stream;
        stream.set_write_timeout(Some(NOT_TAKEN)).trying("bound a write")?;
        let mut last = Self { stream, lists: 0, reader: None };
        let most = match reading {
            Reading::Nothing => usize::MAX,
            Reading::All { lists } => {
                let mut answers = last.stream.try_clone().trying("read in a thread")?;
                // It ends with the connection.
                last.reader = Some(std::thread::spawn(move || drop(io::copy(&mut answers, &mut io::sink()))));
                lists
            }
        };
        let asked =
            [mcp::HANDSHAKE.to_vec(), (3..3 + QUESTIONS).flat_map(|id| mcp::query(id, PROMPT)).collect()];
        last.stream.write_all(&asked.concat()).trying("ask")?;
        while last.lists < most && last.stream.write_all(LIST).is_ok() {
            last.lists += 1;
        }
        if last.reader.is_some() {
            pause(NOT_TAKEN);
        }
        Ok(last)
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        // It may be over already.
        let _over = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ended = reader.join();
        }
    }
}

fn said(what: &str, error: &dyn std::error::Error) -> Error {
    Error::said(what, connect::with_causes(error))
}

fn status(house: &House) -> Result<daemon::StatusResult, Error> {
    let status = house.api()?.call::<daemon::Status>(&Empty {});
    status.map_err(|error| Error::said("ask for the daemon's status", error.message))
}

fn pss(house: &House) -> Result<u64, Error> {
    status(house)?.pss_bytes.ok_or_else(|| Error::said("read the daemon's PSS", "the system does not tell"))
}

/// The medians of the blocks' medians and 99th percentiles.
fn both(blocks: &[Vec<f64>]) -> String {
    let of = |percent| median(&each(blocks, percent));
    format!("{} / {}", with_unit(of(50), ""), with_unit(of(99), "us"))
}

fn each(blocks: &[Vec<f64>], percent: usize) -> Vec<f64> {
    blocks.iter().map(|block| percentile(block, percent)).collect()
}
