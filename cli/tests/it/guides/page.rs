//! A page of the documentation, read for the commands that it tells people to run.
//!
//! Commands stand in fenced blocks marked `sh` (a command a line), `console` (`$ ` before each command, below it what it
//! prints) or `powershell`. A comment on the line before a block says what is special about it:
//!
//! * `<!-- not run: REASON -->`: nothing in it is run by the test, which keeps a list of such blocks;
//! * `<!-- before: COMMAND -->`: run first, and not shown;
//! * `<!-- exit code N -->`: of the last command; the others end with 0.

use std::path::Path;

/// Fences whose blocks hold commands.
const COMMAND_FENCES: [&str; 3] = ["sh", "console", "powershell"];

/// One command and what is promised about it.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    /// Line of the page, from 1.
    pub(crate) line: usize,
    /// As it is typed, continuation lines included.
    pub(crate) command: String,
    /// What it prints, where that is shown.
    pub(crate) shown: Option<String>,
    pub(crate) exit_code: i32,
}

/// A fenced block of commands.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Block {
    /// Why it is not run.
    pub(crate) not_run: Option<String>,
    pub(crate) steps: Vec<Step>,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Page {
    /// From the repository's root.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Page {
    /// Every page of the root, of `docs/` and of the plugin, in the order of their names.
    pub(crate) fn all(root: &Path) -> Vec<Self> {
        let mut pages: Vec<Self> = ["", "docs/", "plugin/"]
            .into_iter()
            .flat_map(|folder| {
                std::fs::read_dir(root.join(folder)).unwrap().map(move |entry| (folder, entry))
            })
            .map(|(folder, entry)| format!("{folder}{}", entry.unwrap().file_name().into_string().unwrap()))
            .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
            .map(|name| Self { text: std::fs::read_to_string(root.join(&name)).unwrap(), name })
            .collect();
        pages.sort_by(|one, other| one.name.cmp(&other.name));
        pages
    }

    /// Its blocks of commands.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut comments) = (Vec::new(), Vec::new());
        let mut lines = self.text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            if let Some((indent, fence)) = fence(line) {
                let inside: Vec<(usize, &str)> = lines
                    .by_ref()
                    .map(|(at, line)| (at + 1, line.get(indent..).unwrap_or_else(|| line.trim_start())))
                    .take_while(|(_, line)| !line.trim_start().starts_with("```"))
                    .collect();
                if COMMAND_FENCES.contains(&fence) {
                    blocks.push(block(fence, &inside, &comments));
                } else {
                    self.holds_no_commands(at, &inside);
                }
                comments.clear();
            } else if let Some(comment) = comment(item(line).1) {
                comments.push(comment);
            } else if !line.trim().is_empty() {
                comments.clear();
            }
        }
        blocks
    }

    /// Code spans outside of blocks that are a call of our command.
    pub(crate) fn spans(&self) -> Vec<&str> {
        let text = self.text.split("\n```").step_by(2);
        let code = text.flat_map(|text| text.split('`').skip(1).step_by(2));
        code.filter(|span| span.starts_with("codex-oauth ") && !span.contains('\n')).collect()
    }

    /// A command in a block without its mark would be hidden from the test.
    fn holds_no_commands(&self, at: usize, lines: &[(usize, &str)]) {
        let is_command = |line: &str| {
            ["$ ", "codex-oauth ", "sh ", "./", "cargo "].iter().any(|start| line.starts_with(start))
        };
        if let Some((line, text)) = lines.iter().find(|(_, line)| is_command(line.trim_start())) {
            panic!(
                "{}:{line}: `{text}` looks like a command: mark its block of line {} as `sh`",
                self.name,
                at + 1
            );
        }
    }
}

/// Where a fence opens in this line, and its language. It may be the first thing of a list's item.
fn fence(line: &str) -> Option<(usize, &str)> {
    let (indent, rest) = item(line);
    Some((indent, rest.strip_prefix("```")?.trim()))
}

/// Columns before the text of a line, a list's mark included, and the text.
fn item(line: &str) -> (usize, &str) {
    let text = line.trim_start_matches(|symbol: char| symbol.is_ascii_digit() || " .".contains(symbol));
    (line.len() - text.len(), text.trim_end())
}

