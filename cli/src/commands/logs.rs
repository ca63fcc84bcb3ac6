//! `codex-oauth logs`: what the daemon wrote down, wherever that is.

mod file;
mod journal;

use codex_oauth_proto::WireError;
use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::daemon::{LogFlush, LogFlushResult};
use codex_oauth_proto::launch::LaunchError;

use super::{daemon, service};
use crate::args::LogsArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Before each debug line, behind the time and what else the log says of a line.
const DEBUG_MARK: &str = "codex_oauthd::debug: ";

/// Shows the journal where systemd starts the daemon, else the daemon's own file.
pub(crate) fn run(context: &mut Context, args: LogsArgs) -> Result<Exit, Failure> {
    flush(context)?;
    if service::is_systemd(&context.env) {
        return journal::show(context, args);
    }
    let state = context.env.state_dir().map_err(|error| LaunchError::from(error).to_wire())?;
    file::show(context, args, &state.join("daemon.log"))
}

/// The journal's last lines, at most `count`, where systemd starts the daemon; `None` elsewhere.
pub(super) fn end_of_journal(context: &Context, count: usize) -> Option<Result<String, WireError>> {
    service::is_systemd(&context.env).then(|| journal::end(context, count))
}

/// Has a running daemon write its last lines, such as those of an answer that was just given. Any other is none to wait for: its
/// log is shown as it is.
pub(super) fn flush(context: &mut Context) -> Result<(), Failure> {
    let Ok(Some(mut client)) = daemon::running(&context.env) else { return Ok(()) };
    if let Ok(LogFlushResult { written: false }) = client.call::<LogFlush>(&Empty {}) {
        context
            .output
            .note("the daemon's last lines are missing: what its log goes to takes nothing at the moment")?;
    }
    Ok(())
}

/// What of a line is shown; `None`: nothing.
fn shown(line: &str, args: LogsArgs) -> Option<String> {
    if !args.debug {
        return Some(line.to_owned());
    }
    let (before, text) = line.split_once(DEBUG_MARK)?;
    // Its time, and in the journal also host and program.
    let until = [" INFO ", " session{"].iter().filter_map(|mark| before.find(mark)).min().unwrap_or(0);
    Some(format!("{} {text}", before[..until].trim_end()).trim_start().to_owned())
}

/// The last `most` of the lines that are shown, in their order.
fn last<'a>(lines: impl DoubleEndedIterator<Item = &'a str>, most: usize, args: LogsArgs) -> Vec<String> {
    let mut found: Vec<String> = lines.rev().filter_map(|line| shown(line, args)).take(most).collect();
    found.reverse();
    found
}

/// Prints lines that were there; says so when there are none.
fn print(context: &mut Context, lines: &[String], args: LogsArgs) -> Result<(), Failure> {
    if lines.is_empty() && args.lines > 0 {
        context.output.note(if args.debug {
            "no debug lines are there yet: a session writes them that has CODEX_DEBUG=1 in its environment, as in \
             `CODEX_DEBUG=1 claude` or `CODEX_DEBUG=1 codex-oauth ask hello`"
        } else {
            "the log is empty: `codex-oauth daemon start` makes its first lines"
        })?;
    }
    for line in lines {
        context.output.line(line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_debug_line_its_time_and_its_text_are_shown() {
        let args = LogsArgs { follow: false, debug: true, lines: 2 };
        let log = "\
2026-11-22T20:06:15.1Z  INFO codex_oauthd::server: ready
2026-11-22T20:06:16.1Z  INFO session{n=1}:turn{id=\"a\"}: codex_oauthd::debug: [HTTP] one session=1
 INFO codex_oauthd::debug: [HTTP] two session=1
2026-11-22T20:06:17+00:00 host codex-oauthd[7]:  INFO session{n=1}: codex_oauthd::debug: [CODEX] three session=1";
        assert_eq!(
            last(log.lines(), args.lines, args),
            [
                "[HTTP] two session=1",
                "2026-11-22T20:06:17+00:00 host codex-oauthd[7]: [CODEX] three session=1"
            ]
        );
        assert_eq!(last(log.lines(), 9, args)[0], "2026-11-22T20:06:16.1Z [HTTP] one session=1");
        assert_eq!(last(log.lines(), 9, LogsArgs { debug: false, ..args }).len(), 4);
    }
}
