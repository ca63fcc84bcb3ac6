//! One value of every message, with every field written out: a new field does not compile until it is added here.

use codex_oauth_proto::api::account::{
    Account, AccountAdopt, AccountList, AccountListResult, AccountParams, AccountRemove, AccountUse,
    AdoptMode, AdoptParams, Check, CheckResult, Credits, DeviceCode, History, HistoryEntry, HistoryResult,
    LOGIN_COMPLETED, LOGIN_UPDATED, LoginCancel, LoginCancelParams, LoginCompleted, LoginPaste,
    LoginPasteParams, LoginStart, LoginStartParams, LoginStartResult, LoginStatus, LoginStep, LoginUpdated,
    Logout, LogoutResult, NamedAccount, OfAccount, Pasted, Place, Probe, RateLimit, RateLimitWindow,
    RateLimitsParams, RateLimitsRead, RateLimitsResult, Read, ReadParams, ReadResult,
};
use codex_oauth_proto::api::config::{self, Setting, Source};
use codex_oauth_proto::api::daemon::{Drain, DrainParams, Status, StatusResult};
use codex_oauth_proto::api::model::{List, ListResult, Model};
use codex_oauth_proto::api::probe::{Chosen, DaemonProbe, ProbeResult, Service, Step, StepName, Way};
use codex_oauth_proto::api::trace::{self, Attempt, Phases, Trace};
use codex_oauth_proto::api::turn::{
    COMPLETED, Completed, DELTA, Delta, InputItem, Interrupt, InterruptParams, Kept, PROGRESS, Progress,
    Start, StartParams, StartResult, TurnStatus, Usage,
};
use codex_oauth_proto::api::{Empty, Method, turn};
use codex_oauth_proto::claim::Claim;
use codex_oauth_proto::hello::{
    ClientOpening, HandOver, Hello, Refusal, Resume, Role, ServerOpening, Welcome,
};
use codex_oauth_proto::jsonrpc::{Request, Response};
use codex_oauth_proto::report::StartupReport;
use codex_oauth_proto::{
    ErrorCode, NextStep, Nonce, Origin, ProtocolVersion, Retry, VersionRange, WireError,
};
use serde_json::json;

use crate::{Sample, file_of, sample, words};

/// Types that are no message of their own, each with a sample that holds one.
pub(crate) const NESTED: &[(&str, &str)] = &[
    ("Account", "account_read.result"),
    ("DeviceCode", "account_login_start.result"),
    ("Pasted", "account_login_paste.params"),
    ("Chosen", "daemon_probe.result"),
    ("Claim", "hello"),
    ("Credits", "account_rateLimits_read.result"),
    ("ErrorObject", "jsonrpc_error"),
    ("HandOver", "hand_over"),
    ("Hello", "hello"),
    ("HistoryEntry", "account_history.result"),
    ("InputItem", "turn_start.params"),
    ("Model", "model_list.result"),
    ("NamedAccount", "account_list.result"),
    ("Nonce", "welcome"),
    ("Probe", "account_read.result"),
    ("ProtocolVersion", "welcome"),
    ("RateLimit", "account_rateLimits_read.result"),
    ("RateLimitWindow", "account_rateLimits_read.result"),
    ("Refusal", "refusal"),
    ("Resume", "hello"),
    ("Setting", "config_read.result"),
    ("Step", "daemon_probe.result"),
    ("Attempt", "turn_trace_list.result"),
    ("Phases", "turn_trace_list.result"),
    ("Trace", "turn_trace_list.result"),
    ("Usage", "turn_completed.notification"),
    ("VersionRange", "hello"),
    ("Way", "daemon_probe.result"),
    ("Welcome", "welcome"),
    ("WireError", "refusal"),
];

/// Every message.
pub(crate) fn all() -> Vec<Sample> {
    [
        openings(),
        reports(),
        account(),
        models(),
        turns(),
        daemon(),
        probe(),
        config(),
        envelopes(),
        words::all(),
    ]
    .concat()
}

