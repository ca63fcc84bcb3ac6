//! The daemon: that it runs or can be started, of which build, with which settings, and whether it can keep its records.

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::config::{Read, ReadResult};
use codex_oauth_proto::api::daemon::{Status as StatusMethod, StatusResult};
use codex_oauth_proto::api::trace;
use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::people::status::{daemon_text, renewal};
use codex_oauth_proto::{BUILD, Client, Surface, version};

use super::report::Finding;
use crate::commands::{config, daemon};
use crate::exit::Exit;

/// What puts an older daemon or older settings out of force.
const RENEW: &str = "run `codex-oauth daemon stop`: the next use starts it anew";

/// A session with the daemon, started if need be, in `client`.
pub(super) fn look(env: &Env, client: &mut Option<Client>) -> Finding {
    let ran = matches!(daemon::running(env), Ok(Some(_)));
    let opened = Client::open_or_start(env).and_then(|mut opened| {
        let status = opened.call::<StatusMethod>(&Empty {})?;
        Ok((opened, status))
    });
    match opened {
        Ok((opened, status)) => {
            *client = Some(opened);
            let ending = Endpoint::resolve(env).ok().and_then(|endpoint| daemon::ending(&endpoint));
            judge(&status, ran, ending.as_deref())
        }
        Err(error) => Finding::error(&error),
    }
}

/// `ending`: the daemon before this one, while it still finishes answers.
fn judge(status: &StatusResult, ran: bool, ending: Option<&str>) -> Finding {
    let mut findings = Vec::new();
    if version::is_newer(BUILD, &status.build) {
        let detail = format!("the daemon is of build {}, this command of {BUILD}", status.build);
        let step = if status.managed {
            format!("run `{}`, so that the service starts this one", renewal(status))
        } else {
            RENEW.to_owned()
        };
        findings.push(Finding::warn(detail, step));
    } else if status.build != BUILD {
        let detail = format!("the daemon is of build {}, this command is older: {BUILD}", status.build);
        findings
            .push(Finding::warn(detail, "bring this installation up to date, or remove it: see `installs`"));
    }
    if status.log_lines_lost > 0 {
        let detail = format!("{} lines of its log could not be written", status.log_lines_lost);
        findings.push(Finding::warn(detail, format!("look at `disk` above, then {RENEW}")));
    }
    let started = if ran { "" } else { " · started for this" };
    let before = ending.map_or_else(String::new, |who| format!(" · the one before finishes answers{who}"));
    Finding::worst(findings, format!("{}{started}{before}", daemon_text(status, Surface::Shell)))
}

/// Settings that are written down and not in force; what is in force goes to `settings`.
pub(super) fn settings(env: &Env, client: &mut Client, settings: &mut Option<ReadResult>) -> Finding {
    let read = match client.call::<Read>(&Empty {}) {
        Ok(read) => read,
        Err(error) => return Finding::error(&error),
    };
    let notes = config::notes(&read, env).into_iter().map(|note| Finding::warn(note, RENEW)).collect();
    let file = if read.config_file_read {
        read.config_file.as_str()
    } else {
        "defaults and variables; no config.toml"
    };
    let finding = Finding::worst(notes, file);
    *settings = Some(read);
    finding
}

/// What the daemon warns this session of.
pub(super) fn session(client: &Client) -> Finding {
    let warnings = client.welcome().warnings.iter();
    let findings = warnings.map(|warning| {
        let remedy =
            "run `codex-oauth config import`, then `codex-oauth daemon stop`; or unset the variable here";
        Finding::warn(warning.clone(), remedy)
    });
    Finding::worst(findings.collect(), "nothing in this shell differs from what the daemon uses")
}

/// Whether answers are kept over a crash.
pub(super) fn records(client: &mut Client) -> Finding {
    // A database that could not be opened is tried again when it is used; what comes of that the status tells.
    let _told_below = client.call::<trace::List>(&trace::ListParams { limit: Some(1), turn_id: None });
    match client.call::<StatusMethod>(&Empty {}) {
        Err(error) => Finding::error(&error),
        Ok(StatusResult { ledger_fault: None, .. }) => Finding::ok("answers are kept over a crash"),
        Ok(StatusResult { ledger_fault: Some(fault), .. }) => Finding::fail(
            format!("answers are not kept: {fault}"),
            "look at `disk` and `folders` above; once they are ok the next use opens it again",
            Exit::Failure,
        ),
    }
}
