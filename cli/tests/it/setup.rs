//! `completions` and `man`: what a shell and `man` need. Neither asks a daemon.

use std::fs;

use crate::rig::Place;

#[test]
fn every_shell_gets_completions_with_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = Place::new().run(&["completions", shell]);
        assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""), "{shell}");
        for word in
            ["login", "logout", "status", "usage", "models", "query", "config", "daemon", "no-browser"]
        {
            assert!(ran.stdout.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn the_manual_page_has_what_the_help_has() {
    let ran = Place::new().run(&["man"]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    for line in [".SH NAME", ".SH SYNOPSIS", ".SH EXAMPLES", ".SH ENVIRONMENT", ".SH \"EXIT CODES\""] {
        assert!(ran.stdout.lines().any(|found| found == line), "{line}\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("codex\\-oauth\\-query(1)"), "{}", ran.stdout);
}

#[test]
fn every_command_gets_a_page_in_a_folder_that_is_made() {
    let place = Place::new();
    let folder = place.path().join("share/man1");
    let ran = place.run(&["man", "--out", folder.to_str().unwrap()]);
    assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""));
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in ["codex-oauth.1", "codex-oauth-query.1", "codex-oauth-daemon.1", "codex-oauth-daemon-stop.1"]
    {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    assert_eq!(ran.stdout, format!("{} pages written to {}\n", names.len(), folder.display()));
    let query = fs::read_to_string(folder.join("codex-oauth-query.1")).unwrap();
    assert!(query.contains(".TH CODEX-OAUTH-QUERY 1 "), "{query}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    fs::File::create(place.path().join("file")).unwrap();
    let folder = place.path().join("file/man1");
    let ran = place.run(&["man", "--out", folder.to_str().unwrap()]);
    assert_eq!(ran.code(), 1);
    let told = format!("error: could not write `{}`: ", folder.display());
    assert!(ran.stderr.starts_with(&told) && ran.stderr.contains("\nnext: "), "{}", ran.stderr);
}
