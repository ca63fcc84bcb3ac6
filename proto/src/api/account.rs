//! `account/*`: who is signed in, signing in and out, accounts, limits.

mod login;

use serde::{Deserialize, Serialize};

use super::{Empty, method};
use crate::{NextStep, WireError};

pub use login::{
    DeviceCode, LOGIN_COMPLETED, LOGIN_UPDATED, LoginCancel, LoginCancelParams, LoginCompleted, LoginPaste,
    LoginPasteParams, LoginStart, LoginStartParams, LoginStartResult, LoginStep, LoginUpdated, Pasted, Place,
};

method! {
    /// Who is signed in. Costs nothing unless `probe` is asked for.
    Read = "account/read", ReadParams => ReadResult
}
method! {
    /// Revokes the login at the issuer, as far as it can be reached, and removes it here.
    Logout = "account/logout", OfAccount => LogoutResult
}
method! {
    /// What became of every refresh token, by fingerprint. Asks nobody.
    History = "account/history", OfAccount => HistoryResult
}
method! {
    /// The limits as last seen in any answer; asked anew with `refresh`.
    RateLimitsRead = "account/rateLimits/read", RateLimitsParams => RateLimitsResult
}

method! {
    /// Every account.
    AccountList = "account/list", Empty => AccountListResult
}
method! {
    /// Makes an account the default one, for every session at once. Nobody is signed out.
    AccountUse = "account/use", AccountParams => Empty
}
method! {
    /// Signs an account out and forgets it. One of the Codex CLI's is only forgotten.
    AccountRemove = "account/remove", AccountParams => LogoutResult
}
method! {
    /// Takes up the login of the Codex CLI: borrows it, shares it, or takes it over. Only a person may decide this.
    AccountAdopt = "account/adopt", AdoptParams => Empty
}

method! {
    /// Gets an access token and asks the backend for the account's route (WIRE §6). Spends nothing.
    Check = "account/check", OfAccount => CheckResult
}

/// See [`Check`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// Milliseconds until there was an access token, renewed if need be, or until it was known that there is none.
    pub token_ms: u64,
    /// Milliseconds that the backend took to answer; null: there was no token to ask with.
    pub check_ms: Option<u64>,
    /// The origin that the account's questions go to, where it is not the configured backend's.
    pub origin: Option<String>,
    /// Why the step that was last tried failed.
    pub error: Option<WireError>,
}

/// See [`Read`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadParams {
    /// Also try the token and the backend: one small request, no paid turn.
    pub probe: bool,
    /// Whose: an account's name; the chosen or default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// See [`Read`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadResult {
    /// How the login stands.
    pub status: LoginStatus,
    /// Who it is; `null` when nobody is signed in.
    pub account: Option<Account>,
    /// Unix seconds at which the access token ends; `null` when unknown.
    pub expires_at: Option<u64>,
    /// Unix seconds at which OpenAI refused the login for good; absent: it did not. The token may have had days to live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_at: Option<u64>,
    /// Whether the daemon can renew the login by itself.
    pub can_refresh: bool,
    /// What to know about the login, such as why it cannot be renewed.
    pub note: Option<String>,
    /// What to do about it; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<NextStep>,
    /// Where the login is kept.
    pub credential_file: String,
    /// A login that is under way.
    pub pending_login: Option<LoginStartResult>,
    /// Present when `probe` was asked for.
    pub probe: Option<Probe>,
    /// The account's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account_name: String,
    /// Every account, where there is another one than that of `account_name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<NamedAccount>,
    /// What of the plugin this one replaces is still there: a running copy, an API key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
}

/// What a call is about, where it is about an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OfAccount {
    /// Whose: an account's name; the chosen or default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// See [`AccountUse`] and [`AccountRemove`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountParams {
    /// The account's name.
    pub account: String,
}

/// See [`AccountAdopt`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptParams {
    /// The name to give it.
    pub account: String,
    /// Absolute path of the Codex CLI's `auth.json`; to import the login of the original plugin, that of the credential file.
    pub file: String,
    /// What to do with it.
    pub mode: AdoptMode,
}

/// What is done with the login of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptMode {
    /// Its access token is used while it is valid; nothing is written, nothing renewed.
    Borrow,
    /// It is renewed in that file, for both.
    Share,
    /// It becomes a login of this daemon; the other program must not use it any more.
    Import,
    /// A mode that this build does not know.
    #[serde(other)]
    Unknown,
}

