//! `codex-oauth help`: the help of a command, or a guide of the documentation, plain for a terminal. The guides are those of
//! the source, built in, so that they fit this build and need no network.

mod plain;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use codex_oauth_proto::{ErrorCode, NextStep, WireError};

use crate::args::{Args, HelpArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use codex_oauth_proto::people::words::folded;

/// A terminal's.
const COLUMNS: usize = 80;

/// Topics, the files that they are, in the order in which somebody new needs them.
const TOPICS: &[(&str, &str, &str)] = &[
    ("quick-start", "QUICK_START.md", include_str!("../../../docs/QUICK_START.md")),
    ("debugging", "DEBUGGING.md", include_str!("../../../docs/DEBUGGING.md")),
    // `help doctor` is the command's.
    ("checks", "DOCTOR.md", include_str!("../../../docs/DOCTOR.md")),
    ("errors", "ERRORS.md", include_str!("../../../docs/ERRORS.md")),
    ("configuration", "CONFIGURATION.md", include_str!("../../../docs/CONFIGURATION.md")),
    ("limits", "LIMITS.md", include_str!("../../../docs/LIMITS.md")),
    ("accounts", "ACCOUNTS.md", include_str!("../../../docs/ACCOUNTS.md")),
    ("platforms", "PLATFORMS.md", include_str!("../../../docs/PLATFORMS.md")),
    ("windows", "WINDOWS.md", include_str!("../../../docs/WINDOWS.md")),
    // `help service` is the command's.
    ("services", "SERVICE.md", include_str!("../../../docs/SERVICE.md")),
    ("security", "SECURITY.md", include_str!("../../../SECURITY.md")),
    ("migrating", "MIGRATING.md", include_str!("../../../docs/MIGRATING.md")),
    ("compared", "COMPARED.md", include_str!("../../../docs/COMPARED.md")),
    ("socket-api", "SOCKET_API.md", include_str!("../../../docs/SOCKET_API.md")),
];

/// Shows what was asked for; without a word, what can be asked for.
pub(crate) fn run(context: &mut Context, args: &HelpArgs) -> Result<Exit, Failure> {
    let text = match args.words.as_slice() {
        [] => overview(),
        [topic] if let Some(page) = page(topic) => plain::text(page, context.output.columns(), &topic_of),
        words => of_command(words).ok_or_else(|| unknown(words))?,
    };
    context.output.out(&text)?;
    Ok(Exit::Success)
}

fn page(topic: &str) -> Option<&'static str> {
    TOPICS.iter().find(|(name, ..)| *name == topic).map(|(.., text)| *text)
}

/// The topic that a link of the documentation leads to.
fn topic_of(link: &str) -> Option<&'static str> {
    let file = link.split('#').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    TOPICS.iter().find(|(_, name, _)| *name == file).map(|(topic, ..)| *topic)
}

/// What `--help` behind these words says; nothing when they are no command.
fn of_command(words: &[String]) -> Option<String> {
    let line = ["codex-oauth"].into_iter().chain(words.iter().map(String::as_str)).chain(["--help"]);
    let told = Args::try_parse_from(line).err()?;
    (told.kind() == ErrorKind::DisplayHelp).then(|| told.render().to_string())
}

/// The commands and the guides, on one screen of 24 rows with the line that asked for it and the one that is typed next.
fn overview() -> String {
    let command = Args::command();
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    let rows: Vec<_> = shown
        .map(|command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            [format!("  {}", command.get_name()), about]
        })
        .collect();
    format!(
        "codex-oauth COMMAND, without one `status`; COMMAND --help says more.\n{}\
         Guides, as in `codex-oauth help quick-start`:\n{}\n",
        crate::words::table(&rows),
        folded(&topics(), COLUMNS)
    )
}

fn topics() -> String {
    TOPICS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}

fn unknown(words: &[String]) -> WireError {
    let message = format!("could not find help on `{}`: the topics are {}", words.join(" "), topics());
    WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments)
}
