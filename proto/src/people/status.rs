//! The page that `status` prints: a label, then what is so, in at most 80 columns of a terminal; the next step last, if there is one.

use crate::api::account::{
    Account, AdoptMode, LoginStatus, NamedAccount, Probe, RateLimit, RateLimitWindow, ReadResult,
};
use crate::api::daemon::StatusResult;
use crate::people::words::{capitalized, count, labelled, span, until};
use crate::people::{limits, login};
use crate::{BUILD, NextStep, Surface};

/// The page at `now` (Unix seconds), as it is read on `surface`.
pub fn render(
    account: &ReadResult,
    rate_limits: &[RateLimit],
    daemon: &StatusResult,
    now: u64,
    surface: Surface,
) -> String {
    // A terminal would break a sentence within a word; who reads it elsewhere breaks lines better.
    let note = |label: &str, text: &str| match surface {
        Surface::Shell => labelled(label, text),
        Surface::ClaudeCode => row(label, text),
    };
    let mut page = vec![login_line(account, now)];
    page.extend(account.accounts.iter().map(|other| row("account", &account_text(other))));
    page.extend(account.leftovers.iter().map(|left| note("note", left)));
    page.extend(account.note.as_ref().map(|why| note("note", why)));
    let waiting = account.pending_login.iter().flat_map(|login| {
        // Where there is only the first account, whoever names none means it.
        let is_only = account.account_name == login::FIRST && account.accounts.is_empty();
        login::rows(login, is_only, now, surface)
    });
    page.extend(waiting.map(|(label, text)| note(label, &text)));
    page.extend(account.probe.as_ref().map(|probe| note("probe", &probe_text(probe))));
    if account.status.is_signed_in() {
        page.extend(limit_lines(rate_limits, now, surface));
    }
    page.push(row("daemon", &daemon_text(daemon, surface)));
    page.extend(
        daemon.ledger_fault.as_ref().map(|fault| note("warning", &format!("answers are not kept: {fault}"))),
    );
    if daemon.build != BUILD {
        page.push(note("note", &format!("this command is {BUILD}; `{}` renews the daemon", renewal(daemon))));
    }
    page.extend(next_step(account).map(|step| note("next", &step.render(surface))));
    page.join("\n") + "\n"
}

/// The command that puts a daemon of another build out of force. A service starts the program that it was installed with.
pub const fn renewal(daemon: &StatusResult) -> &'static str {
    if daemon.managed { "codex-oauth service install" } else { "codex-oauth daemon stop" }
}

/// The daemon on one line; `daemon status` shows the same. Of the sessions a shell is told those beside the command that asks,
/// and Claude Code, whose window is one, all of them.
pub fn daemon_text(daemon: &StatusResult, surface: Surface) -> String {
    let sessions = match surface {
        Surface::Shell => daemon.sessions.saturating_sub(1),
        Surface::ClaudeCode => daemon.sessions,
    };
    let phase = if daemon.phase == "serving" { String::new() } else { format!(" · {}", daemon.phase) };
    format!(
        "{} up {} · {} · {} running{phase}",
        daemon.build,
        span(daemon.uptime_ms / 1_000),
        count(sessions, "session"),
        daemon.turns_running,
    )
}

/// `ada@example.com (Plus)`, as far as it is known.
pub fn person(account: Option<&Account>) -> String {
    let name = account.and_then(|account| account.email.as_ref().or(account.account_id.as_ref()));
    let name = name.map_or("an account without a name", String::as_str);
    match account.and_then(|account| account.plan_type.as_deref()) {
        Some(plan) => format!("{name} ({})", capitalized(plan)),
        None => name.to_owned(),
    }
}

/// The same with the workspace, for the moment after a login: a person may have several with one e-mail.
pub fn identity(account: Option<&Account>) -> String {
    let id = account.and_then(|account| account.account_id.as_deref().filter(|_| account.email.is_some()));
    let id = id.map(|id| format!(", workspace {id}")).unwrap_or_default();
    format!("{}{id}", person(account))
}

fn row(label: &str, text: &str) -> String {
    format!("{label:<10} {text}")
}

