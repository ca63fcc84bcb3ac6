//! Many sessions ask at once on an access token that has ended: who waits, and for how much longer than the issuer takes.

use std::time::{Duration, Instant};

use fake_openai::Endpoint;

use crate::args::Args;
use crate::error::Error;
use crate::home::{Backend, House};
use crate::mcp::{self, Mcp};
use crate::sse::Answer;
use crate::stats::{median, millis};
use crate::table::{Table, with_unit};

/// How many sessions ask at once.
const SIZES: [usize; 3] = [10, 50, 200];

/// Storms of each size.
const ROUNDS: usize = 7;

/// What the issuer takes to grant a refresh.
const ISSUER: Duration = Duration::from_millis(100);

/// More than a person has; the daemon's own bounds are 128 sessions and 64 turns.
const LIMITS: &str = "sessions = 256\nturns = 256\n";

const PROMPT: &str = "What is Python?";

/// Measures, and adds its rows.
pub(crate) fn measure(args: &Args, table: &mut Table) -> Result<(), Error> {
    let house = House::start_limited(args.path("daemon")?, Backend::Fast, LIMITS)?;
    house
        .fake
        .configure(|fake| fake.refresh_success_latency_ms = u64::try_from(ISSUER.as_millis()).unwrap_or(0));
    let mut command = house.command(args.path("shim")?);
    let mut sessions: Vec<Mcp> = Vec::new();
    for size in SIZES {
        while sessions.len() < size {
            sessions.push(Mcp::start(&mut command)?.0);
        }
        storms(&house, &mut sessions, table)?;
    }
    Ok(())
}

fn storms(house: &House, sessions: &mut [Mcp], table: &mut Table) -> Result<(), Error> {
    let text = Answer::small().text;
    // Opens the connections upstream.
    ask(sessions, text.trim_end())?;
    let (mut calm, mut beyond) = (Vec::new(), Vec::new());
    let (mut failed, mut refreshes) = (0, 0);
    for _ in 0..ROUNDS {
        let (took, failures) = ask(sessions, text.trim_end())?;
        calm.push(millis(took));
        failed += failures;
        house.end_token()?;
        house.fake.clear_journal();
        let (took, failures) = ask(sessions, text.trim_end())?;
        beyond.push(millis(took) - millis(ISSUER));
        failed += failures;
        refreshes += house.fake.requests(Endpoint::Refresh).len() as u64;
    }
    let figure = format!("{} sessions ask at once", sessions.len());
    table.note(&format!("{figure}, token good: wall p50"), with_unit(median(&calm), "ms"));
    table.exactly(
        &format!("{figure}, token ended: refresh requests in {ROUNDS} storms"),
        refreshes,
        ROUNDS as u64,
    );
    table.exactly(&format!("{figure}, token ended: failed calls"), failed, 0);
    let wall = format!("{figure}, token ended: wall p50 beyond the issuer's {} ms", ISSUER.as_millis());
    if sessions.len() == 50 {
        table.at_most(&wall, median(&beyond), "ms", 20.0);
    } else {
        table.note(&wall, with_unit(median(&beyond), "ms"));
    }
    Ok(())
}

/// One question from each; how long until the last answer was there, and how many were errors.
fn ask(sessions: &mut [Mcp], text: &str) -> Result<(Duration, u64), Error> {
    let question = mcp::query(7, PROMPT);
    let began = Instant::now();
    for session in sessions.iter_mut() {
        session.send(&question)?;
    }
    let mut failed = 0;
    for session in sessions {
        failed += u64::from(mcp::has_answer(session.line()?, text).is_err());
    }
    Ok((began.elapsed(), failed))
}