fn openings() -> Vec<Sample> {
    let claim = |variable: &str, value: &str| {
        Some(Box::new(Claim { variable: variable.to_owned(), value: value.to_owned() }))
    };
    let hello = Hello {
        protocol: versions(1, 2),
        build: "0.1.0".to_owned(),
        role: Role::Mcp,
        pid: 4711,
        cwd: "/home/ada/project".to_owned(),
        nonce: nonce(),
        next: 9,
        resume: vec![
            Resume { n: 7, id: json!(3), sent: true },
            Resume { n: 8, id: json!("eight"), sent: false },
        ],
        auth_file: "/home/ada/.claude/auth.json".to_owned(),
        env: [("DISPLAY", ":0"), ("TZ", "Europe/Berlin")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        proxy: claim("HTTPS_PROXY", "proxy.example.com:3128"),
        ca_file: claim("SSL_CERT_FILE", "/etc/ssl/corp.pem"),
    };
    let minimal = Hello {
        role: Role::Api,
        next: 1,
        resume: Vec::new(),
        env: [].into(),
        proxy: None,
        ca_file: None,
        ..hello.clone()
    };
    let welcome = Welcome {
        protocol: ProtocolVersion(2),
        build: "0.1.0".to_owned(),
        pid: 4242,
        nonce: nonce(),
        warnings: vec!["the daemon connects without a proxy, not through `proxy.example.com:3128` (HTTPS_PROXY); `codex-oauth config import` puts this shell's into config.toml".to_owned()],
    };
    let plain = Welcome { warnings: Vec::new(), ..welcome.clone() };
    let error = WireError::caller(
        ErrorCode::UnsupportedVersion,
        "could not open a session: client 9.0.0 and daemon 0.1.0 have no protocol version in common (the daemon is older)",
    );
    let refusal = Refusal { protocol: versions(1, 2), error: error.next(NextStep::Upgrade) };
    let client = |name: &str, opening: ClientOpening| match opening {
        ClientOpening::Hello(_) => sample(&format!("hello{name}"), opening),
        ClientOpening::HandOver(_) => sample(&format!("hand_over{name}"), opening),
    };
    let server = |name: &str, opening: ServerOpening| match opening {
        ServerOpening::Welcome(_) => sample(&format!("welcome{name}"), opening),
        ServerOpening::Refusal(_) => sample(&format!("refusal{name}"), opening),
    };
    vec![
        client("", ClientOpening::Hello(hello)),
        client("_minimal", ClientOpening::Hello(minimal)),
        client("", ClientOpening::HandOver(HandOver { build: "0.2.0".to_owned() })),
        server("", ServerOpening::Welcome(welcome)),
        server("_minimal", ServerOpening::Welcome(plain)),
        server("", ServerOpening::Refusal(refusal)),
    ]
}

fn reports() -> Vec<Sample> {
    let holder = "pid 4242 /run/user/1000/codex-oauth/daemon.sock".to_owned();
    let report = |report: StartupReport| match report {
        StartupReport::Ready { .. } => sample("report_ready", report),
        StartupReport::AlreadyRunning { .. } => sample("report_already_running", report),
        StartupReport::Failed(_) => sample("report_failed", report),
    };
    vec![
        report(StartupReport::Ready { pid: 4242, nonce: nonce() }),
        report(StartupReport::AlreadyRunning { holder }),
        report(StartupReport::Failed(fault())),
    ]
}

fn account() -> Vec<Sample> {
    let pending = LoginStartResult {
        login_id: "1f2e3d4c5b6a".to_owned(),
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
    };
    let updated = LoginStartResult {
        redirect_port: None,
        port_note: Some("could not listen for the browser on any of the ports 1455, 1457".to_owned()),
        device: None,
        device_note: Some("device login is not enabled here (the issuer answered 404)".to_owned()),
        step: LoginStep::Proving,
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
        can_refresh: true,
        note: Some("the login cannot be renewed: it was copied from another machine".to_owned()),
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

fn models() -> Vec<Sample> {
    let model = Model {
        id: "gpt-6.1-sol".to_owned(),
        display_name: "GPT-6.1 Sol".to_owned(),
        description: "For everyday work.".to_owned(),
        default_reasoning_effort: Some("medium".to_owned()),
        reasoning_efforts: vec!["low".to_owned(), "medium".to_owned(), "high".to_owned()],
        context_window: Some(272_000),
        hidden: false,
        is_default: true,
    };
    method::<List>(
        OfAccount { account: Some("work".to_owned()) },
        ListResult { models: vec![model], default: Some("gpt-6.1-sol".to_owned()) },
    )
}

fn turns() -> Vec<Sample> {
    let turn_id = || "9a8b7c6d5e4f".to_owned();
    let input = vec![InputItem::Text { text: "Why is the sky blue?\n\"Briefly\", please: 蓝".to_owned() }];
    let minimal = StartParams { input: input.clone(), ..StartParams::default() };
    let start = StartParams {
        input,
        model: Some("gpt-6.1-sol".to_owned()),
        effort: Some("low".to_owned()),
        instructions: Some("Be brief.".to_owned()),
        temperature: Some(0.2),
        account: Some("work".to_owned()),
    };
    let completed = Completed {
        turn_id: turn_id(),
        status: TurnStatus::Completed,
        answer: Some("Rayleigh scattering.".to_owned()),
        error: None,
        model: Some("gpt-6.1-sol".to_owned()),
        effort: Some("low".to_owned()),
        usage: Some(Usage {
            input_tokens: 2_900,
            cached_input_tokens: 2_400,
            output_tokens: 240,
            reasoning_tokens: 128,
            total_tokens: 3_140,
        }),
        duration_ms: 12_300,
        notes: vec!["temperature was left out: Codex models take none".to_owned()],
        summary: Some("gpt-6.1-sol · low · 12 s · 3.1k tok (2.4k cached)".to_owned()),
        account: Some("work".to_owned()),
    };
    let failed = Completed {
        status: TurnStatus::Failed,
        answer: None,
        error: Some(unreachable()),
        model: None,
        effort: None,
        usage: None,
        notes: Vec::new(),
        summary: None,
        account: None,
        ..completed.clone()
    };
    let kept = Kept { ended_at: 1_795_363_200, outcome: completed.clone() };
    let list = turn::ListResult { turns: vec![kept.clone()] };
    let progress = Progress { turn_id: turn_id(), message: "thinking 4.0 s".to_owned(), elapsed_ms: 4_003 };
    let usage = completed.usage;
    let trace = Trace {
        turn_id: turn_id(),
        began_at: 1_795_363_187_700,
        status: TurnStatus::Failed,
        account: Some("work".to_owned()),
        model: Some("gpt-6.1-sol".to_owned()),
        effort: Some("low".to_owned()),
        question_bytes: 42,
        answer_bytes: 7,
        usage,
        phases: Phases {
            queued_ms: Some(0),
            token_ms: Some(1),
            sent_ms: Some(2),
            first_byte_ms: Some(3_400),
            first_token_ms: Some(3_900),
            done_ms: Some(12_300),
        },
        attempts: vec![
            Attempt {
                sent_ms: 2,
                connect_ms: Some(120),
                first_byte_ms: Some(180),
                status: Some(503),
                request_id: Some("req_1".to_owned()),
                failure: Some("the selected model is at capacity".to_owned()),
                wait_ms: Some(2_900),
            },
            Attempt { sent_ms: 3_080, ..Attempt::default() },
        ],
        error: Some(unreachable()),
    };
    let traces = trace::ListParams { turn_id: Some("9a8b".to_owned()), limit: Some(1) };
    [
        method::<trace::List>(traces, trace::ListResult { traces: vec![trace] }),
        method::<Start>(start, StartResult { turn_id: turn_id() }),
        vec![sample("turn_start.params_minimal", minimal)],
        method::<Interrupt>(InterruptParams { turn_id: turn_id() }, Empty {}),
        method::<turn::List>(Empty {}, list),
        method::<turn::Read>(turn::ReadParams { turn_id: turn_id() }, kept),
        notification(DELTA, Delta { turn_id: turn_id(), delta: "Rayleigh ".to_owned() }),
        notification(PROGRESS, progress),
        notification(COMPLETED, completed),
        vec![sample("turn_completed.notification_failed", failed)],
    ]
    .concat()
}

fn daemon() -> Vec<Sample> {
    let status = StatusResult {
        build: "0.1.0".to_owned(),
        protocol: 1,
        pid: 4242,
        nonce: nonce(),
        phase: "serving".to_owned(),
        uptime_ms: 10_800_000,
        sessions: 6,
        turns_running: 1,
        turns_ended: 41,
        peers_refused: 0,
        socket: "/run/user/1000/codex-oauth/daemon.sock".to_owned(),
        credential_file: "/home/ada/.claude/auth.json".to_owned(),
        issuer: "https://auth.openai.com".to_owned(),
        backend: "https://chatgpt.com/backend-api".to_owned(),
        pss_bytes: Some(6_291_456),
        ledger_fault: Some(
            "could not use `/home/ada/.local/state/codex-oauth/state.sqlite`: database or disk is full"
                .to_owned(),
        ),
        open_files: None,
        log_lines_lost: 0,
    };
    [
        method::<Status>(Empty {}, status),
        method::<Drain>(DrainParams { reason: "upgrade to 0.2.0".to_owned() }, Empty {}),
    ]
    .concat()
}

fn probe() -> Vec<Sample> {
    let chosen = |value: &str, by: &str| Some(Chosen { value: value.to_owned(), by: by.to_owned() });
    let step =
        |name, took_ms, detail: Option<&str>| Step { name, took_ms, detail: detail.map(str::to_owned) };
    let issuer = Way {
        service: Service::Issuer,
        url: "https://auth.openai.com/".to_owned(),
        proxy: None,
        direct: Some("NO_PROXY names it".to_owned()),
        ca_file: None,
        steps: vec![
            step(StepName::Dns, 12, Some("104.18.41.241 and 1 more")),
            step(StepName::Connect, 20, Some("104.18.41.241:443")),
            step(StepName::Tls, 31, None),
            step(StepName::Http, 40, Some("HTTP 200")),
        ],
        certificate_issuer: Some("WE1, Google Trust Services".to_owned()),
        http_status: Some(200),
        clock_ahead_seconds: Some(-2),
        took_ms: 103,
        error: None,
    };
    let why = "could not connect to the Codex backend: the proxy `http://proxy:3128` (HTTPS_PROXY) wants a user name and a password";
    let backend = Way {
        service: Service::Backend,
        url: "https://chatgpt.com/backend-api/codex/models".to_owned(),
        proxy: chosen("http://proxy:3128", "HTTPS_PROXY"),
        direct: None,
        ca_file: chosen("/etc/ssl/corp.pem", "ca_file in `/home/ada/.config/codex-oauth/config.toml`"),
        steps: vec![step(StepName::Tunnel, 2, None)],
        certificate_issuer: None,
        http_status: None,
        clock_ahead_seconds: None,
        took_ms: 5,
        error: Some(
            WireError::upstream(ErrorCode::UpstreamUnreachable, Retry::Safe, why)
                .next(NextStep::FixConfiguration { name: "HTTPS_PROXY".to_owned() }),
        ),
    };
    method::<DaemonProbe>(Empty {}, ProbeResult { ways: vec![issuer, backend] })
}

fn config() -> Vec<Sample> {
    let setting = Setting {
        name: "callback_ports".to_owned(),
        value: json!([1455, 1457]),
        source: Source::Environment,
        variable: Some("CODEX_OAUTH_CALLBACK_PORTS".to_owned()),
        file_key: true,
    };
    let none = Setting {
        name: "ca_file".to_owned(),
        value: json!(null),
        source: Source::Default,
        variable: None,
        ..setting.clone()
    };
    let read = config::ReadResult {
        config_file: "/home/ada/.config/codex-oauth/config.toml".to_owned(),
        config_file_read: true,
        config_file_note: Some("it was changed since the daemon started".to_owned()),
        settings: vec![setting, none],
    };
    method::<config::Read>(Empty {}, read)
}

fn envelopes() -> Vec<Sample> {
    vec![
        sample("jsonrpc_request", Request::new(1, "turn/interrupt", json!({ "turnId": "9a8b7c6d5e4f" }))),
        sample("jsonrpc_request_without_params", Request::new(2, "daemon/status", json!(null))),
        sample("jsonrpc_notification", Request::notification("turn/progress", json!({ "elapsedMs": 4_003 }))),
        sample("jsonrpc_response", Response::ok(json!(1), json!({}))),
        sample("jsonrpc_error", Response::err(json!("a"), &unreachable())),
    ]
}

fn method<M>(params: M::Params, result: M::Result) -> Vec<Sample>
where
    M: Method<
            Params: Clone + PartialEq + std::fmt::Debug + 'static,
            Result: Clone + PartialEq + std::fmt::Debug + 'static,
        >,
{
    let base = file_of(M::NAME);
    vec![sample(&format!("{base}.params"), params), sample(&format!("{base}.result"), result)]
}

fn notification<T: crate::Message>(name: &str, params: T) -> Vec<Sample> {
    vec![sample(&format!("{}.notification", file_of(name)), params)]
}

fn ada() -> Account {
    Account {
        account_id: Some("acc-FAKE".to_owned()),
        email: Some("ada@example.com".to_owned()),
        plan_type: Some("plus".to_owned()),
    }
}

fn nonce() -> Nonce {
    Nonce::from("0123456789abcdef0123456789abcdef")
}

const fn versions(min: u16, max: u16) -> VersionRange {
    VersionRange { min: ProtocolVersion(min), max: ProtocolVersion(max) }
}

fn unreachable() -> WireError {
    WireError {
        code: ErrorCode::UpstreamUnreachable,
        origin: Origin::Upstream,
        retry: Retry::Safe,
        message: "could not reach the backend: connection refused, tried 5 times".to_owned(),
        next_step: Some(NextStep::CheckNetwork),
        turn_id: Some("9a8b7c6d5e4f".to_owned()),
    }
}

/// Without a next step.
fn fault() -> WireError {
    WireError::daemon(
        ErrorCode::Internal,
        Retry::Never,
        "could not forbid core dumps: Operation not permitted",
    )
}
