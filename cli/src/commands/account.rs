//! `codex-oauth account`: what lies behind the login.

mod adopt;
mod named;

use codex_oauth_proto::api::account::{AdoptMode, History, HistoryEntry, OfAccount};
use codex_oauth_proto::people::words;
use jiff::tz::TimeZone;

use crate::args::{AccountCommand, LoginArgs};
use crate::commands::login;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::words::table;

/// Runs one of its commands.
pub(crate) fn run(context: &mut Context, command: AccountCommand) -> Result<Exit, Failure> {
    match command {
        AccountCommand::List { json } => named::list(context, json),
        AccountCommand::Add { name } => {
            login::run(context, LoginArgs { account: Some(name), ..LoginArgs::default() })
        }
        AccountCommand::Use { name } => named::use_account(context, &name),
        AccountCommand::Remove { name } => named::remove(context, &name),
        AccountCommand::Import(args) => adopt::import(context, args),
        AccountCommand::Borrow(args) => adopt::attach(context, args, AdoptMode::Borrow),
        AccountCommand::Share(args) => adopt::attach(context, args, AdoptMode::Share),
        AccountCommand::History { json, account } => history(context, json, account),
    }
}

/// Shows the history, oldest first.
fn history(context: &mut Context, json: bool, account: Option<String>) -> Result<Exit, Failure> {
    let (_, history) = context.call::<History>(&OfAccount { account })?;
    if json {
        context.output.json(&history)?;
    } else if history.entries.is_empty() {
        context.output.note("nothing has happened to the login yet")?;
    } else {
        context.output.out(&render(&history.entries, words::unix_now(), &TimeZone::system()))?;
    }
    Ok(Exit::Success)
}

/// A line for each entry: when, what, which token, by whom, why.
fn render(entries: &[HistoryEntry], now: u64, zone: &TimeZone) -> String {
    let row = |entry: &HistoryEntry| {
        let when = words::clock(entry.at, now, zone).unwrap_or_else(|| entry.at.to_string());
        let tokens = match (&entry.token, &entry.successor) {
            (Some(token), Some(successor)) => format!("{token} > {successor}"),
            (token, successor) => token.clone().or_else(|| successor.clone()).unwrap_or_default(),
        };
        let by = format!("pid {}, {}", entry.pid, entry.build);
        [when, event(&entry.event), tokens, by, entry.detail.clone().unwrap_or_default()]
    };
    table(&entries.iter().map(row).collect::<Vec<_>>())
}

/// `moved_aside` becomes `file moved aside`; a word of a newer daemon is shown as it came.
fn event(word: &str) -> String {
    match word {
        "found" => "written by another program",
        "recovered" => "renewed (finished after a crash)",
        "discarded" => "renewed, given up for a newer login",
        "restored" => "file was older, written again",
        "moved_aside" => "unreadable file moved aside",
        "unanswered" => "sent, no answer",
        "signed_in" => "signed in",
        "signed_out" => "signed out",
        other => return other.to_owned(),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_a_line_with_time_event_tokens_and_reason() {
        // 2026-11-22 12:00:00 UTC, a Sunday.
        let now = 1_795_348_800;
        let renewed = HistoryEntry {
            at: now - 7_200,
            event: "renewed".to_owned(),
            token: Some("0123456789ab".to_owned()),
            successor: Some("ba9876543210".to_owned()),
            account_id: None,
            detail: None,
            pid: 42,
            build: "0.1.0".to_owned(),
        };
        let found =
            HistoryEntry { at: now - 60, event: "found".to_owned(), successor: None, ..renewed.clone() };
        let refused = HistoryEntry {
            at: now,
            event: "refused".to_owned(),
            detail: Some("401 refresh_token_reused: used".to_owned()),
            ..found.clone()
        };
        assert_eq!(
            render(&[renewed, found, refused], now, &TimeZone::UTC),
            "10:00  renewed                     0123456789ab > ba9876543210  pid 42, 0.1.0\n\
             11:59  written by another program  0123456789ab                 pid 42, 0.1.0\n\
             12:00  refused                     0123456789ab                 pid 42, 0.1.0  401 refresh_token_reused: used\n"
        );
    }
}
