//! Results as text: what a person or a model reads.

use codex_oauth_proto::Surface;
use codex_oauth_proto::api::account::{
    Account, LoginStartResult, LoginStatus, LogoutResult, RateLimitsResult, ReadResult,
};
use codex_oauth_proto::api::daemon::StatusResult;
use codex_oauth_proto::api::model::ListResult;
use codex_oauth_proto::people::{status as page, words};
use rmcp::model::ContentBlock;
use serde_json::json;

use crate::service::clock;

/// The answer verbatim as the first block; the second, one line, is what it cost and what was done differently.
pub(super) fn answer(answer: String, notes: &[String], summary: Option<&str>) -> Vec<ContentBlock> {
    let line: Vec<&str> = summary.into_iter().chain(notes.iter().map(String::as_str)).collect();
    let mut content = vec![ContentBlock::text(answer)];
    if !line.is_empty() {
        content.push(ContentBlock::text(line.join(" · ")));
    }
    content
}

/// The page for a person; then the fields as JSON.
pub(super) fn status(
    account: &ReadResult,
    limits: &RateLimitsResult,
    daemon: &StatusResult,
) -> Vec<ContentBlock> {
    let now = words::unix_now();
    let page = page::render(account, &limits.rate_limits, daemon, now, Surface::ClaudeCode);
    let who = account.account.clone().unwrap_or_default();
    let fields = json!({
        "status": account.status,
        "authenticated": matches!(account.status, LoginStatus::Authenticated | LoginStatus::NeedsRefresh),
        "account_id": who.account_id,
        "email": who.email,
        "plan": who.plan_type,
        "expires_in_seconds": account.expires_at.map(|at| at.saturating_sub(now)),
        "has_refresh_token": account.can_refresh,
        "login_pending": account.pending_login.is_some(),
    });
    vec![ContentBlock::text(page.trim_end()), ContentBlock::text(fields.to_string())]
}

/// The link, and how to know when it is done.
pub(super) fn login(login: &LoginStartResult) -> Vec<ContentBlock> {
    let opened =
        if login.browser_opened { "A browser was opened. If it did not appear, open" } else { "Open" };
    vec![ContentBlock::text(format!(
        "{opened} this link in a browser on this machine and sign in with the ChatGPT account:\n{}\n\
         The link works until {}. codex_status with wait_for_login waits for the end of the login.",
        login.auth_url,
        clock(login.expires_at)
    ))]
}

/// A login that has just ended well.
pub(super) fn signed_in_as(account: Option<&Account>) -> Vec<ContentBlock> {
    let who = account.and_then(|account| account.email.as_deref().or(account.account_id.as_deref()));
    vec![ContentBlock::text(format!("Signed in as {}.", who.unwrap_or("an account without a name")))]
}

pub(super) fn logout(report: &LogoutResult) -> Vec<ContentBlock> {
    let text = match (report.was_signed_in, report.revoked, &report.note) {
        (false, ..) => "Nobody was signed in; nothing was removed.".to_owned(),
        (true, true, _) => "Credentials cleared and revoked. codex_login signs in again.".to_owned(),
        (true, false, None) => "Credentials cleared on this machine. codex_login signs in again.".to_owned(),
        (true, false, Some(note)) => {
            format!("Credentials cleared on this machine; {note}. codex_login signs in again.")
        }
    };
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
