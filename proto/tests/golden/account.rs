//! The login and the accounts.

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::account::{
    AccountAdopt, AccountList, AccountListResult, AccountParams, AccountRemove, AccountUse, AdoptMode,
    AdoptParams, Check, CheckResult, Credits, DeviceCode, History, HistoryEntry, HistoryResult,
    LOGIN_COMPLETED, LOGIN_UPDATED, LoginCancel, LoginCancelParams, LoginCompleted, LoginPaste,
    LoginPasteParams, LoginStart, LoginStartParams, LoginStartResult, LoginStatus, LoginStep, LoginUpdated,
    Logout, LogoutResult, NamedAccount, OfAccount, Pasted, Place, Probe, RateLimit, RateLimitWindow,
    RateLimitsParams, RateLimitsRead, RateLimitsResult, Read, ReadParams, ReadResult,
};
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use crate::samples::{ada, method, notification, unreachable};
use crate::{Sample, sample};

/// The samples of `account/…`.
pub(crate) fn all() -> Vec<Sample> {
    let pending = LoginStartResult {
        login_id: "1f2e3d4c5b6a".to_owned(),
        account: Some("work".to_owned()),
        auth_url: "https://auth.openai.com/oauth/authorize?response_type=code&state=s".to_owned(),
        expires_at: 1_795_349_700,
        browser_opened: false,
        browser_note: Some("this session has no screen".to_owned()),
        redirect_port: Some(1_455),
        port_note: None,
        link_expires_at: 1_795_349_100,
        device: Some(DeviceCode {
            verification_url: "https://auth.openai.com/codex/device".to_owned(),
            user_code: "ABCD-12345".to_owned(),
            expires_at: 1_795_349_700,
        }),
        device_note: None,
        place: Place::Ssh,
        step: LoginStep::Waiting,
        last_failure: Some("could not exchange the authorization code: invalid_grant".to_owned()),
    };
    let updated = LoginStartResult {
        redirect_port: None,
        port_note: Some("could not listen for the browser on any of the ports 1455, 1457".to_owned()),
        device: None,
        device_note: Some("device login is not enabled here (the issuer answered 404)".to_owned()),
        step: LoginStep::Proving,
        last_failure: None,
        ..pending.clone()
    };
    let own = NamedAccount {
        name: "default".to_owned(),
        is_default: true,
        status: LoginStatus::Authenticated,
        account: Some(ada()),
        codex_mode: None,
        codex_file: None,
    };
    let shared = NamedAccount {
        name: "codex".to_owned(),
        is_default: false,
        codex_mode: Some(AdoptMode::Share),
        codex_file: Some("/home/ada/.codex/auth.json".to_owned()),
        ..own.clone()
    };
    let accounts = vec![own, shared];
    let of_work = OfAccount { account: Some("work".to_owned()) };
    let work = AccountParams { account: "work".to_owned() };
    let adopt = AdoptParams {
        account: "codex".to_owned(),
        file: "/home/ada/.codex/auth.json".to_owned(),
        mode: AdoptMode::Share,
    };
    let read = ReadResult {
        status: LoginStatus::NeedsRefresh,
        account: Some(ada()),
        expires_at: Some(1_795_348_800),
        refused_at: Some(1_795_340_000),
        can_refresh: true,
        note: Some("the login cannot be renewed: it was copied from another machine".to_owned()),
        next_step: Some(NextStep::Login),
        credential_file: "/home/ada/.claude/auth.json".to_owned(),
        pending_login: Some(pending.clone()),
        probe: Some(Probe {
            authenticated: true,
            token_valid: true,
            backend_reachable: false,
            took_ms: 240,
            error: Some(unreachable()),
        }),
        account_name: "default".to_owned(),
        accounts: accounts.clone(),
        leftovers: vec!["a copy of the Python plugin still runs (process 4711)".to_owned()],
    };
    let signed_out = ReadResult {
        status: LoginStatus::NotAuthenticated,
        account: None,
        expires_at: None,
        refused_at: None,
        can_refresh: false,
        note: None,
        pending_login: None,
        probe: None,
        accounts: Vec::new(),
        leftovers: Vec::new(),
        ..read.clone()
    };
    let limit = RateLimit {
        limit_id: "codex".to_owned(),
        limit_name: Some("Codex".to_owned()),
        primary: Some(RateLimitWindow {
            used_percent: 41.5,
            window_minutes: Some(300),
            resets_at: Some(1_795_356_000),
        }),
        secondary: None,
        credits: Some(Credits { has_credits: true, unlimited: false, balance: Some("12.50".to_owned()) }),
    };
    let limits = RateLimitsResult { rate_limits: vec![limit] };
    let completed = LoginCompleted {
        login_id: "1f2e3d4c5b6a".to_owned(),
        success: true,
        account: Some(ada()),
        note: Some("the new login is saved, but could not be tried: HTTP 404".to_owned()),
        error: None,
    };
    let refused =
        WireError::upstream(ErrorCode::LoginFailed, Retry::Safe, "could not sign in: access_denied");
    let not_completed = LoginCompleted {
        success: false,
        account: None,
        note: None,
        error: Some(refused.next(NextStep::Login)),
        ..completed.clone()
    };
    let logout = LogoutResult {
        was_signed_in: true,
        revoked: false,
        note: Some("the issuer was not told: the login has no refresh token".to_owned()),
    };
    let history = HistoryResult {
        entries: vec![HistoryEntry {
            at: 1_795_348_800,
            event: "renewed".to_owned(),
            token: Some("0123456789ab".to_owned()),
            successor: Some("ba9876543210".to_owned()),
            account_id: ada().account_id,
            detail: Some("proactive_expiry".to_owned()),
            pid: 4242,
            build: "0.1.0".to_owned(),
        }],
    };
    let cancel = LoginCancelParams { login_id: "1f2e3d4c5b6a".to_owned() };
    [
        method::<Read>(ReadParams { probe: true, account: Some("work".to_owned()) }, read),
        vec![sample("account_read.result_signed_out", signed_out)],
        method::<LoginStart>(
            LoginStartParams { open_browser: true, device: Some(true), account: Some("work".to_owned()) },
            pending,
        ),
        method::<LoginPaste>(
            LoginPasteParams { login_id: "1f2e3d4c5b6a".to_owned(), text: Pasted("ac_FAKE".to_owned()) },
            Empty {},
        ),
        notification(LOGIN_UPDATED, LoginUpdated { login: updated }),
        method::<LoginCancel>(cancel, Empty {}),
        method::<Logout>(of_work.clone(), logout.clone()),
        method::<Check>(
            OfAccount { account: Some("work".to_owned()) },
            CheckResult {
                token_ms: 1,
                check_ms: Some(212),
                origin: Some("https://gov.chatgpt.com".to_owned()),
                error: Some(unreachable()),
            },
        ),
        method::<History>(of_work, history),
        method::<AccountList>(Empty {}, AccountListResult { accounts }),
        method::<AccountUse>(work.clone(), Empty {}),
        method::<AccountRemove>(work, logout),
        method::<AccountAdopt>(adopt, Empty {}),
        method::<RateLimitsRead>(
            RateLimitsParams { refresh: true, account: Some("work".to_owned()) },
            limits,
        ),
        notification(LOGIN_COMPLETED, completed),
        vec![sample("account_login_completed.notification_failed", not_completed)],
    ]
    .concat()
}
