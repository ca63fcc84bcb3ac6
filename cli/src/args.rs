//! The command line. Its help is the command's documentation, so the texts here are written for people.

mod account;
mod help;
#[cfg(windows)]
mod install;
mod logs;
pub(crate) mod suggestion;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;

use crate::exit;

pub(crate) use account::{AccountCommand, AdoptArgs, ImportArgs};
#[cfg(windows)]
pub(crate) use install::InstallArgs;
pub(crate) use logs::LogsArgs;

/// Readable in any terminal.
const HELP_COLUMNS: usize = 80;

/// Codex from your ChatGPT plan, in a shell.
///
/// One daemon per user holds the login; this command, Claude Code and scripts share it. The daemon is started when it is
/// needed. Without a command: `status`.
#[derive(Debug, Parser)]
#[command(
    name = "codex-oauth",
    disable_version_flag = true,
    // Ours also shows the guides.
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    max_term_width = HELP_COLUMNS,
    // The commands are what is looked for, and a terminal of 24 rows shows the end.
    help_template = "{about-with-newline}\n{usage-heading} {usage}\n\nOptions:\n{options}\n\nCommands:\n{subcommands}{after-help}",
    after_long_help = [help::ENVIRONMENT, exit::TABLE, help::EXAMPLES, help::SHELL].join("\n\n"),
    after_help = help::MORE,
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) status: StatusArgs,

    /// Print the version of this command
    #[arg(short = 'V')]
    pub(crate) short_version: bool,

    /// Print the versions of this command, of its protocol, and of the daemon if one runs
    #[arg(long, conflicts_with = "short_version")]
    pub(crate) version: bool,
}

