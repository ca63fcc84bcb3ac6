//! One file per command; each is a conversation with the daemon and what a person sees of it.

mod account;
mod answers;
mod bug_report;
mod claude;
mod completions;
mod config;
mod daemon;
mod doctor;
mod explain;
mod help;
#[cfg(windows)]
mod install;
mod login;
mod logout;
mod logs;
mod man;
mod models;
mod query;
mod service;
mod status;
mod test;
mod uninstall;
mod usage;
mod version;
#[cfg(windows)]
mod windows;

use crate::args::{Args, Command};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs what the command line asks for; without a command, `status`.
pub(crate) fn run(context: &mut Context, args: Args) -> Result<Exit, Failure> {
    if args.short_version {
        return version::short(context);
    }
    if args.version {
        return version::long(context);
    }
    match args.command {
        None => status::run(context, &args.status),
        Some(Command::Logs(logs)) => logs::run(context, logs),
        Some(Command::Login(login)) => login::run(context, login),
        Some(Command::Logout(logout)) => logout::run(context, logout),
        Some(Command::Status(status)) => status::run(context, &status),
        Some(Command::Models(models)) => models::run(context, &models),
        Some(Command::Query(query)) => query::run(context, query),
        Some(Command::Answers(answers)) => answers::run(context, answers),
        Some(Command::Usage(usage)) => usage::run(context, usage),
        Some(Command::Test(test)) => test::run(context, test),
        Some(Command::BugReport(report)) => bug_report::run(context, report),
        Some(Command::Explain(explain)) => explain::run(context, explain),
        Some(Command::Config(config)) => config::run(context, config),
        Some(Command::Doctor(doctor)) => doctor::run(context, doctor),
        Some(Command::Completions(completions)) => completions::run(context, completions),
        Some(Command::Man(man)) => man::run(context, man),
        Some(Command::Help(help)) => help::run(context, &help),
        Some(Command::Account { command }) => account::run(context, command),
        Some(Command::Daemon { command }) => daemon::run(context, command),
        Some(Command::Service { command }) => service::run(context, command),
        #[cfg(windows)]
        Some(Command::Install(install)) => install::run(context, install),
        Some(Command::Uninstall(uninstall)) => uninstall::run(context, uninstall),
    }
}
