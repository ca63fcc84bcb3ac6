//! Results as text: what a person or a model reads.

use std::fmt::Write as _;

use codex_oauth_proto::Surface;
use codex_oauth_proto::api::account::{
    Account, LoginStartResult, LogoutResult, NamedAccount, RateLimitsResult, ReadResult,
};
use codex_oauth_proto::api::daemon::StatusResult;
use codex_oauth_proto::api::model::ListResult;
use codex_oauth_proto::people::{login as waiting, status as page, words};
use rmcp::model::ContentBlock;
use serde_json::json;

use crate::service::clock;

/// The answer verbatim as the first block; the second, one line, is what it cost and what was done differently.
pub(super) fn answer(answer: String, notes: &[String], summary: Option<&str>) -> Vec<ContentBlock> {
    let line: Vec<&str> = summary.into_iter().chain(notes.iter().map(String::as_str)).collect();
    let mut content = Vec::with_capacity(2);
    content.push(ContentBlock::text(answer));
    if !line.is_empty() {
        content.push(ContentBlock::text(line.join(" · ")));
    }
    content
}

/// The page for a person; then the fields as JSON.
pub(super) fn status(
    warnings: &[String],
    account: &ReadResult,
    limits: &RateLimitsResult,
    daemon: &StatusResult,
) -> Vec<ContentBlock> {
    let now = words::unix_now();
    let mut page = page::render(account, &limits.rate_limits, daemon, now, Surface::ClaudeCode);
    page.extend(warnings.iter().map(|warning| format!("warning    {warning}\n")));
    let who = account.account.clone().unwrap_or_default();
    let fields = json!({
        "status": account.status,
        "authenticated": account.status.is_signed_in(),
        "account_id": who.account_id,
        "email": who.email,
        "plan": who.plan_type,
        "expires_in_seconds": account.expires_at.map(|at| at.saturating_sub(now)),
        "has_refresh_token": account.can_refresh,
        "login_pending": account.pending_login.is_some(),
    });
    vec![ContentBlock::text(page.trim_end()), ContentBlock::text(fields.to_string())]
}

/// The ways to sign in, and how to know when it is done.
pub(super) fn login(login: &LoginStartResult) -> Vec<ContentBlock> {
    let now = words::unix_now();
    if let Some(step) = waiting::step(login.step) {
        return vec![ContentBlock::text(format!(
            "A login is on its way: {step}. codex_status tells its end."
        ))];
    }
    let mut lines = Vec::new();
    let mut ends = Vec::new();
    if waiting::link_is_open(login, now) {
        let opened =
            if login.browser_opened { "A browser was opened. If it did not appear, open" } else { "Open" };
        lines.push(format!(
            "{opened} this link in a browser on this machine and sign in with the ChatGPT account:\n{}",
            login.auth_url
        ));
        ends.push(format!("The link works until {}", clock(login.link_expires_at)));
    }
    if let Some(code) = &login.device {
        let or = if lines.is_empty() { "In" } else { "Or, in" };
        lines.push(format!("{or} a browser anywhere, {}.", waiting::device(code)));
        let the = if ends.is_empty() { "The" } else { "the" };
        ends.push(format!("{the} code works until {}", clock(code.expires_at)));
    }
    lines.extend(waiting::no_device(login).as_deref().map(sentence));
    lines.extend(waiting::hint(login, Surface::ClaudeCode, false).as_deref().map(sentence));
    let ends = ends.join(", ");
    lines.push(format!("{ends}. codex_status with wait_for_login waits for the end of the login."));
    vec![ContentBlock::text(lines.join("\n"))]
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A login that has just ended well.
pub(super) fn signed_in_as(account: Option<&Account>, note: Option<&str>) -> Vec<ContentBlock> {
    let note = note.map(|note| format!(" {}", sentence(note))).unwrap_or_default();
    vec![ContentBlock::text(format!("Signed in as {}.{note}", page::identity(account)))]
}

/// `accounts`: those that there are now.
pub(super) fn logout(report: &LogoutResult, accounts: &[NamedAccount]) -> Vec<ContentBlock> {
    let mut text = match (report.was_signed_in, report.revoked, &report.note) {
        (false, ..) => "Nobody was signed in; nothing was removed.".to_owned(),
        (true, true, _) => "Credentials cleared and revoked. codex_login signs in again.".to_owned(),
        (true, false, None) => "Credentials cleared on this machine. codex_login signs in again.".to_owned(),
        (true, false, Some(note)) => {
            format!("Credentials cleared on this machine; {note}. codex_login signs in again.")
        }
    };
    for NamedAccount { name, .. } in accounts.iter().filter(|of| of.status.is_signed_in()) {
        let _infallible = write!(
            text,
            "\nThe account {name} stays signed in; `codex-oauth account remove {name}` signs it out."
        );
    }
    vec![ContentBlock::text(text)]
}

/// A line for each model, the default marked; then the names as JSON.
pub(super) fn models(list: &ListResult) -> Vec<ContentBlock> {
    let shown: Vec<_> = list.models.iter().filter(|model| !model.hidden).collect();
    let line = |model: &&codex_oauth_proto::api::model::Model| {
        let default = if model.is_default { " (default)" } else { "" };
        let efforts = match model.reasoning_efforts.as_slice() {
            [] => String::new(),
            efforts => format!(" · efforts {}", efforts.join(", ")),
        };
        format!("{}{default}{efforts}", model.id)
    };
    let lines: Vec<String> = shown.iter().map(line).collect();
    let names: Vec<&str> = shown.iter().map(|model| model.id.as_str()).collect();
    let fields = json!({ "models": names, "default": list.default });
    vec![ContentBlock::text(lines.join("\n")), ContentBlock::text(fields.to_string())]
}