impl Args {
    /// Whether whoever runs this reads JSON.
    pub(crate) const fn wants_json(&self) -> bool {
        match &self.command {
            None => self.status.json,
            Some(Command::Status(status)) => status.json,
            Some(Command::Logout(logout)) => logout.json,
            Some(Command::Models(models)) => models.json,
            Some(Command::Query(query)) => query.json,
            Some(Command::Answers(answers)) => answers.json,
            Some(Command::Usage(usage)) => usage.json,
            Some(Command::Explain(explain)) => explain.json,
            Some(Command::Config(config)) => config.json,
            Some(Command::Doctor(doctor)) => doctor.json,
            Some(
                Command::Daemon { command: DaemonCommand::Status { json } }
                | Command::Account {
                    command: AccountCommand::History { json, .. } | AccountCommand::List { json },
                },
            ) => *json,
            Some(
                Command::Login(_)
                | Command::Logs(_)
                | Command::Test(_)
                | Command::BugReport(_)
                | Command::Account { .. }
                | Command::Daemon { .. }
                | Command::Service { .. }
                | Command::Uninstall(_)
                | Command::Completions(_)
                | Command::Man(_)
                | Command::Help(_),
            ) => false,
            #[cfg(windows)]
            Some(Command::Install(_)) => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(LoginArgs),
    Logout(LogoutArgs),
    Status(StatusArgs),
    Models(ModelsArgs),
    Query(QueryArgs),
    Answers(AnswersArgs),
    Usage(UsageArgs),
    Explain(ExplainArgs),
    Test(TestArgs),
    BugReport(BugReportArgs),
    Config(ConfigArgs),
    Doctor(DoctorArgs),
    Logs(LogsArgs),
    /// Several logins, the Codex CLI's, and a closer look
    Account {
        #[command(subcommand)]
        command: AccountCommand,
    },
    /// Run, start, stop and look at the daemon
    #[command(after_help = help::DAEMON_HELP)]
    Daemon {
        #[command(subcommand)]
        command: DaemonCommand,
    },
    /// Let the system listen for the daemon, and start it
    ///
    /// Without this, whoever needs it first starts it.
    #[command(after_help = help::SERVICE_HELP)]
    Service {
        #[command(subcommand)]
        command: ServiceCommand,
    },
    #[cfg(windows)]
    Install(InstallArgs),
    Uninstall(UninstallArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Help(HelpArgs),
}

/// Sign in with your ChatGPT account
///
/// Opens a browser, prints the link, and waits until you are through. Where a browser does not reach this machine it also
/// shows a code for a browser anywhere, and takes the address that the browser ended at. The first of these ways that you
/// use ends the others. A login from before stays in force until the new one is complete. All windows share one login: a
/// second `codex-oauth login` joins the one that waits.
///
/// Ctrl-C calls the login off if this command began it; one that was already waiting goes on without you, and `--cancel` calls
/// it off.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_help = help::LOGIN_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own, of which one may be given")]
pub(crate) struct LoginArgs {
    /// Open no browser: print the link, and nothing else, on standard output and wait
    #[arg(long, group = "way")]
    pub(crate) no_browser: bool,
    /// Open no browser: show a code to enter in a browser anywhere
    #[arg(long, group = "way")]
    pub(crate) device: bool,
    /// Open no browser: sign in elsewhere, then paste the address that the browser ended at; it is not shown
    #[arg(long, group = "way")]
    pub(crate) paste: bool,
    /// Call off the login that waits, whichever window began it; nobody is signed out
    #[arg(long, group = "way")]
    pub(crate) cancel: bool,
    /// Sign in to this account, a new one too, instead of the folder's or the default one
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
}

/// Sign out everywhere on this machine
///
/// Revokes the login at OpenAI and removes it here, for every window.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct LogoutArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Use this account instead of the folder's or the default one
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
}

/// Show answers kept for a window that was closed, or stopped waiting
///
/// A question goes on when its asker is gone, and its answer was paid for. It is kept on this machine for ten minutes, in
/// plain text in a file of your own, also over a restart of the daemon. Questions are not kept.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = help::ANSWERS_HELP)]
pub(crate) struct AnswersArgs {
    /// Which one to print: its id, or `last`; without it they are listed
    #[arg(value_name = "ID|last")]
    pub(crate) which: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show who is signed in, the limits, and the daemon
///
/// Exits with 0 when you are signed in and with 3 when not.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = help::STATUS_HELP)]
pub(crate) struct StatusArgs {
    /// Also try the login and the way to OpenAI: one small request that uses nothing of your plan
    #[arg(long)]
    pub(crate) probe: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Use this account instead of the folder's or the default one
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
}

/// List the models of your account
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = help::MODELS_HELP)]
pub(crate) struct ModelsArgs {
    /// Also those that the official client hides
    #[arg(long)]
    pub(crate) all: bool,
    /// Print one JSON object, hidden models included
    #[arg(long)]
    pub(crate) json: bool,
    /// Use this account instead of the folder's or the default one
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
}

/// Ask a question and print the answer as it comes
///
/// The answer goes to standard output, everything else to standard error. Text on standard input is put below the
/// question.
///
/// Ctrl-C stops the answer; a second Ctrl-C does not wait for the daemon to confirm it.
#[derive(Clone, Debug, ClapArgs)]
#[command(visible_alias = "ask", after_help = help::QUERY_HELP)]
pub(crate) struct QueryArgs {
    /// The question; `-` reads standard input
    #[arg(value_name = "PROMPT")]
    pub(crate) prompt: Vec<String>,
    /// A name from `codex-oauth models`
    #[arg(short, long)]
    pub(crate) model: Option<String>,
    /// How hard to think, such as low, medium or high
    #[arg(short, long)]
    pub(crate) effort: Option<String>,
    /// Instructions that the model follows throughout
    #[arg(short, long)]
    pub(crate) system: Option<String>,
    /// Print one JSON object at the end: answer, model, tokens, time, error
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the answer only when it is whole
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// Use this account instead of the folder's or the default one
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
}

/// Show what of your plan is used and when it starts anew
///
/// Asks OpenAI now; that uses nothing of your plan. A limit that is reached is shown and is no failure.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = help::USAGE_HELP)]
pub(crate) struct UsageArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Use this account instead of the folder's or the default one
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
}

