//! The first answer of a day: no daemon runs, and the shim starts it.

use codex_oauth_proto::api::{Empty, daemon};

use crate::args::Args;
use crate::error::Error;
use crate::home::{House, end};
use crate::mcp::Mcp;
use crate::stats::{median, millis, percentile};
use crate::table::{Table, with_unit};

/// Starts of a daemon.
const ROUNDS: usize = 20;

/// Measures in a house whose daemon has ended, and adds its rows. The daemons are signed in.
pub(crate) fn measure(args: &Args, house: &House, table: &mut Table) -> Result<(), Error> {
    let mut command = house.command(args.path("shim")?);
    let mut listed = Vec::new();
    // The first one pays for what the page cache does not hold.
    for round in 0..=ROUNDS {
        let (server, _, list) = Mcp::start(&mut command)?;
        let status = house.api()?.call::<daemon::Status>(&Empty {});
        let status = status.map_err(|error| Error::said("ask for the daemon's status", error.message))?;
        drop(server);
        end(status.pid)?;
        if round > 0 {
            listed.push(millis(list));
        }
    }
    table.at_most(
        &format!("first-ever tools/list p50, daemon started on demand, n={ROUNDS}"),
        median(&listed),
        "ms",
        10.0,
    );
    table.note("first-ever tools/list p95", with_unit(percentile(&listed, 95), "ms"));
    Ok(())
}
