//! The enumerations of the contract, each with every variant.

use codex_oauth_proto::api::account::{AdoptMode, LoginStatus, LoginStep, Place};
use codex_oauth_proto::api::config::Source;
use codex_oauth_proto::api::probe::{Service, StepName};
use codex_oauth_proto::api::turn::{InputItem, TurnStatus};
use codex_oauth_proto::hello::Role;
use codex_oauth_proto::{ErrorCode, NextStep, Origin, Retry};

use crate::{Sample, sample};

/// Every variant, once. It does not compile when one is missing.
macro_rules! every {
    ($type:ident: $($variant:ident $({ $($field:ident: $value:expr),* })?),+ $(,)?) => {{
        let all = vec![$($type::$variant { $($($field: $value),*)? }),+];
        for value in &all {
            match value { $($type::$variant { .. })|+ => {} }
        }
        all
    }};
}

/// Enumerations: one file each, all its words.
pub(crate) fn all() -> Vec<Sample> {
    vec![
        sample("role", every!(Role: Mcp, Api, Unknown)),
        sample(
            "login_status",
            every!(LoginStatus: NotAuthenticated, Authenticated, NeedsRefresh, Expired, Unreadable, Unknown),
        ),
        sample("login_step", every!(LoginStep: Waiting, Exchanging, Proving, Saving, Unknown)),
        sample("adopt_mode", every!(AdoptMode: Borrow, Share, Import, Unknown)),
        sample("place", every!(Place: Desktop, Ssh, Wsl, Container, Headless, Unknown)),
        sample("source", every!(Source: Default, File, Environment, Unknown)),
        sample("service", every!(Service: Issuer, Backend, Unknown)),
        sample("step_name", every!(StepName: Dns, Connect, Tunnel, Tls, Http, Unknown)),
        sample("turn_status", every!(TurnStatus: Completed, Failed, Interrupted, Unknown)),
        sample("input_item", every!(InputItem: Text { text: "hello".to_owned() })),
        sample("error_code", error_codes()),
        sample("origin", every!(Origin: Caller, Daemon, Upstream, Unknown)),
        sample("retry", every!(Retry: Never, Safe, After { seconds: 30 }, Unknown)),
        sample("next_step", next_steps()),
    ]
}

/// Every next step.
pub(crate) fn next_steps() -> Vec<NextStep> {
    let path = || "/home/ada/.claude/auth.json".to_owned();
    every!(NextStep:
        Login, OtherWorkspace, Retry, RetryIn { seconds: 90 }, AskAgain, ListModels, ShortenPrompt, Rephrase, FixArguments, CheckPlan,
        CheckNetwork, FixFile { path: path() },
        FreeSpace { path: "/home/ada/.claude".to_owned() }, MakeWritable { path: "/home/ada/.claude".to_owned() }, FixConfiguration { name: "CODEX_OAUTH_RUNTIME_DIR".to_owned() },
        Reconfigure { name: "proxy in `/home/ada/.config/codex-oauth/config.toml`".to_owned() }, CheckAddress { name: "CODEX_OAUTH_BACKEND_URL".to_owned() }, Mend, EndProcess { pid: 4711 }, OtherNetwork, SetClock,
        Upgrade, RunDaemon, AllowSpawn, ReadLog { path: "/home/ada/.local/state/codex-oauth/daemon.log".to_owned() }, UseService, NoService,
        ChooseAccount, UseAccount { name: "work".to_owned() }, UseCodexCli, Unknown,
    )
}

/// Every error code.
pub(crate) fn error_codes() -> Vec<ErrorCode> {
    every!(ErrorCode:
        NotLoggedIn, LoginExpired, AccountMismatch, LoginElsewhere, CredentialFile, OtherCredentialStore,
        LoginFailed, AuthUnavailable, UpstreamUnreachable, RateLimited, UsageLimitReached, UpstreamOverloaded,
        UpstreamRejected, ModelNotAvailable, PromptTooLong, StreamInterrupted, NoAnswer, OutcomeUnknown,
        Overloaded, Draining, Cancelled, InvalidArguments, MethodNotFound, LineTooLong, Malformed,
        UnsupportedVersion, DaemonUnavailable, Configuration, Internal, Unknown,
    )
}
