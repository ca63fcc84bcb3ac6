//! Cold start: from the spawn of a server to its replies to `initialize` and `tools/list`, the daemon running.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::error::{Error, Trying as _};
use crate::home::House;
use crate::mcp::Mcp;
use crate::stats::{median, median_ratio, micros, percentile};
use crate::table::{Table, with_unit};

/// Rounds; each starts every fast server once.
const ROUNDS: usize = 200;

/// Rounds between two starts of a slow server.
const SLOW_EVERY: usize = 20;

/// Starts before anything counts: page cache and the daemon's first session.
const WARM_UP: usize = 5;

/// No more rounds are begun after this. The slow servers decide how long it takes.
const BUDGET: Duration = Duration::from_secs(90);

struct Contender {
    name: &'static str,
    command: Command,
    slow: bool,
    initialized: Vec<f64>,
    listed: Vec<f64>,
    /// The floor's `tools/list` in the same rounds.
    floor: Vec<f64>,
}

impl Contender {
    fn new(name: &'static str, command: Command) -> Self {
        Self { name, command, slow: false, initialized: Vec::new(), listed: Vec::new(), floor: Vec::new() }
    }
}

/// Measures, and adds its rows.
pub(crate) fn measure(args: &Args, house: &House, table: &mut Table) -> Result<(), Error> {
    let mut contenders = vec![
        Contender::new("C limit", house.command(args.path("limit")?)),
        Contender::new("shim", house.command(args.path("shim")?)),
    ];
    let launcher = args.if_there("launcher");
    if let Some(launcher) = launcher {
        contenders.push(Contender::new("plugin command", as_plugin(house, launcher, args.path("shim")?)?));
    }
    let mut fastmcp = house.command(args.path("python")?);
    fastmcp.arg(args.path("fastmcp")?).stderr(Stdio::null());
    contenders.push(Contender { slow: true, ..Contender::new("FastMCP", fastmcp) });

    run(&mut contenders)?;
    for contender in &contenders {
        report(contender, table);
    }
    if launcher.is_none() {
        table.note("plugin command", "skipped: no launcher is there");
    }
    Ok(())
}

/// The plugin's own command line, its program where the plugin keeps it.
fn as_plugin(house: &House, launcher: &Path, shim: &Path) -> Result<Command, Error> {
    let data = house.path().join("plugin-data");
    std::fs::create_dir_all(data.join("bin")).trying("make a folder")?;
    std::os::unix::fs::symlink(shim, data.join("bin/codex-oauth-mcp")).trying("link the shim")?;
    let mut command = house.command(launcher);
    command.env("CLAUDE_PLUGIN_DATA", data).env("CODEX_DEBUG", "0");
    Ok(command)
}

fn run(contenders: &mut [Contender]) -> Result<(), Error> {
    let began = Instant::now();
    for contender in contenders.iter_mut().filter(|contender| !contender.slow) {
        for _ in 0..WARM_UP {
            Mcp::start(&mut contender.command)?;
        }
    }
    for round in 0..ROUNDS {
        if began.elapsed() > BUDGET {
            break;
        }
        let slow_too = round % SLOW_EVERY == 0;
        let mut floor = 0.0;
        let count = contenders.len();
        // Each goes first equally often. The floor's figure of this round is filled in at its end.
        for at in (0..count).map(|n| (n + round) % count) {
            let contender = &mut contenders[at];
            if contender.slow && !slow_too {
                continue;
            }
            let (server, initialized, listed) = Mcp::start(&mut contender.command)?;
            drop(server);
            contender.initialized.push(micros(initialized));
            contender.listed.push(micros(listed));
            if at == 0 {
                floor = micros(listed);
            }
        }
        for contender in contenders.iter_mut().filter(|contender| !contender.slow || slow_too) {
            contender.floor.push(floor);
        }
    }
    Ok(())
}

fn report(contender: &Contender, table: &mut Table) {
    let Contender { name, initialized, listed, floor, .. } = contender;
    let both = |values: &[f64]| {
        let (p50, p95) = (median(values) / 1e3, percentile(values, 95) / 1e3);
        format!("{} / {}", with_unit(p50, ""), with_unit(p95, "ms"))
    };
    table.note(&format!("{name}: initialize p50 / p95, n={}", initialized.len()), both(initialized));
    table.note(&format!("{name}: tools/list p50 / p95"), both(listed));
    let figure = format!("{name}: tools/list, median of x C limit");
    let ratio = median_ratio(listed, floor);
    match *name {
        "shim" => table.at_most(&format!("{figure} (stretch 2.0)"), ratio, "x", 2.5),
        "plugin command" => table.at_most(&figure, ratio, "x", 8.0),
        "C limit" => {}
        _ => table.note(&figure, with_unit(ratio, "x")),
    }
}
