//! `codex-oauth status`: who is signed in, the limits, the daemon, and the one next step.

use codex_oauth_proto::Surface;
use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::account::{
    LoginStatus, RateLimit, RateLimitsParams, RateLimitsRead, Read, ReadParams, ReadResult,
};
use codex_oauth_proto::api::daemon::{Status, StatusResult};
use codex_oauth_proto::people::{status as page, words};
use serde::Serialize;

use crate::args::StatusArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Everything there is to show; the shape of `status --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    account: ReadResult,
    rate_limits: Vec<RateLimit>,
    daemon: StatusResult,
    /// What the daemon said of this session when it began.
    warnings: Vec<String>,
}

/// Shows the state. Starts the daemon when none runs, since only it knows who is signed in.
pub(crate) fn run(context: &mut Context, args: &StatusArgs) -> Result<Exit, Failure> {
    if args.probe {
        context.output.progress("trying the login")?;
    }
    let params = ReadParams { probe: args.probe, account: args.account.clone() };
    let (mut client, account) = context.call::<Read>(&params)?;
    let params = RateLimitsParams { refresh: false, account: args.account.clone() };
    let facts = Facts {
        account,
        rate_limits: client.call::<RateLimitsRead>(&params)?.rate_limits,
        daemon: client.call::<Status>(&Empty {})?,
        warnings: client.welcome().warnings.clone(),
    };
    if args.json {
        context.output.json(&facts)?;
    } else {
        let Facts { account, rate_limits, daemon, .. } = &facts;
        context.output.out(&page::render(account, rate_limits, daemon, words::unix_now(), Surface::Shell))?;
    }
    Ok(exit(&facts.account))
}

/// For `codex-oauth status && …`: a probe's failure counts as well.
fn exit(account: &ReadResult) -> Exit {
    match account.status {
        LoginStatus::NotAuthenticated | LoginStatus::Expired => Exit::SignedOut,
        LoginStatus::Unreadable | LoginStatus::Unknown => Exit::Failure,
        LoginStatus::Authenticated | LoginStatus::NeedsRefresh => {
            let failed = account.probe.as_ref().and_then(|probe| probe.error.as_ref());
            failed.map_or(Exit::Success, |error| Exit::of(error.code))
        }
    }
}