/// `(what, text)` of `<!-- what: text -->`.
fn comment(line: &str) -> Option<(&str, &str)> {
    let inside = line.strip_prefix("<!--")?.strip_suffix("-->")?.trim();
    let (what, text) = inside.split_once(": ").or_else(|| inside.rsplit_once(' '))?;
    Some((what, text.trim()))
}

fn block(fence: &str, lines: &[(usize, &str)], comments: &[(&str, &str)]) -> Block {
    let said = |wanted: &'static str| {
        comments.iter().filter(move |(what, _)| *what == wanted).map(|(_, text)| *text)
    };
    let first = lines.first().map_or(0, |(line, _)| *line);
    let mut steps: Vec<Step> = said("before")
        .map(|command| Step { line: first, command: command.to_owned(), shown: None, exit_code: 0 })
        .collect();
    let mut continues = false;
    for (line, text) in lines {
        let begins = if fence == "console" { text.strip_prefix("$ ") } else { Some(*text) };
        match (begins, steps.last_mut()) {
            (_, Some(step)) if continues => {
                step.command = format!("{}\n{text}", step.command);
            }
            (Some(command), _) if command.trim().is_empty() || command.trim_start().starts_with('#') => {}
            (Some(command), _) => {
                let shown = (fence == "console").then(String::new);
                steps.push(Step { line: *line, command: command.to_owned(), shown, exit_code: 0 });
            }
            (None, Some(step)) => {
                let shown = step.shown.get_or_insert_default();
                *shown = format!("{shown}{text}\n");
            }
            (None, None) => panic!("line {line}: output before the first command"),
        }
        continues = text.ends_with('\\');
    }
    if let (Some(code), Some(step)) = (said("exit code").next(), steps.last_mut()) {
        step.exit_code = code.parse().unwrap();
    }
    Block { not_run: said("not run").next().map(str::to_owned), steps }
}

/// Whether this is what was shown: `…` stands for any text within a line, alone on a line for any lines.
pub(crate) fn is_shown(shown: &str, found: &str) -> bool {
    let (shown, found): (Vec<&str>, Vec<&str>) =
        (shown.trim_end().lines().collect(), found.trim_end().lines().collect());
    lines_match(&shown, &found)
}

fn lines_match(shown: &[&str], found: &[&str]) -> bool {
    match shown.split_first() {
        None => found.is_empty(),
        Some((&"…", rest)) => (0..=found.len()).any(|skipped| lines_match(rest, &found[skipped..])),
        Some((line, rest)) => found
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && lines_match(rest, others)),
    }
}

fn line_matches(shown: &str, found: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else { return shown.trim_end() == found.trim_end() };
    let Some(found) = found.strip_prefix(start) else { return false };
    (0..=found.len()).filter(|at| found.is_char_boundary(*at)).any(|at| line_matches(rest, &found[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page { name: "x.md".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn commands_outputs_and_their_comments_are_read() {
        let text = "<!-- before: a -->\n<!-- exit code 3 -->\n```console\n$ b \\\n  c\n1\n2\n$ d  # e\n```\n\
            <!-- not run: why -->\n```sh\n# f\ng\n\nh\n```\n```toml\ni = 1\n```\n";
        let step = |line, command: &str, shown: Option<&str>, exit_code| Step {
            line,
            command: command.to_owned(),
            shown: shown.map(str::to_owned),
            exit_code,
        };
        let blocks = page(text).blocks();
        assert_eq!(
            blocks[0].steps,
            [step(4, "a", None, 0), step(4, "b \\\n  c", Some("1\n2\n"), 0), step(8, "d  # e", Some(""), 3)]
        );
        assert_eq!(blocks[1].not_run.as_deref(), Some("why"));
        assert_eq!(blocks[1].steps, [step(13, "g", None, 0), step(15, "h", None, 0)]);
        assert_eq!(blocks.len(), 2);
    }

    #[test]
    fn an_ellipsis_stands_for_what_differs_and_for_nothing_else() {
        for (shown, found, same) in [
            ("a … c", "a b c", true),
            ("a … c", "a b d", false),
            ("a\n…\nd", "a\nb\nc\nd", true),
            ("a\n…\nd", "a\nd", true),
            ("a\n…", "a", true),
            ("a", "a\nb", false),
            ("a\nb", "a", false),
            ("", "a", false),
            ("…", "", true),
        ] {
            assert_eq!(is_shown(shown, found), same, "{shown:?} {found:?}");
        }
    }
}
