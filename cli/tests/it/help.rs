//! Help on a terminal of 80 columns: of every command, and every guide of the documentation.

use std::collections::BTreeSet;

use crate::guides::page::Page;
use crate::machine::repository;
use crate::rig::Place;
use crate::terminal::pty::{Streams, on_terminal};

/// Of the smallest terminal that is still usual.
const COLUMNS: u16 = 80;

/// Pages for those who build or change it, and what is a topic under another file's name.
const NO_TOPIC: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/RELEASE.md",
    "plugin/README.md",
];

fn shown(args: &[&str]) -> String {
    let place = Place::new();
    let shown = on_terminal(place.command(args), Streams { stdout: true, stderr: true }, COLUMNS);
    assert_eq!(shown.ran.code(), 0, "{args:?}: {}", shown.screen);
    shown.screen
}

fn fits(args: &[&str], screen: &str) {
    for line in screen.lines() {
        assert!(line.chars().count() <= usize::from(COLUMNS), "{args:?}: {line}");
    }
}

/// Every command with those below it, as words.
fn commands() -> Vec<Vec<String>> {
    let place = Place::new();
    let folder = place.path().join("man");
    assert_eq!(place.run(&["man", "--out", folder.to_str().unwrap()]).code(), 0);
    let pages =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> = pages
        .map(|page| {
            page.strip_prefix("codex-oauth").and_then(|name| name.strip_suffix(".1")).unwrap().to_owned()
        })
        .map(|name| name.trim_start_matches('-').to_owned())
        .collect();
    // A dash stands before a subcommand, or in a command's own name.
    let words = names.iter().map(|name| match name.split_once('-') {
        Some((above, below)) if names.contains(above) => vec![above.to_owned(), below.to_owned()],
        _ if name.is_empty() => Vec::new(),
        _ => vec![name.clone()],
    });
    words.collect()
}

#[test]
fn the_help_of_every_command_fits_the_terminal() {
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    for words in &commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let long = [&words[..], &["--help"]].concat();
        let screen = shown(&long);
        fits(&long, &screen);
        assert!(screen.contains("Usage:"), "{long:?}: {screen}");
        let short = [&words[..], &["-h"]].concat();
        fits(&short, &shown(&short));
        // The other way to ask for the same; without words it is shorter.
        let asked = [&["help"], &words[..]].concat();
        assert!(words.is_empty() || shown(&asked) == screen, "{asked:?}");
    }
}

#[test]
fn every_guide_is_a_topic_and_reads_well_on_a_terminal() {
    let list = shown(&["help"]);
    fits(&["help"], &list);
    let (_, list) = list.split_once("Guides, as in `codex-oauth help quick-start`:\n").expect("the guides");
    let topics: Vec<&str> = list.split(',').map(str::trim).collect();
    let titles: BTreeSet<String> = Page::all(repository())
        .into_iter()
        .filter(|page| !NO_TOPIC.contains(&page.name.as_str()))
        .map(|page| page.text.lines().next().unwrap().trim_start_matches("# ").to_owned())
        .collect();
    let mut found = BTreeSet::new();
    for topic in topics {
        let screen = shown(&["help", topic]);
        let (title, _) = screen.split_once('\n').unwrap();
        found.insert(title.to_owned());
        for line in screen.lines().filter(|line| !line.starts_with("    ")) {
            // A link or path cannot be folded.
            let one_word =
                line.trim_start_matches(|symbol: char| "*- 0123456789.".contains(symbol)).split(' ').count()
                    == 1;
            assert!(one_word || line.chars().count() <= usize::from(COLUMNS), "{topic}: {line}");
            for mark in ["](", "<!--", "**", "```", "| ---"] {
                assert!(!line.contains(mark), "{topic}: {mark} in {line}");
            }
        }
    }
    assert_eq!(found, titles, "the topics, and the pages that should be one");
}

#[test]
fn help_on_what_does_not_exist_names_the_topics() {
    let ran = Place::new().run(&["help", "everything"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("could not find help on `everything`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("quick-start, debugging"), "{}", ran.stderr);
}

#[test]
fn a_mistyped_alias_is_suggested() {
    let ran = Place::new().run(&["aks", "why"]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("\n  tip: a similar subcommand exists: 'ask'\n"), "{}", ran.stderr);
}
