//! Measures codex-oauth beside its references: the scripts beside the driver build everything and start this.
//!
//! Promises: what is compared is measured interleaved in one run; every wait is bounded and a run takes less than three
//! minutes; nothing leaves loopback and nothing of the caller's home is touched; every process that was started is ended by
//! its id. A missed target is a row of the table and not a failure: exit 1 says that something did not run.

mod args;
mod calls;
mod cold;
mod error;
mod first;
mod home;
mod http;
mod limits;
mod mcp;
mod nginx;
mod pooled;
mod proc;
mod sessions;
mod sse;
mod stats;
mod storm;
mod table;
mod upstream;

use std::process::ExitCode;

use args::Args;
use calls::On;
use error::Error;
use home::{Backend, House};
use table::Table;

#[expect(clippy::print_stderr, reason = "why it did not run")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {}", codex_oauth_proto::connect::with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// What was measured before something failed is printed too.
fn run() -> Result<(), Error> {
    let args = Args::parse(std::env::args().skip(1))?;
    let mut table = Table::default();
    let measured = measure(&args, &mut table);
    table.print();
    measured
}

fn measure(args: &Args, table: &mut Table) -> Result<(), Error> {
    match args.what() {
        "cold-start" => {
            let mut house = House::start(args.path("daemon")?, Backend::Fake)?;
            cold::measure(args, &house, table)?;
            sessions::measure(args, &house, table)?;
            house.stop_daemon()?;
            first::measure(args, &house, table)
        }
        "tool-call" => {
            calls::measure(args, On::Any, table)?;
            pooled::measure(args, table)?;
            calls::measure(args, On::One, table)
        }
        "limits" => limits::measure(args, table),
        "storm" => storm::measure(args, table),
        other => Err(Error::said("choose a benchmark", format!("`{other}` is none"))),
    }
}