/// See [`AccountList`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountListResult {
    /// The first login before the named ones.
    pub accounts: Vec<NamedAccount>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedAccount {
    /// Its name.
    pub name: String,
    /// Whether it serves whoever chose none.
    pub is_default: bool,
    /// How its login stands.
    pub status: LoginStatus,
    /// Who it is; `null` when nobody is signed in.
    pub account: Option<Account>,
    /// `null` for a login of this daemon, else what is done with the Codex CLI's.
    pub codex_mode: Option<AdoptMode>,
    /// The Codex CLI's file.
    pub codex_file: Option<String>,
}

/// How a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginStatus {
    /// Nobody is signed in.
    NotAuthenticated,
    /// The access token is good.
    Authenticated,
    /// The access token ends soon or has ended; the next question renews it first.
    NeedsRefresh,
    /// The access token has ended or was refused, and cannot be renewed.
    Expired,
    /// The credential file cannot be read; `note` says why. It was left untouched.
    Unreadable,
    /// A state that this build does not know.
    #[serde(other)]
    Unknown,
}

impl LoginStatus {
    /// Whether a question has somebody to be asked as.
    pub const fn is_signed_in(self) -> bool {
        matches!(self, Self::Authenticated | Self::NeedsRefresh)
    }
}

/// Who is signed in, from the token's claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Account {
    /// `chatgpt_account_id`.
    pub account_id: Option<String>,
    /// E-mail.
    pub email: Option<String>,
    /// `chatgpt_plan_type`, such as `plus`.
    pub plan_type: Option<String>,
}

/// What a probe found. Each step is tried only when the one before it went well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Somebody is signed in.
    pub authenticated: bool,
    /// The token could be had, renewed if need be, and the backend accepted it.
    pub token_valid: bool,
    /// The backend answered.
    pub backend_reachable: bool,
    /// Milliseconds for the whole probe.
    pub took_ms: u64,
    /// What went wrong, if anything did.
    pub error: Option<WireError>,
}

/// See [`Logout`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogoutResult {
    /// Whether there was a login to remove.
    pub was_signed_in: bool,
    /// Whether the issuer confirmed the revocation.
    pub revoked: bool,
    /// Why it did not, if it was asked.
    pub note: Option<String>,
}

/// See [`History`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryResult {
    /// Oldest first; at most 256.
    pub entries: Vec<HistoryEntry>,
}

/// Something that happened to a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Unix seconds.
    pub at: u64,
    /// `signed_in`, `signed_out`, `renewed`, `recovered` (renewed, finished after a crash), `discarded` (renewed, given up
    /// for the login that was in the file), `restored` (the file was put back to an older state; the newer login was
    /// written again), `found` (written by another program), `refused`, `failed`, `unanswered` or `moved_aside` (a
    /// file that could not be read, when a person signed in).
    pub event: String,
    /// The token that it happened to: 12 hex digits of its SHA-256.
    pub token: Option<String>,
    /// The token that came for it.
    pub successor: Option<String>,
    /// `chatgpt_account_id`.
    pub account_id: Option<String>,
    /// The issuer's words, or where a file was moved to.
    pub detail: Option<String>,
    /// The daemon that wrote the line.
    pub pid: u32,
    /// Its version.
    pub build: String,
}

/// See [`RateLimitsRead`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimitsParams {
    /// Ask the backend first: one small request that uses nothing of the plan (WIRE §9.4). It fails when nobody is signed
    /// in or the backend does not answer.
    pub refresh: bool,
    /// Whose: an account's name; the chosen or default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// See [`RateLimitsRead`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitsResult {
    /// One entry per limit the backend has named so far.
    pub rate_limits: Vec<RateLimit>,
}

/// One limit of the account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RateLimit {
    /// `codex` for the plan's own limit, else the name of a further one.
    pub limit_id: String,
    /// The backend's name for people.
    pub limit_name: Option<String>,
    /// The short window, usually 5 hours.
    pub primary: Option<RateLimitWindow>,
    /// The long window, usually a week.
    pub secondary: Option<RateLimitWindow>,
    /// Credits that go on when the windows are used up; `null` where the backend does not tell.
    pub credits: Option<Credits>,
}

/// Bought credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credits {
    /// Any left.
    pub has_credits: bool,
    /// Without bound.
    pub unlimited: bool,
    /// What is left, as the backend writes it.
    pub balance: Option<String>,
}

/// A window of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitWindow {
    /// Percent used, 0 to 100.
    pub used_percent: f64,
    /// The window's length in minutes.
    pub window_minutes: Option<u64>,
    /// Unix seconds at which it starts anew.
    pub resets_at: Option<u64>,
}
