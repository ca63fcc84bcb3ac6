//! `codex-oauth doctor`: one look at everything that a question needs, from the programs to the plan, and the one next step.
//!
//! Promises: nothing of the plan is spent; no token is kept or shown here (the daemon says how the login is); what cannot be looked at is
//! skipped and said, never taken for well; without `--fix` nothing is changed. A check that fails because of an earlier one is
//! skipped, so that the first failure is the cause.

mod answers;
mod callback;
mod credentials;
mod daemon;
mod disk;
mod folders;
mod leftovers;
mod login;
mod network;
mod page;
mod plugin;
mod programs;
mod report;
mod shims;
mod socket;
mod system;

use std::time::Instant;

use codex_oauth_proto::Client;
use codex_oauth_proto::api::probe::Service;
use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::people::words;

use self::report::{Check, Finding, Fixer, Report, Status};
use super::service::{self, Look};
use crate::args::DoctorArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Checks that only the daemon can carry out.
const NEED_THE_DAEMON: [&str; 12] = [
    "settings",
    "session",
    "records",
    "clock",
    "issuer",
    "backend",
    "login",
    "history",
    "models",
    "limits",
    "questions",
    "callback",
];

/// Looks at everything. Starts the daemon when none runs: whether it starts is one of the checks.
pub(crate) fn run(context: &mut Context, args: DoctorArgs) -> Result<Exit, Failure> {
    let report = examine(context, args.fix)?;
    if args.json {
        context.output.json(&report)?;
    } else {
        context.output.out(&page::render(&report))?;
    }
    Ok(report.exit())
}

/// What there is to report, for a bug report. Changes nothing.
pub(super) fn look(context: &mut Context) -> Result<impl serde::Serialize, Failure> {
    examine(context, false)
}

fn examine(context: &mut Context, fix: bool) -> Result<Report, Failure> {
    let mut doctor = Doctor { context, fix, report: Report::default() };
    doctor.look_around()?;
    Ok(doctor.report)
}

/// The checks in their order: each needs only what was looked at before it.
struct Doctor<'a> {
    context: &'a mut Context,
    fix: bool,
    report: Report,
}

impl Doctor<'_> {
    fn look_around(&mut self) -> Result<(), Failure> {
        let env = self.context.env.clone();
        let endpoint = Endpoint::resolve(&env);
        self.check("programs", |_| programs::look(&env))?;
        self.check("installs", |_| programs::look_for_others(&env))?;
        self.check("folders", |fixer| folders::look(&env, &endpoint, fixer))?;
        self.check("disk", |_| disk::look(&env, &endpoint))?;
        self.check("credentials", |fixer| credentials::look(&env, fixer))?;
        self.check("service", |_| service_of(&env))?;
        self.check("socket", |fixer| socket::look(&env, &endpoint, fixer))?;
        let mut client = None;
        if self.report.status_of("socket") == Some(Status::Fail) {
            self.check("daemon", |_| Finding::skip("not asked: see `socket`"))?;
        } else {
            self.check("daemon", |_| daemon::look(&env, &mut client))?;
        }
        self.through_the_daemon(&env, client)?;
        self.check("plugin", |_| plugin::look(&env))?;
        self.check("shims", |_| shims::look(env.uid))?;
        self.check("leftovers", |fixer| leftovers::look(&env, &endpoint, fixer))
    }

    /// What only the daemon can tell; it alone has the login and speaks to OpenAI.
    fn through_the_daemon(&mut self, env: &Env, client: Option<Client>) -> Result<(), Failure> {
        let Some(mut client) = client else {
            for id in NEED_THE_DAEMON {
                self.check(id, |_| Finding::skip("needs the daemon"))?;
            }
            return Ok(());
        };
        let mut settings = None;
        self.check("settings", |_| daemon::settings(env, &mut client, &mut settings))?;
        self.check("session", |_| daemon::session(&client))?;
        self.check("records", |_| daemon::records(&mut client))?;
        let mut tried = None;
        self.check("clock", |_| network::clock(tried.insert(network::probe(&mut client))))?;
        if let Some(tried) = &tried {
            for (id, service) in [("issuer", Service::Issuer), ("backend", Service::Backend)] {
                let (finding, took) = network::way(tried, service);
                self.report.checks.push(Check::new(id, finding, Fixer::new(self.fix), took));
            }
        }
        let reachable = self.report.status_of("backend") != Some(Status::Fail);
        let mut account = None;
        self.check("login", |_| login::look(&mut client, reachable, &mut account))?;
        let usable = matches!(self.report.status_of("login"), Some(Status::Ok | Status::Warn));
        self.check("history", |_| login::history(&mut client, words::unix_now()))?;
        if usable {
            self.check("models", |_| answers::models(&mut client))?;
            self.check("limits", |_| answers::limits(&mut client, words::unix_now()))?;
        } else {
            self.check("models", |_| Finding::skip("needs a login that works"))?;
            self.check("limits", |_| Finding::skip("needs a login that works"))?;
        }
        self.check("questions", |_| answers::questions(&mut client, words::unix_now()))?;
        self.check("callback", |_| callback::look(settings.as_ref(), account.as_ref()))
    }

    /// Carries out one check and notes how long it took.
    fn check(&mut self, id: &'static str, look: impl FnOnce(&mut Fixer) -> Finding) -> Result<(), Failure> {
        self.context.output.progress(&format!("looking at: {id}"))?;
        let mut fixer = Fixer::new(self.fix);
        let begun = Instant::now();
        let finding = look(&mut fixer);
        self.report.checks.push(Check::new(id, finding, fixer, begun.elapsed()));
        Ok(())
    }
}

fn service_of(env: &Env) -> Finding {
    match service::look(env) {
        Look::Absent => Finding::ok("none: whoever needs the daemon starts it"),
        Look::Is(state) => Finding::ok(state),
        Look::Gone(program) => Finding::fail(
            format!("it starts `{}`, which is not there", program.display()),
            "run `codex-oauth service install` again, or `codex-oauth service uninstall`",
            Exit::Daemon,
        ),
        Look::Unknown(why) => Finding::warn(
            why,
            "run `codex-oauth service status` where you are logged in, or `service uninstall`",
        ),
    }
}
