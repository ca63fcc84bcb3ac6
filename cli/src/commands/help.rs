//! `codex-oauth help`: the help of a command, or a guide of the documentation, plain for a terminal. The guides are those of
//! the source, built in, so that they fit this build and need no network.

mod plain;

use clap::Parser as _;
use clap::error::ErrorKind;
use codex_oauth_proto::{ErrorCode, NextStep, WireError};

use crate::args::{Args, HelpArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

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

/// Shows what was asked for; without a word, the help of `codex-oauth` and the list of topics.
pub(crate) fn run(context: &mut Context, args: &HelpArgs) -> Result<Exit, Failure> {
    let text = match args.words.as_slice() {
        [topic] if let Some(page) = page(topic) => plain::text(page, context.output.columns(), &topic_of),
        words => of_command(words).ok_or_else(|| unknown(words))?,
    };
    context.output.out(&text)?;
    if args.words.is_empty() {
        context.output.out(&format!("\nTopics of `codex-oauth help`:\n{}", topics()))?;
    }
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

/// A line for each, with its title.
fn topics() -> String {
    let title =
        |text: &str| text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default().to_owned();
    let rows: Vec<_> = TOPICS.iter().map(|(name, _, text)| [format!("  {name}"), title(text)]).collect();
    crate::words::table(&rows)
}

fn unknown(words: &[String]) -> WireError {
    let topics: Vec<&str> = TOPICS.iter().map(|(name, ..)| *name).collect();
    let message =
        format!("could not find help on `{}`: the topics are {}", words.join(" "), topics.join(", "));
    WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments)
}
