//! A terminal of 24 rows: what a person looks for is on the screen when the command has ended.

use codex_oauth_rig::{Rig, binary};

use super::WIDE;
use super::pty::{Streams, on_terminal};

/// Without the line that was typed and the one with the next prompt.
const ROWS: usize = 22;

/// What a command leaves, as rows of the terminal.
fn rows(rig: &Rig, args: &[&str]) -> Vec<String> {
    let mut command = rig.home.command(&binary("codex-oauth"));
    // As where nothing was set for a test.
    command.args(args).env("TZ", "UTC");
    let shown = on_terminal(command, Streams { stdout: true, stderr: true }, WIDE);
    let last_of_each = shown.screen.lines().map(|line| line.rsplit('\r').next().unwrap_or_default());
    let wide = usize::from(WIDE);
    let rows = last_of_each.flat_map(|line| {
        let symbols: Vec<char> = line.chars().collect();
        let pieces: Vec<String> = symbols.chunks(wide).map(|piece| piece.iter().collect()).collect();
        if pieces.is_empty() { vec![String::new()] } else { pieces }
    });
    rows.collect()
}

/// The rows that are still in sight.
fn seen(rig: &Rig, args: &[&str]) -> String {
    let rows = rows(rig, args);
    rows[rows.len().saturating_sub(ROWS)..].join("\n")
}

#[test]
fn what_people_ask_for_is_on_one_screen() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    for args in [
        &["ask", "x"][..],
        &[],
        &["status", "--probe"],
        &["explain", "last"],
        &["explain", "--all"],
        &["explain", "usage_limit_reached"],
        &["test"],
        &["test", "--demo"],
        &["usage"],
        &["models"],
        &["help"],
        &["answers"],
        &["account", "list"],
        &["account", "history"],
        &["daemon", "status"],
        &["bug-report"],
        &["service", "status"],
        &["--version"],
    ] {
        let rows = rows(&rig, args);
        assert!(!rows.is_empty() && rows.len() <= ROWS, "{args:?}: {} rows\n{}", rows.len(), rows.join("\n"));
    }
}

#[test]
fn of_what_is_longer_the_end_is_what_matters() {
    let rig = Rig::new();
    let daemon = rig.signed_in();
    let well = seen(&rig, &["doctor"]);
    assert!(well.contains(" ok") && well.contains("\nnext "), "{well}");
    let settings = seen(&rig, &["config"]);
    assert!(settings.contains("callback_ports") && settings.contains("no_browser"), "{settings}");
    let commands = seen(&rig, &["-h"]);
    assert!(commands.contains("\n  login ") && commands.contains("\n  uninstall "), "{commands}");
    drop(daemon);
    // Three failures, of which two are among the first checks.
    let gone = rig.home.path().join("home/.claude");
    #[expect(clippy::disallowed_methods, reason = "a folder that is a file")]
    std::fs::rename(&gone, gone.with_extension("moved")).unwrap();
    std::fs::File::create(&gone).unwrap();
    let broken = seen(&rig, &["doctor"]);
    assert_eq!(broken.matches("\nFAIL ").count(), 3, "{broken}");
    assert!(broken.contains("                   next: ") && broken.contains("\nnext "), "{broken}");
}
