//! Questions over plain HTTP: what the way through shim and daemon costs, beside nginx and no way at all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::args::Args;
use crate::error::{Error, Trying as _};
use crate::home::{Backend, House};
use crate::http::{Connection, at_once};
use crate::mcp::{self, Mcp};
use crate::nginx::Nginx;
use crate::proc;
use crate::sse::Answer;
use crate::stats::{median, median_ratio, micros, millis, per_second, percentile};
use crate::table::{Table, with_unit};
use crate::upstream::{BIG, Upstream};

/// Questions one after the other for each path, in blocks that take turns.
const CALLS: usize = 10_000;
const BLOCK: usize = 25;

/// Questions under way at once.
const IN_FLIGHT: u32 = 16;

/// Questions of one round of these, and rounds.
const BURST: u32 = 4000;
const BURSTS: usize = 61;

/// Big answers for each path.
const BIG_ANSWERS: usize = 61;

/// No more rounds of a part are begun after this; there are five parts.
const BUDGET: Duration = Duration::from_secs(25);

/// What the way through two processes and two protocols may cost beside nginx, which is one of each. The targets of the whole
/// system, 3 and 1, are rows of their own.
const ACCEPTED_OVERHEAD: f64 = 4.0;
const ACCEPTED_RATE: f64 = 0.6;

const PROMPT: &str = "What is Python?";

/// Where everything runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Wherever the system puts it.
    Any,
    /// On one processor from here on, with all that is started later. What a way costs is then not mixed with how long an idle
    /// processor takes to wake up, which is most of a small answer's time in many virtual machines.
    One,
}

impl On {
    /// What its rows end in.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::One => ", 1 cpu",
        }
    }

    fn settle(self) -> Result<(), Error> {
        if self == Self::One {
            let allowed = sched_getaffinity(None).trying("look for a processor")?;
            let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
            let mut one = CpuSet::new();
            one.set(first.ok_or_else(|| Error::said("look for a processor", "none is allowed"))?);
            sched_setaffinity(None, &one).trying("stay on one processor")?;
        }
        Ok(())
    }
}

