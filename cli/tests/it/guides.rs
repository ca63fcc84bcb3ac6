//! The documentation is followed: every command of the pages is typed into a terminal on a new user's machine, and must end
//! as the page says and print what the page shows.

mod house;
pub(crate) mod page;

use std::collections::BTreeSet;

use self::house::{House, Ran};
use self::page::{Block, Page, Step, is_shown};
use crate::machine::{built, repository};
use crate::rig::Place;

/// Of the terminal; whatever the guides run must be readable in it.
pub(crate) const COLUMNS: u16 = 80;

/// The blocks that are not run, by page and first command. Each says its reason in the page; none is added without one that
/// holds: a real session manager, another system, Claude Code itself, or a build within a test.
const NOT_RUN: &[(&str, &str)] = &[
    ("CONTRIBUTING.md", "cargo build --workspace"),
    ("README.md", "./demo \"What is Python?\""),
    ("README.md", "powershell -ExecutionPolicy Bypass -File install.ps1"),
    ("docs/QUICK_START.md", "./demo \"What is Python?\""),
    (
        "docs/RELEASE.md",
        "DIST_PUBLISHER=… DIST_MAINTAINER='Name <address>' DIST_LICENSE=… ./dist --base-url https://…/v0.1.0",
    ),
    ("docs/SERVICE.md", "codex-oauth service install"),
    ("docs/SOCKET_API.md", "set -eu"),
    ("docs/WINDOWS.md", "apt-get install -y --no-install-recommends gcc-mingw-w64-x86-64 wine64 wine"),
];

fn failures(page: &Page, step: &Step, ran: &Ran) -> Option<String> {
    let place = format!("{}:{}: `{}`", page.name, step.line, step.command);
    if ran.exit_code != step.exit_code {
        return Some(format!(
            "{place} ended with {} instead of {}:\n{}",
            ran.exit_code, step.exit_code, ran.screen
        ));
    }
    if let Some(shown) = &step.shown
        && !is_shown(shown, &ran.screen)
    {
        return Some(format!("{place} printed:\n{}\ninstead of:\n{shown}", ran.screen));
    }
    let too_wide = |line: &&str| line.chars().count() > usize::from(COLUMNS) && !line.contains("://");
    let wide = ran.screen.lines().find(too_wide)?;
    // The lines of a log are as long as they are.
    let is_ours = step.command.starts_with("codex-oauth") && !step.command.starts_with("codex-oauth logs");
    is_ours.then(|| format!("{place} is wider than {COLUMNS} columns:\n{wide}"))
}

#[test]
fn every_command_of_the_pages_does_what_they_say() {
    let mut failed = Vec::new();
    for page in Page::all(repository()) {
        let blocks: Vec<Block> = page.blocks().into_iter().filter(|block| block.not_run.is_none()).collect();
        if blocks.is_empty() {
            continue;
        }
        let installs =
            blocks.iter().any(|block| block.steps.iter().any(|step| step.command.contains("install.sh")));
        let house = if installs { House::new() } else { House::new().installed() };
        for block in blocks {
            let ran = house.follow(&block.steps);
            failed.extend(block.steps.iter().zip(&ran).filter_map(|(step, ran)| failures(&page, step, ran)));
        }
    }
    assert!(failed.is_empty(), "{} commands failed\n\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn only_the_listed_commands_are_not_run() {
    let listed: BTreeSet<(String, String)> =
        NOT_RUN.iter().map(|(page, command)| ((*page).to_owned(), (*command).to_owned())).collect();
    let mut marked = BTreeSet::new();
    for page in Page::all(repository()) {
        for block in page.blocks().into_iter().filter(|block| block.not_run.is_some()) {
            assert!(block.not_run.is_some_and(|reason| reason.len() > 10), "{}: a reason", page.name);
            let command = block.steps[0].command.split("  #").next().unwrap_or_default().trim_end();
            marked.insert((page.name.clone(), command.to_owned()));
        }
    }
    assert_eq!(marked, listed, "marked in the pages, and listed here");
}

#[test]
fn every_call_that_a_sentence_names_exists() {
    let place = Place::new();
    for page in Page::all(repository()) {
        for span in page.spans() {
            let words: Vec<&str> = span.split(' ').skip(1).take_while(|word| is_plain(word)).collect();
            let (options, mut args): (Vec<&str>, Vec<&str>) =
                words.into_iter().partition(|word| word.starts_with('-'));
            args.push("--help");
            let ran = place.run(&args);
            assert_eq!(ran.code(), 0, "{}: `{span}`: {}", page.name, ran.stderr);
            for option in options {
                assert!(ran.stdout.contains(option), "{}: `{span}`: no such option {option}", page.name);
            }
        }
    }
    assert!(built("codex-oauth").is_file());
}

#[test]
fn the_readme_names_every_command_of_the_shell_and_of_claude_code() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let help = Place::new().run(&["--help"]).stdout;
    let (_, listed) = help.split_once("\nCommands:\n").unwrap();
    let listed = listed.lines().take_while(|line| !line.is_empty());
    // What a line goes on with is further in.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let ours = names.filter(|name| !name.is_empty()).map(|name| format!("codex-oauth {}", shown_as(name)));
    let files = std::fs::read_dir(repository().join("plugin/commands")).unwrap();
    let claudes = files.map(|file| {
        let file = file.unwrap().path();
        format!("`/codex-oauth:{}`", file.file_stem().unwrap().to_str().unwrap())
    });
    let missing: Vec<String> = ours.chain(claudes).filter(|name| !readme.contains(name)).collect();
    assert!(missing.is_empty(), "not in README.md: {missing:?}");
}

/// The name by which the guides call it.
fn shown_as(command: &str) -> &str {
    if command == "query" { "ask" } else { command }
}

/// A word that is typed as it is.
fn is_plain(word: &str) -> bool {
    word.chars().all(|symbol| symbol.is_ascii_lowercase() || symbol == '-')
}
