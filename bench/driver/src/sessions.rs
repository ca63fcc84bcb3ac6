//! What sessions cost that do nothing: memory, threads, processor time, wake-ups.

use std::time::Duration;

use codex_oauth_proto::api::{Empty, daemon};

use crate::args::Args;
use crate::error::Error;
use crate::home::{House, pause};
use crate::mcp::Mcp;
use crate::proc::{Usage, megabytes};
use crate::table::{Table, with_unit};

/// How many sessions are open at once, one step after the other.
const STEPS: [usize; 3] = [1, 50, 100];

/// How long they are watched doing nothing.
const IDLE: Duration = Duration::from_secs(4);

/// After the last reply: the shim's way back to its `poll`.
const SETTLE: Duration = Duration::from_millis(300);

/// Measures, and adds its rows.
pub(crate) fn measure(args: &Args, house: &House, table: &mut Table) -> Result<(), Error> {
    let mut command = house.command(args.path("shim")?);
    let mut sessions: Vec<Mcp> = Vec::new();
    let mut first = None;
    let mut last = Usage::default();
    for step in STEPS {
        while sessions.len() < step {
            sessions.push(Mcp::start(&mut command)?.0);
        }
        pause(SETTLE);
        last = Usage::of(&pids(&sessions))?;
        first = first.or(Some(last));
        table.note(&format!("{step} idle sessions: shims' PSS"), with_unit(megabytes(last.pss_kb), "MB"));
    }
    let further = last.pss_kb.saturating_sub(first.unwrap_or_default().pss_kb);
    let count = u32::try_from(sessions.len().saturating_sub(1)).map_or(1.0, f64::from);
    table.at_most("shim PSS per further session", megabytes(further) / count, "MB", 0.15);

    let status = house.api()?.call::<daemon::Status>(&Empty {});
    let status = status.map_err(|error| Error::said("ask for the daemon's status", error.message))?;
    // Ours was the last one.
    let connected = usize::try_from(status.sessions).unwrap_or(usize::MAX).saturating_sub(1);
    if connected != sessions.len() {
        return Err(Error::said("keep the sessions open", format!("{connected} of {} are", sessions.len())));
    }
    let pss =
        status.pss_bytes.ok_or_else(|| Error::said("read the daemon's PSS", "the system does not tell"))?;
    table.at_most(&format!("daemon PSS with {connected} idle sessions"), megabytes(pss / 1024), "MB", 16.0);

    let before = Usage::of(&pids(&sessions))?;
    pause(IDLE);
    let after = Usage::of(&pids(&sessions))?;
    let idle = format!("{} shims idle for {} s", sessions.len(), IDLE.as_secs());
    table.exactly(&format!("{idle}: threads"), after.threads, sessions.len() as u64);
    table.exactly(&format!("{idle}: CPU ticks"), after.ticks - before.ticks, 0);
    table.exactly(&format!("{idle}: CPU ns"), after.cpu_ns - before.cpu_ns, 0);
    table.exactly(&format!("{idle}: context switches"), after.switches - before.switches, 0);
    Ok(())
}

fn pids(sessions: &[Mcp]) -> Vec<u32> {
    sessions.iter().map(Mcp::pid).collect()
}
