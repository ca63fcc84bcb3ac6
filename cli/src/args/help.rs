//! What stands below the options in the help: examples, and what a person looks up.

pub(super) const EXAMPLES: &str = "\
Examples:
  codex-oauth login
  codex-oauth query \"why does the sky turn red at dusk\"
  git diff | codex-oauth query \"review this change\" > review.md
  codex-oauth status --json";

pub(super) const MORE: &str = "\
More: `codex-oauth help` for the guides, `--help` for examples and exit codes.";

pub(super) const SHELL: &str = "\
Shell:
  codex-oauth help TOPIC        guides: quick-start, debugging, ...
  codex-oauth completions bash  also for zsh, fish, powershell and elvish
  codex-oauth man --out DIR     manual pages of all commands";

pub(super) const ENVIRONMENT: &str = "\
Environment:
  CODEX_DEBUG=1             say on standard error what happens, layer by layer
  CODEX_OAUTH_NO_BROWSER=1  as `login --no-browser`
  CODEX_OAUTH_NO_SPAWN=1    never start a daemon
  CODEX_OAUTH_DAEMON        the daemon's binary, an absolute path
  CODEX_OAUTH_RUNTIME_DIR   where the daemon's socket lies
  CODEX_OAUTH_AUTH_FILE     where the login is kept (~/.claude/auth.json)";

pub(super) const LOGIN_HELP: &str = "\
Examples:
  codex-oauth login
  codex-oauth login --device
  codex-oauth login --paste
  codex-oauth login --no-browser | qrencode -t utf8
  codex-oauth login --cancel

Over SSH use `--device`. Or run `ssh -L 1455:127.0.0.1:1455 <this host>` at home
and open the link there. Or open it there without that, and paste the address
that the browser ends at into `codex-oauth login --paste`.";

pub(super) const STATUS_HELP: &str = "\
Examples:
  codex-oauth status --probe
  codex-oauth status > /dev/null || codex-oauth login

The JSON object has `account`, `rateLimits`, `daemon` and `warnings`; on failure
it has `error`.";

pub(super) const MODELS_HELP: &str = "\
Examples:
  codex-oauth models
  codex-oauth models --json | jq -r '.models[].id'";

pub(super) const QUERY_HELP: &str = "\
Examples:
  codex-oauth query \"explain this error\" < build.log
  codex-oauth ask -m gpt-5.5 -e high \"is 2^61-1 prime\"
  codex-oauth query - < question.txt
  codex-oauth query --json \"name a colour\" | jq -r .answer

A question that begins with a dash goes after `--`. In a loop that reads from
standard input, add `< /dev/null` so that the question does not swallow it.
On failure the part of the answer that came stays on standard output.";

pub(super) const ANSWERS_HELP: &str = "\
Examples:
  codex-oauth answers
  codex-oauth answers last";

pub(super) const USAGE_HELP: &str = "\
Examples:
  codex-oauth usage
  codex-oauth usage --json | jq '.rateLimits[0].primary.usedPercent'";

pub(super) const EXPLAIN_HELP: &str = "\
Examples:
  codex-oauth explain
  codex-oauth explain 7f3a
  codex-oauth explain usage_limit_reached
  codex-oauth explain --all";

pub(super) const TEST_HELP: &str = "\
Examples:
  codex-oauth test
  codex-oauth test --demo";

pub(super) const BUG_REPORT_HELP: &str = "\
Examples:
  codex-oauth bug-report
  codex-oauth bug-report --output report.tar && tar -xOf report.tar | less";

pub(super) const CONFIG_HELP: &str = "\
Examples:
  codex-oauth config
  codex-oauth config --json | jq '.settings[] | select(.source == \"file\")'
  codex-oauth config import

config.toml, with the names that are shown:
  log = \"debug\"
  [limits]
  drain_ms = 60000";

pub(super) const DOCTOR_HELP: &str = "\
Examples:
  codex-oauth doctor
  codex-oauth doctor --fix
  codex-oauth doctor --json | jq '.checks[] | select(.status == \"fail\")'

The JSON object has `status` (ok, warn or fail), `first` and `next` (what to see
to first, and how), and `checks`, each with `id`, `status` (also skip),
`detail`, `remedy`, `mended` and `durationMs`. docs/DOCTOR.md lists the ids.";

pub(super) const LOGS_HELP: &str = "\
Examples:
  codex-oauth logs -f
  codex-oauth logs --debug -n 200
  CODEX_DEBUG=1 codex-oauth ask hello

The daemon's log is daemon.log in its state folder, three files of 10 MiB; with
`service install` on Linux systemd keeps it, and this asks journalctl.";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  codex-oauth completions bash > /etc/bash_completion.d/codex-oauth
  codex-oauth completions zsh > \"${fpath[1]}/_codex-oauth\"
  codex-oauth completions fish > ~/.config/fish/completions/codex-oauth.fish
  codex-oauth completions powershell >> $PROFILE";

pub(super) const MAN_HELP: &str = "\
Examples:
  codex-oauth man | man -l -
  codex-oauth man --out ~/.local/share/man/man1";

pub(super) const HELP_HELP: &str = "\
Examples:
  codex-oauth help quick-start
  codex-oauth help debugging | less
  codex-oauth help account add";

pub(super) const DAEMON_HELP: &str = "\
Examples:
  codex-oauth daemon status
  codex-oauth daemon stop && codex-oauth daemon start
  codex-oauth daemon run

`daemon run` becomes the daemon and ends with its exit codes: 75 when another
one runs already.";

pub(super) const SERVICE_HELP: &str = "\
Examples:
  codex-oauth service install
  codex-oauth service status

systemd and launchd start the daemon when somebody connects; Windows starts it
when you log in. Our own variables of this shell are written down for it; proxy
and CA file go to config.toml, as with `codex-oauth config import --keep`.
Nobody needs a service: without one, whoever needs the daemon starts it.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::HELP_COLUMNS;
    use crate::exit;

    #[test]
    fn no_line_of_the_help_is_wider_than_a_terminal() {
        for text in [
            EXAMPLES,
            SHELL,
            ENVIRONMENT,
            LOGIN_HELP,
            STATUS_HELP,
            MODELS_HELP,
            QUERY_HELP,
            ANSWERS_HELP,
            USAGE_HELP,
            EXPLAIN_HELP,
            TEST_HELP,
            BUG_REPORT_HELP,
            CONFIG_HELP,
            DOCTOR_HELP,
            LOGS_HELP,
            COMPLETIONS_HELP,
            MAN_HELP,
            HELP_HELP,
            DAEMON_HELP,
            SERVICE_HELP,
            exit::TABLE,
        ] {
            for line in text.lines() {
                assert!(line.chars().count() <= HELP_COLUMNS, "{line}");
            }
        }
    }
}
