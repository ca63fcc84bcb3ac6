//! One value of every message, with every field written out: a new field does not compile until it is added here.

use codex_oauth_proto::api::account::{Account, OfAccount};
use codex_oauth_proto::api::config::{self, Setting, Source};
use codex_oauth_proto::api::daemon::{Drain, DrainParams, LogFlush, LogFlushResult, Status, StatusResult};
use codex_oauth_proto::api::model::{List, ListResult, Model};
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

use crate::{Sample, account, file_of, probe, sample, words};

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
        account::all(),
        models(),
        turns(),
        daemon(),
        probe::all(),
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
        no_proxy: claim("NO_PROXY", ".corp.example,10.0.0.0/8"),
        ca_file: claim("SSL_CERT_FILE", "/etc/ssl/corp.pem"),
    };
    let minimal = Hello {
        role: Role::Api,
        next: 1,
        resume: Vec::new(),
        env: [].into(),
        proxy: None,
        no_proxy: None,
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
        managed: false,
    };
    [
        method::<Status>(Empty {}, status),
        method::<LogFlush>(Empty {}, LogFlushResult { written: true }),
        method::<Drain>(DrainParams { reason: "upgrade to 0.2.0".to_owned() }, Empty {}),
    ]
    .concat()
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

pub(crate) fn method<M>(params: M::Params, result: M::Result) -> Vec<Sample>
where
    M: Method<
            Params: Clone + PartialEq + std::fmt::Debug + 'static,
            Result: Clone + PartialEq + std::fmt::Debug + 'static,
        >,
{
    let base = file_of(M::NAME);
    vec![sample(&format!("{base}.params"), params), sample(&format!("{base}.result"), result)]
}

pub(crate) fn notification<T: crate::Message>(name: &str, params: T) -> Vec<Sample> {
    vec![sample(&format!("{}.notification", file_of(name)), params)]
}

pub(crate) fn ada() -> Account {
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

pub(crate) fn unreachable() -> WireError {
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