/// Tell what became of a question, or what an error code means
///
/// An error ends with the id of its question. The steps of the last 200 questions are kept on this machine, without a word of
/// question or answer, also over a restart of the daemon.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = help::EXPLAIN_HELP)]
pub(crate) struct ExplainArgs {
    /// The beginning of a question's id, an error code, or `last`, which is also the default
    #[arg(value_name = "ID|CODE|last", conflicts_with = "all")]
    pub(crate) which: Option<String>,
    /// List the questions that are kept
    #[arg(long)]
    pub(crate) all: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Try and time each step, from the login to an answer of one word
///
/// Unlike `doctor` it asks a question, which uses a little of your plan. The first step that fails says why, and the one next
/// step.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = help::TEST_HELP)]
pub(crate) struct TestArgs {
    /// Against fake-openai on this machine, in a home of its own: no account, nothing leaves the machine
    #[arg(long)]
    pub(crate) demo: bool,
    /// Use this account instead of the folder's or the default one
    #[arg(long, value_name = "NAME", conflicts_with = "demo")]
    pub(crate) account: Option<String>,
}

/// Make one archive for a bug report, and say what is in it
///
/// Versions, settings, state, the steps of the last questions, what `doctor` finds, the end of the log. E-mail addresses,
/// tokens, the account's id and the home folder are taken out; questions and answers are not in it. Nothing is sent anywhere.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = help::BUG_REPORT_HELP)]
pub(crate) struct BugReportArgs {
    /// Where to write it; a file that is there is never overwritten
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Show every setting, its value and where it comes from
///
/// A setting comes from its environment variable, else from config.toml, else it has its default. The variable is the name
/// in capitals behind `CODEX_OAUTH_`: `CODEX_OAUTH_LOG` sets `log`. A name with a dot has no variable.
///
/// The daemon reads the settings once, when it starts. `codex-oauth daemon stop` renews them: the next use starts it again.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(after_help = help::CONFIG_HELP)]
pub(crate) struct ConfigArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<ConfigCommand>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write proxy and CA file of this shell into config.toml
    ///
    /// `HTTPS_PROXY` or `ALL_PROXY`, `NO_PROXY`, `CODEX_CA_CERTIFICATE` or `SSL_CERT_FILE`, and our own variables before them. A daemon
    /// that a session starts is given none of the general ones: one project's would lead everybody's login that way.
    Import(ImportNetworkArgs),
}

/// What becomes of keys that are there
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct ImportNetworkArgs {
    /// Leave what config.toml already says
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Look at all that a question needs, and say the one next step
///
/// Programs, folders, disk, socket, daemon, clock, the way to OpenAI, login, models, limits, the plugin in Claude Code. Starts
/// the daemon when none runs. Asks OpenAI only what uses nothing of your plan.
///
/// Exits with 0 when nothing failed, also with warnings; else with the code of the first failure.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(after_help = help::DOCTOR_HELP)]
pub(crate) struct DoctorArgs {
    /// Mend what is safe to mend: permissions of our own files, missing folders, what crashed programs left; never the login
    #[arg(long)]
    pub(crate) fix: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the completions of a shell
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(hide = true, after_help = help::COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// Whose
    pub(crate) shell: Shell,
}

/// Print the manual page, or write all of them
#[derive(Clone, Debug, ClapArgs)]
#[command(hide = true, after_help = help::MAN_HELP)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Show a guide, or the help of a command
///
/// `codex-oauth help` lists the commands and the guides. The guides are those of this build.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_help = help::HELP_HELP)]
pub(crate) struct HelpArgs {
    /// A topic, or a command
    #[arg(value_name = "TOPIC")]
    pub(crate) words: Vec<String>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Run the daemon in this terminal, its log in front of you
    Run,
    /// Start the daemon in the background unless one runs
    Start,
    /// Let running questions finish, then end the daemon; the next use starts it again
    Stop,
    /// Show the running daemon; never starts one (exit code 6 when none runs)
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Write the service's files and put them into force; run it again after a change of settings
    Install(InstallServiceArgs),
    /// End the service and remove its files; the daemon is then started by whoever needs it
    Uninstall,
    /// Show what is installed and whether it runs
    Status,
}

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct InstallServiceArgs {
    /// Also what needs user namespaces (systemd only); where the system forbids them the service does not start
    #[arg(long)]
    pub(crate) harden: bool,
}

/// Remove what the installation put in place
///
/// Ends the daemon and its service, unregisters the Claude Code plugin and removes the programs. Programs that came in a package or in
/// the plugin stay, with the command that removes them. Login, state and configuration stay, and what stays is named.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct UninstallArgs {
    /// Also sign out everywhere, and remove state and configuration
    #[arg(long)]
    pub(crate) purge: bool,
    /// Do not ask first
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
