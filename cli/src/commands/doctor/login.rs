//! The login: whether OpenAI accepts it, tried without spending anything, and what became of its tokens.

use codex_oauth_proto::api::account::{
    History, HistoryEntry, LoginStatus, NamedAccount, OfAccount, Read, ReadParams, ReadResult,
};
use codex_oauth_proto::people::status::{next_step, person};
use codex_oauth_proto::people::words::{count, span, unix_now, until};
use codex_oauth_proto::{Client, Surface};

use super::report::Finding;
use crate::exit::Exit;

/// How long ago an event still explains a trouble of today.
const RECENT_SECONDS: u64 = 7 * 86_400;

/// Who is signed in, and whether the backend takes the token (`accounts/check`, WIRE §6, uses nothing of the plan).
/// Not tried where it is known already that the backend is out of reach.
pub(super) fn look(client: &mut Client, reachable: bool, account: &mut Option<ReadResult>) -> Finding {
    let read = match client.call::<Read>(&ReadParams { probe: reachable, account: None }) {
        Ok(read) => read,
        Err(error) => return Finding::error(&error),
    };
    let finding = judge(&read, unix_now());
    *account = Some(read);
    finding
}

fn judge(read: &ReadResult, now: u64) -> Finding {
    let step = || next_step(read).map_or_else(String::new, |step| step.render(Surface::Shell));
    let who = person(read.account.as_ref());
    let why = read.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
    let login = match read.status {
        LoginStatus::NotAuthenticated => {
            let what = if read.accounts.is_empty() {
                "nobody is signed in to Codex".to_owned()
            } else {
                format!("nobody is signed in to the account {}", read.account_name)
            };
            Finding::fail(what, step(), Exit::SignedOut)
        }
        LoginStatus::Expired => {
            Finding::fail(format!("the login of {who} has ended{why}"), step(), Exit::SignedOut)
        }
        LoginStatus::Unreadable => {
            let path = &read.credential_file;
            Finding::fail(format!("the login in `{path}` cannot be used{why}"), step(), Exit::Failure)
        }
        LoginStatus::Unknown => {
            Finding::fail("the daemon names a state that this command does not know", step(), Exit::Failure)
        }
        LoginStatus::Authenticated | LoginStatus::NeedsRefresh => {
            match read.probe.as_ref().and_then(|probe| probe.error.as_ref()) {
                Some(error) => Finding::error(error),
                None if read.probe.is_none() => {
                    return Finding::skip(format!("{who}; not tried: see `backend`"));
                }
                None => {
                    let last = read
                        .next_step
                        .iter()
                        .map(|_| Finding::warn(format!("{who} is signed in, but not for long{why}"), step()));
                    let findings = last.chain(left_behind(read)).chain(others(read)).collect();
                    return Finding::worst(findings, works(read, &who, now));
                }
            }
        }
    };
    Finding::worst(std::iter::once(login).chain(left_behind(read)).collect(), "")
}

/// Accounts that a call or a folder may choose and that are signed in no longer.
fn others(read: &ReadResult) -> Vec<Finding> {
    let ended = read.accounts.iter().filter(|other| other.name != read.account_name);
    let ended = ended.filter(|other| other.status == LoginStatus::Expired);
    let warn = |other: &NamedAccount| {
        let detail = format!("the login of the account {} has ended", other.name);
        Finding::warn(detail, format!("run `codex-oauth login --account {}`", other.name))
    };
    ended.map(warn).collect()
}

/// What of the Python plugin is still there: it writes the same file without a lock.
fn left_behind(read: &ReadResult) -> Vec<Finding> {
    let warn =
        |left: &String| Finding::warn(left.clone(), "see to that first; docs/MIGRATING.md has the steps");
    read.leftovers.iter().map(warn).collect()
}

