//! The command line itself: help, versions, mistakes.

use codex_oauth_proto::{BUILD, PROTOCOL};

use crate::rig::{Place, script};

#[test]
fn the_short_version_is_one_line() {
    let ran = Place::new().run(&["-V"]);
    assert_eq!((ran.code(), ran.stdout), (0, format!("codex-oauth {BUILD}\n")));
}

#[test]
fn the_long_version_names_protocol_and_daemon_and_starts_none() {
    let place = Place::new();
    let (min, max) = (PROTOCOL.min.0, PROTOCOL.max.0);
    let spoken = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let absent = format!("codex-oauth {BUILD}\nprotocol    {spoken}\ndaemon      not running\n");
    let ran = place.run(&["--version"]);
    assert_eq!((ran.code(), ran.stdout), (0, absent));

    let daemon = place.daemon(vec![script(|mut session| assert_eq!(session.next(), None))]);
    let there = format!(
        "codex-oauth {BUILD}\nprotocol    {spoken}\ndaemon      {BUILD} (process 4711, protocol 1)\n"
    );
    let ran = place.run(&["--version"]);
    assert_eq!((ran.code(), ran.stdout), (0, there));
    daemon.done();
}

#[test]
fn help_documents_examples_and_exit_codes_and_fits_the_terminal() {
    for args in [
        vec!["--help"],
        vec!["-h"],
        vec!["help", "query"],
        vec!["query", "--help"],
        vec!["login", "--help"],
        vec!["logout", "--help"],
        vec!["status", "--help"],
        vec!["models", "--help"],
        vec!["usage", "--help"],
        vec!["config", "--help"],
        vec!["completions", "--help"],
        vec!["man", "--help"],
        vec!["daemon", "--help"],
        vec!["daemon", "stop", "--help"],
    ] {
        let ran = Place::new().run(&args);
        assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""), "{args:?}");
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    }
    let help = Place::new().run(&["--help"]).stdout;
    assert!(
        help.contains("Examples:")
            && help.contains("Exit codes:")
            && help.contains("Environment:")
            && help.contains("Shell:"),
        "{help}"
    );
}

#[test]
fn a_mistake_is_explained_on_standard_error_with_code_2() {
    for args in [vec!["qerry"], vec!["status", "--nope"], vec!["daemon"], vec!["login", "--json"]] {
        let ran = Place::new().run(&args);
        assert_eq!((ran.code(), ran.stdout.as_str()), (2, ""), "{args:?}");
        assert!(ran.stderr.contains("Usage:"), "{args:?}: {}", ran.stderr);
    }
}
