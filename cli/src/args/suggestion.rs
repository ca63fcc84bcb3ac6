//! A command that was typed with two letters swapped is suggested: `aks` means `ask`. clap compares letters within a window
//! that is empty for names as short as these, and suggests what it finds for longer ones.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _, Error};

use super::Args;

/// The error for this command line, with the commands and aliases of the same letters, unless clap knows better ones.
pub(crate) fn added(mut refused: Error, line: impl IntoIterator<Item = OsString>) -> Error {
    let Some(ContextValue::String(typed)) = refused.get(ContextKind::InvalidSubcommand) else {
        return refused;
    };
    if refused.kind() == ErrorKind::InvalidSubcommand
        && refused.get(ContextKind::SuggestedSubcommand).is_none()
    {
        let near = of_the_same_letters(typed, line);
        if !near.is_empty() {
            refused.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
        }
    }
    refused
}

/// Among the commands that could stand where it was typed.
fn of_the_same_letters(typed: &str, line: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let all = Args::command();
    let before = line.into_iter().skip(1).take_while(|word| word != typed);
    let here: &Command = before.fold(&all, |here, word| here.find_subcommand(&word).unwrap_or(here));
    let wanted = letters(typed);
    let shown = here.get_subcommands().filter(|command| !command.is_hide_set());
    let names = shown.flat_map(Command::get_name_and_visible_aliases);
    names.filter(|name| letters(name) == wanted).map(str::to_owned).collect()
}

fn letters(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_command_with_swapped_letters_is_suggested_an_alias_too() {
        for (line, tip) in [
            (vec!["aks", "why"], Some("'ask'")),
            (vec!["quer", "why"], Some("'query'")),
            (vec!["account", "ues"], Some("'use'")),
            (vec!["daemon", "rnu"], Some("'run'")),
            (vec!["xyz"], None),
        ] {
            let line: Vec<OsString> = ["codex-oauth"].iter().chain(&line).map(OsString::from).collect();
            let refused = added(Args::try_parse_from(&line).unwrap_err(), line.clone());
            let said = refused.render().to_string();
            let expected = tip.map(|name| format!("\n  tip: a similar subcommand exists: {name}\n"));
            assert_eq!(said.contains("tip:"), tip.is_some(), "{said}");
            assert!(said.contains(&expected.unwrap_or_default()), "{said}");
        }
    }
}