/// A program on one of the ways: which way, its name, its process id.
type Program = (usize, &'static str, u32);

/// The three ways to the same upstream.
struct Ways {
    mcp: Mcp,
    direct: Connection,
    nginx: Connection,
    small: Vec<u8>,
    big: Vec<u8>,
    text: String,
    next_id: u32,
    on: On,
}

/// Measures, and adds its rows. On one processor there is no big answer.
pub(crate) fn measure(args: &Args, on: On, table: &mut Table) -> Result<(), Error> {
    on.settle()?;
    let house = House::start(args.path("daemon")?, Backend::Fast)?;
    let missing = || Error::said("find the upstream", "it was not started");
    let upstream = house.upstream.as_ref().ok_or_else(missing)?;
    let nginx = Nginx::start(args.path("nginx")?, upstream.address)?;
    let (mcp, _, _) = Mcp::start(&mut house.command(args.path("shim")?))?;
    let daemon = house.daemon_pid().ok_or_else(|| Error::said("find the daemon", "it does not run"))?;
    let programs = [(1, "nginx", nginx.pid()), (2, "daemon", daemon), (2, "shim", mcp.pid())];
    let mut ways = Ways::open(mcp, upstream, nginx.address, on)?;
    ways.one_by_one(table)?;
    ways.many_at_once(upstream.address, nginx.address, &programs, table)?;
    match on {
        On::Any => ways.big_answers(table),
        On::One => Ok(()),
    }
}

impl Ways {
    /// Asks once over each, which warms them up and shows the requests that the daemon sends.
    fn open(mut mcp: Mcp, upstream: &Upstream, nginx: SocketAddr, on: On) -> Result<Self, Error> {
        let (small, big) = (Answer::small(), Answer::big());
        mcp.send(&mcp::query(2, PROMPT))?;
        mcp::has_answer(mcp.line()?, small.text.trim_end())?;
        mcp.send(&mcp::query(3, BIG))?;
        mcp::has_answer(mcp.line()?, big.text.trim_end())?;
        let mut ways = Self {
            mcp,
            direct: Connection::open(upstream.address)?,
            nginx: Connection::open(nginx)?,
            small: upstream.request()?,
            big: upstream.request()?,
            text: small.text.trim_end().to_owned(),
            next_id: 4,
            on,
        };
        for _ in 0..2 * BLOCK {
            ways.direct.exchange(&ways.small)?;
            ways.nginx.exchange(&ways.small)?;
            ways.ask()?;
        }
        Ok(ways)
    }

    /// One question over MCP; gives how long its answer took.
    fn ask(&mut self) -> Result<Duration, Error> {
        self.next_id += 1;
        let line = mcp::query(self.next_id, PROMPT);
        let began = Instant::now();
        self.mcp.send(&line)?;
        let answer = self.mcp.line()?;
        let took = began.elapsed();
        mcp::has_answer(answer, &self.text)?;
        Ok(took)
    }

    fn one_by_one(&mut self, table: &mut Table) -> Result<(), Error> {
        let began = Instant::now();
        let mut all: [Vec<f64>; 3] = Default::default();
        let mut blocks: [Vec<f64>; 3] = Default::default();
        for round in 0..CALLS / BLOCK {
            if began.elapsed() > BUDGET {
                break;
            }
            for way in (0..3).map(|n| (n + round) % 3) {
                let mut block = Vec::with_capacity(BLOCK);
                for _ in 0..BLOCK {
                    block.push(micros(match way {
                        0 => timed(&mut self.direct, &self.small)?,
                        1 => timed(&mut self.nginx, &self.small)?,
                        _ => self.ask()?,
                    }));
                }
                blocks[way].push(median(&block));
                all[way].extend(block);
            }
        }
        let over = |way: usize| {
            let pairs = blocks[way].iter().zip(&blocks[0]);
            median(&pairs.map(|(block, direct)| block - direct).collect::<Vec<_>>())
        };
        let (nginx, ours) = (over(1), over(2));
        let on = self.on.suffix();
        for (name, values) in ["direct", "nginx", "shim + daemon"].into_iter().zip(&all) {
            let text =
                format!("{} / {}", with_unit(median(values), ""), with_unit(percentile(values, 99), "us"));
            table.note(&format!("{name}: p50 / p99 of one small answer, n={}{on}", values.len()), text);
        }
        table.note(&format!("nginx: overhead p50 over direct{on}"), with_unit(nginx, "us"));
        table.note(&format!("shim + daemon: overhead p50 over direct{on}"), with_unit(ours, "us"));
        table.at_most(&format!("overhead p50, x nginx's{on}"), ours / nginx, "x", 3.0);
        let price = format!("overhead p50, x nginx's: accepted price{on}");
        table.at_most(&price, ours / nginx, "x", ACCEPTED_OVERHEAD);
        Ok(())
    }

    fn many_at_once(
        &mut self,
        upstream: SocketAddr,
        nginx: SocketAddr,
        programs: &[Program; 3],
        table: &mut Table,
    ) -> Result<(), Error> {
        let open = |address| (0..IN_FLIGHT).map(|_| Connection::open(address)).collect::<Result<Vec<_>, _>>();
        let (mut direct, mut nginx) = (open(upstream)?, open(nginx)?);
        let began = Instant::now();
        let mut rates: [Vec<f64>; 3] = Default::default();
        let mut costs: [Vec<f64>; 3] = Default::default();
        for round in 0..=BURSTS {
            if began.elapsed() > BUDGET {
                break;
            }
            for way in (0..3).map(|n| (n + round) % 3) {
                let before = cpu_micros(programs)?;
                let took = match way {
                    0 => at_once(&mut direct, &self.small, BURST)?,
                    1 => at_once(&mut nginx, &self.small, BURST)?,
                    _ => self.ask_at_once()?,
                };
                // The first round opens connections.
                if round > 0 {
                    rates[way].push(per_second(BURST, took));
                    let after = cpu_micros(programs)?;
                    for (at, _) in programs.iter().enumerate().filter(|(_, program)| program.0 == way) {
                        costs[at].push((after[at] - before[at]) / f64::from(BURST));
                    }
                }
            }
        }
        let on = self.on.suffix();
        for (name, values) in ["direct", "nginx", "shim + daemon"].into_iter().zip(&rates) {
            table.note(&format!("{name}: calls/s, {IN_FLIGHT} in flight{on}"), with_unit(median(values), ""));
        }
        for ((_, name, _), values) in programs.iter().zip(&costs) {
            let figure = format!("{name}: processor time per call, {IN_FLIGHT} in flight{on}");
            table.note(&figure, with_unit(median(values), "us"));
        }
        let rate = median_ratio(&rates[2], &rates[1]);
        table.at_least(&format!("calls/s, x nginx's{on}"), rate, "x", 1.0);
        table.at_least(&format!("calls/s, x nginx's: accepted price{on}"), rate, "x", ACCEPTED_RATE);
        Ok(())
    }

    /// One burst over the one MCP session.
    fn ask_at_once(&mut self) -> Result<Duration, Error> {
        let first = self.next_id + 1;
        self.next_id += BURST;
        let began = Instant::now();
        let mut asked = 0;
        let mut lines = Vec::new();
        for answered in 0..=BURST {
            // What has come in one read is answered by one write, as a client with an event loop does.
            if answered == BURST || !self.mcp.has_line() {
                while asked < BURST.min(answered + IN_FLIGHT) {
                    lines.extend(mcp::query(first + asked, PROMPT));
                    asked += 1;
                }
                self.mcp.send(&std::mem::take(&mut lines))?;
            }
            if answered < BURST {
                mcp::has_answer(self.mcp.line()?, &self.text)?;
            }
        }
        Ok(began.elapsed())
    }

    fn big_answers(&mut self, table: &mut Table) -> Result<(), Error> {
        let text = Answer::big().text.trim_end().to_owned();
        let began = Instant::now();
        let mut walls: [Vec<f64>; 3] = Default::default();
        for round in 0..BIG_ANSWERS {
            if began.elapsed() > BUDGET {
                break;
            }
            for way in (0..3).map(|n| (n + round) % 3) {
                walls[way].push(millis(match way {
                    0 => timed(&mut self.direct, &self.big)?,
                    1 => timed(&mut self.nginx, &self.big)?,
                    _ => self.ask_big(&text)?,
                }));
            }
        }
        for (name, values) in ["direct", "nginx", "shim + daemon"].into_iter().zip(&walls) {
            table.note(
                &format!("{name}: 20,000 deltas, 6 MB, p50, n={}", values.len()),
                with_unit(median(values), "ms"),
            );
        }
        table.note("nginx: big answer, x direct", with_unit(median_ratio(&walls[1], &walls[0]), "x"));
        table.note("shim + daemon: big answer, x nginx", with_unit(median_ratio(&walls[2], &walls[1]), "x"));
        table.at_most("shim + daemon: big answer, x direct", median_ratio(&walls[2], &walls[0]), "x", 3.0);
        Ok(())
    }

    fn ask_big(&mut self, text: &str) -> Result<Duration, Error> {
        self.next_id += 1;
        let line = mcp::query(self.next_id, BIG);
        let began = Instant::now();
        self.mcp.send(&line)?;
        let answer = self.mcp.line()?;
        let took = began.elapsed();
        mcp::has_answer(answer, text)?;
        Ok(took)
    }
}

/// The processor time of each program so far.
fn cpu_micros(programs: &[Program; 3]) -> Result<[f64; 3], Error> {
    let [a, b, c] = programs.map(|(_, _, pid)| proc::cpu_micros(pid));
    Ok([a?, b?, c?])
}

fn timed(connection: &mut Connection, request: &[u8]) -> Result<Duration, Error> {
    let began = Instant::now();
    connection.exchange(request)?;
    Ok(began.elapsed())
}
