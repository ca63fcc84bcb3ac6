//! What one bad client costs the others, and what a house full of idle ones costs the machine.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
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
use crate::stats::{median, micros, percentile};
use crate::table::{Table, with_unit};

/// Sessions beside the one that does not read.
const OTHERS: usize = 49;

/// Blocks without and with it, in turns; each asks once in every other session.
const BLOCKS: usize = 20;

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
    let mut block = |took: &mut Vec<f64>| {
        for other in &mut others {
            let began = Instant::now();
            other.send(&mcp::query(2, PROMPT))?;
            let line = other.line()?;
            took.push(micros(began.elapsed()));
            mcp::has_answer(line, &text)?;
        }
        Ok::<_, Error>(())
    };
    block(&mut Vec::new())?;
    let (mut quiet, mut beside, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        let before = pss(house)?;
        block(&mut quiet)?;
        let slow = SlowReader::start(house)?;
        block(&mut beside)?;
        held.push(megabytes(pss(house)?.saturating_sub(before) / 1024));
        drop(slow);
    }
    let p99 = |values: &[f64]| percentile(values, 99);
    table.note("50 sessions, all read: p50 / p99", both(&quiet));
    table.note("50 sessions, one does not read: p50 / p99 of the others", both(&beside));
    table.at_most(
        "one that does not read: the others' p99, x without it",
        p99(&beside) / p99(&quiet),
        "x",
        1.2,
    );
    table.note(
        "one that does not read: the others' p50, x without it",
        with_unit(median(&beside) / median(&quiet), "x"),
    );
    table.at_most("one that does not read: held for it, worst of 20", percentile(&held, 100), "MB", 4.0);
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

/// A session of the role `mcp` that asks and never reads. It ends when dropped.
struct SlowReader(#[expect(dead_code, reason = "the connection lives as long as this")] UnixStream);

impl SlowReader {
    fn start(house: &House) -> Result<Self, Error> {
        let env = house.env();
        let endpoint = Endpoint::resolve(&env).map_err(|error| said("find the socket", &error))?;
        let nonce = Nonce::random().trying("make a nonce")?;
        let hello = launch::hello(&env, Role::Mcp, nonce).map_err(|error| said("say hello", &error))?;
        let session = connect::open(&endpoint, env.uid, (&hello).into(), &Caller::unwatched());
        let mut stream = session.map_err(|error| said("open a session", &error))?.stream;
        stream.set_write_timeout(Some(NOT_TAKEN)).trying("bound a write")?;
        let asked =
            [mcp::HANDSHAKE.to_vec(), (3..3 + QUESTIONS).flat_map(|id| mcp::query(id, PROMPT)).collect()];
        stream.write_all(&asked.concat()).trying("ask")?;
        while stream.write_all(LIST).is_ok() {}
        Ok(Self(stream))
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

fn both(values: &[f64]) -> String {
    format!("{} / {}", with_unit(median(values), ""), with_unit(percentile(values, 99), "us"))
}