fn works(read: &ReadResult, who: &str, now: u64) -> String {
    let token = read
        .expires_at
        .and_then(|at| until(at, now))
        .map_or_else(String::new, |left| format!(" · token {left}"));
    let waiting = if read.pending_login.is_some() { " · another login waits" } else { "" };
    format!("{who}{token} · accepted by OpenAI{waiting}")
}

/// What became of the refresh tokens. Asks nobody.
pub(super) fn history(client: &mut Client, now: u64) -> Finding {
    match client.call::<History>(&OfAccount { account: None }) {
        Ok(history) => judge_history(&history.entries, now),
        Err(error) => Finding::error(&error),
    }
}

fn judge_history(entries: &[HistoryEntry], now: u64) -> Finding {
    let Some(last) = entries.last() else { return Finding::ok("nothing has happened to the login yet") };
    let remedy = "run `codex-oauth account history` to see when and by whom";
    let recent = |entry: &&HistoryEntry| now.saturating_sub(entry.at) < RECENT_SECONDS;
    let restored = entries.iter().rev().take_while(recent).filter(|entry| entry.event == "restored").count();
    let mut findings = Vec::new();
    if matches!(last.event.as_str(), "refused" | "unanswered" | "failed") {
        let why = last.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
        let ago = span(now.saturating_sub(last.at));
        findings.push(Finding::warn(format!("the last renewal, {ago} ago, was {}{why}", last.event), remedy));
    }
    if restored > 0 {
        let times = count(restored as u64, "time");
        let detail =
            format!("another program put the credential file back to an older state, {times} in a week");
        findings.push(Finding::warn(detail, remedy));
    }
    let ago = span(now.saturating_sub(last.at));
    Finding::worst(findings, format!("last: {} {ago} ago", last.event.replace('_', " ")))
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    fn entry(event: &str, at: u64) -> HistoryEntry {
        HistoryEntry {
            at,
            event: event.to_owned(),
            token: None,
            successor: None,
            account_id: None,
            detail: Some("401".to_owned()),
            pid: 42,
            build: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn a_renewal_that_failed_last_and_a_file_that_is_put_back_are_told() {
        let now = 10 * RECENT_SECONDS;
        for (events, status) in [
            (vec![entry("signed_in", now - 60)], Status::Ok),
            (vec![entry("refused", now - 90), entry("signed_in", now - 60)], Status::Ok),
            (vec![entry("signed_in", now - 90), entry("unanswered", now - 60)], Status::Warn),
            (vec![entry("restored", now - 90), entry("renewed", now - 60)], Status::Warn),
            (vec![entry("restored", now - 2 * RECENT_SECONDS), entry("renewed", now - 60)], Status::Ok),
            (vec![], Status::Ok),
        ] {
            assert_eq!(judge_history(&events, now).status, status, "{events:?}");
        }
    }

    #[test]
    fn another_account_whose_login_has_ended_is_a_warning_and_the_own_one_a_failure() {
        let account = |name: &str, status: &str| {
            serde_json::json!({"name": name, "isDefault": name == "default", "status": status, "account": null,
                               "codexMode": null})
        };
        let read = |status: &str, other: &str| {
            serde_json::from_value::<ReadResult>(serde_json::json!({
                "status": status, "account": null, "expiresAt": null, "canRefresh": true, "note": null,
                "credentialFile": "/a", "pendingLogin": null, "accountName": "default",
                "probe": {"authenticated": true, "tokenValid": true, "backendReachable": true, "tookMs": 1, "error": null},
                "accounts": [account("default", status), account("work", other)],
            }))
            .unwrap()
        };
        assert_eq!(judge(&read("authenticated", "authenticated"), 0).status, Status::Ok);
        assert_eq!(judge(&read("authenticated", "expired"), 0).status, Status::Warn);
        assert_eq!(judge(&read("expired", "expired"), 0).status, Status::Fail);
        let alone = judge(&read("not_authenticated", "authenticated"), 0);
        assert!(format!("{alone:?}").contains("nobody is signed in to the account default"), "{alone:?}");
    }
}