fn login_line(account: &ReadResult, now: u64) -> String {
    let who = person(account.account.as_ref());
    match account.status {
        LoginStatus::NotAuthenticated if !account.accounts.is_empty() => {
            format!("signed out (account {})", account.account_name)
        }
        LoginStatus::NotAuthenticated => "signed out".to_owned(),
        LoginStatus::Authenticated => {
            let token = account.expires_at.and_then(|at| until(at, now));
            let token = token.map_or(String::new(), |left| format!(" · token {left}"));
            row("signed in", &format!("{who}{token}"))
        }
        LoginStatus::NeedsRefresh => {
            row("signed in", &format!("{who} · token renews with the next question"))
        }
        LoginStatus::Expired => match account.refused_at {
            Some(at) => {
                format!("login ended  {who} · refused by OpenAI {} ago", span(now.saturating_sub(at)))
            }
            None => row("expired", &who),
        },
        LoginStatus::Unreadable => row("unusable", &account.credential_file),
        LoginStatus::Unknown => row("unknown", "the daemon names a state that this command does not know"),
    }
}

/// `work (default): bob@example.com (Pro), signed in`.
fn account_text(account: &NamedAccount) -> String {
    let default = if account.is_default { " (default)" } else { "" };
    let how = match account.status {
        LoginStatus::Authenticated | LoginStatus::NeedsRefresh => person(account.account.as_ref()),
        LoginStatus::NotAuthenticated => "signed out".to_owned(),
        LoginStatus::Expired => format!("{}, expired", person(account.account.as_ref())),
        LoginStatus::Unreadable | LoginStatus::Unknown => "unusable".to_owned(),
    };
    let codex = match account.codex_mode {
        None => "",
        Some(AdoptMode::Share) => ", shared with the Codex CLI",
        Some(_) => ", borrowed from the Codex CLI",
    };
    format!("{}{default}: {how}{codex}", account.name)
}

fn probe_text(probe: &Probe) -> String {
    match &probe.error {
        None => format!("the login works and OpenAI answers ({} ms)", probe.took_ms),
        Some(error) => error.message.clone(),
    }
}

fn limit_lines(seen: &[RateLimit], now: u64, surface: Surface) -> Vec<String> {
    let lines: Vec<String> = seen.iter().filter_map(|limit| limit_text(limit, now)).collect();
    if lines.is_empty() {
        let how = match surface {
            Surface::Shell => "; `codex-oauth usage` asks for them",
            Surface::ClaudeCode => "; the next answer tells them",
        };
        return vec![row("limits", &format!("not known yet{how}"))];
    }
    lines.iter().enumerate().map(|(at, text)| row(if at == 0 { "limits" } else { "" }, text)).collect()
}

/// A limit without windows says nothing.
fn limit_text(limit: &RateLimit, now: u64) -> Option<String> {
    let windows: Vec<String> = limits::windows(limit).map(|window| window_text(window, now)).collect();
    let name = limits::name(limit).map_or_else(String::new, |name| format!("{name}: "));
    (!windows.is_empty()).then(|| format!("{name}{}", windows.join(" · ")))
}

fn window_text(window: &RateLimitWindow, now: u64) -> String {
    let resets = window.resets_at.and_then(|at| until(at, now));
    let resets = resets.map_or_else(String::new, |left| format!(", resets in {left}"));
    format!("{} {}{resets}", limits::length(window), limits::used(window))
}

/// What to do about the login, if anything; the daemon's own word first.
pub fn next_step(account: &ReadResult) -> Option<NextStep> {
    let failed = account.probe.as_ref().and_then(|probe| probe.error.as_ref());
    let step = account.next_step.clone().or_else(|| failed?.next_step.clone());
    // A daemon of an older build says none.
    step.or_else(|| match account.status {
        LoginStatus::NotAuthenticated | LoginStatus::Expired => Some(NextStep::Login),
        LoginStatus::Unreadable => Some(NextStep::FixFile { path: account.credential_file.clone() }),
        LoginStatus::Unknown => Some(NextStep::Upgrade),
        LoginStatus::Authenticated | LoginStatus::NeedsRefresh => None,
    })
}
