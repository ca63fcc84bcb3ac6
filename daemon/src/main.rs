//! `codex-oauthd`: starts the daemon in the foreground, the only mode it knows.

use std::io::Write as _;
use std::process::ExitCode;

use codex_oauth_proto::report::REPORT_FLAG;
use codex_oauth_proto::{BUILD, Surface};
use codex_oauthd::startup::{Reporting, StartError, run};

/// `sysexits.h`: wrong usage.
const EX_USAGE: u8 = 64;
/// `sysexits.h`, `EX_TEMPFAIL`: another daemon is running already.
const EX_ALREADY_RUNNING: u8 = 75;

const USAGE: &str = "\
codex-oauthd: the background service of codex-oauth. It is started on demand; `codex-oauth daemon` controls it.

usage: codex-oauthd run            serve in the foreground until SIGTERM or SIGINT
       codex-oauthd run --report   the same, and tell the starter on standard output when ready
       codex-oauthd --version
       codex-oauthd --help
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let reporting = match arguments.as_slice() {
        ["run"] => Reporting::Log,
        ["run", flag] if *flag == REPORT_FLAG => Reporting::Pipe,
        ["--version" | "-V"] => return say(&format!("codex-oauthd {BUILD}\n")),
        ["--help" | "-h"] => return say(USAGE),
        _ => {
            complain(USAGE);
            return ExitCode::from(EX_USAGE);
        }
    };
    match run(reporting) {
        Ok(()) => ExitCode::SUCCESS,
        // A starter has its report; while an old daemon drains it tries many times, and the log would fill with this.
        Err(StartError::AlreadyRunning(_)) if reporting == Reporting::Pipe => {
            ExitCode::from(EX_ALREADY_RUNNING)
        }
        Err(StartError::AlreadyRunning(holder)) => {
            complain(&format!(
                "codex-oauthd: a daemon is running already: {holder}\n\
                 next: use it, or run `codex-oauth daemon stop` first\n"
            ));
            ExitCode::from(EX_ALREADY_RUNNING)
        }
        Err(StartError::Failed(error)) => {
            complain(&format!("codex-oauthd: {}\n", error.render(Surface::Shell)));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str) {
    // Without standard error there is nobody to tell.
    let _unheard = std::io::stderr().write_all(text.as_bytes());
}
