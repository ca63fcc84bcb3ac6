//! A terminal of 24 rows: what a person looks for is on the screen when the command has ended.

use std::path::Path;
use std::process::Command;

use codex_oauth_rig::{Rig, binary, eventually};

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

/// A terminal with its own idea of rows: tmux, without anybody's settings.
struct Tmux<'r>(&'r Rig);

impl Tmux<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.home.command(Path::new("tmux"));
        command.args(["-u", "-f", "/dev/null", "-S", "tmux.socket"]).args(args);
        command.env("LANG", "C.UTF-8").env("TERM", "xterm");
        command
    }

    fn told(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("tmux is installed");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is on the screen of a session of this name when a command has ended.
    fn shows(&self, session: &str, args: &str) -> String {
        const END: &str = "$ the next prompt";
        let program = binary("codex-oauth").display().to_string();
        let script = format!("echo '$ codex-oauth {args}'; '{program}' {args}; printf '{END}'; exec cat");
        self.told(&["new-session", "-d", "-s", session, "-x", "80", "-y", "24", "sh", "-c", &script]);
        let mut screen = String::new();
        eventually("the command ends", || {
            screen = self.told(&["capture-pane", "-p", "-t", session]);
            screen.contains(END)
        });
        screen
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        // A test that fails may not have started it.
        let _ended = self.command(&["kill-server"]).output();
    }
}

#[test]
fn a_real_terminal_shows_the_same() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    let tmux = Tmux(&rig);
    for (session, (args, shown)) in [
        ("", ["$ codex-oauth\n", "signed in  ada", "daemon  "]),
        ("help", ["$ codex-oauth help\n", "  login  ", "socket-api\n"]),
        ("doctor", ["ok    leftovers", " ok, ", "\nnext  "]),
        ("config", ["callback_ports", "no_browser", "limits.*: "]),
        ("test --demo", ["$ codex-oauth test --demo\n", "SIMULATED: ", "all of it works\n"]),
    ]
    .into_iter()
    .enumerate()
    {
        let screen = tmux.shows(&format!("s{session}"), args);
        for part in shown {
            assert!(screen.contains(part), "{args}: no {part:?} in\n{screen}");
        }
    }
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
    // Two failures, of which one is among the first checks.
    let gone = rig.home.path().join("home/.claude");
    #[expect(clippy::disallowed_methods, reason = "a folder that is a file")]
    std::fs::rename(&gone, gone.with_extension("moved")).unwrap();
    std::fs::File::create(&gone).unwrap();
    let broken = seen(&rig, &["doctor"]);
    assert_eq!(broken.matches("\nFAIL ").count(), 2, "{broken}");
    assert!(broken.contains("                   next: ") && broken.contains("\nnext "), "{broken}");
}
