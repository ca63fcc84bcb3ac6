//! Standard output and standard error, and what a terminal must be spared.
//!
//! Text for a terminal loses its control characters: an answer must not move the cursor, set the title or type for the
//! person. Text for a file or a pipe is passed on byte for byte. Everything written is flushed at once: a person and the
//! next program in a pipeline see an answer as it comes.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

use codex_oauth_proto::people::words::folded;
use codex_oauth_proto::{Surface, WireError};
use serde::Serialize;

/// Of a terminal that does not tell its width.
const USUAL_COLUMNS: usize = 80;

/// A terminal shows Ctrl-C as `^C`, where the cursor was: behind the progress line.
const CTRL_C_COLUMNS: usize = "^C".len();

/// Where a command's text goes.
pub(crate) struct Output {
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    between: Between,
    /// Columns of the terminal behind standard error, asked for each line: a window changes its size.
    columns: fn() -> usize,
    /// Columns of the progress line that is on the screen.
    progress: usize,
}

impl Output {
    /// The process's own streams.
    pub(crate) fn stdio() -> Self {
        let (stdout, stderr) = (io::stdout().lock(), io::stderr().lock());
        Self {
            stdout_is_terminal: stdout.is_terminal(),
            stderr_is_terminal: stderr.is_terminal(),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            between: Between::Progress,
            columns: terminal_columns,
            progress: 0,
        }
    }

    /// From here on debug lines may come at any time: there is no progress line that they would land behind.
    pub(crate) fn begin_debug_lines(&mut self, first: &str) -> io::Result<()> {
        self.erase_progress()?;
        self.between = Between::DebugLines;
        self.err(&format!("{first}\n"))
    }

    /// Whether a debug line may come between two texts.
    pub(crate) const fn has_debug_lines(&self) -> bool {
        matches!(self.between, Between::DebugLines)
    }

    /// Whether standard error is a person's screen.
    pub(crate) const fn stderr_is_terminal(&self) -> bool {
        self.stderr_is_terminal
    }

    /// Columns of a text for a person: as many as the terminal has, but no more than one reads with ease.
    pub(crate) fn columns(&self) -> usize {
        (self.columns)().min(USUAL_COLUMNS)
    }

    /// Text for standard output.
    pub(crate) fn out(&mut self, text: &str) -> io::Result<()> {
        self.erase_progress()?;
        if self.stdout_is_terminal && self.between == Between::Progress {
            self.between = Between::Nothing;
        }
        self.stdout.write_all(shown(text, self.stdout_is_terminal).as_bytes())?;
        self.stdout.flush()
    }

    /// A line for standard output.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.out(&format!("{text}\n"))
    }

    /// Text for a person on standard output: on a terminal it is broken between words.
    pub(crate) fn page(&mut self, text: &str) -> io::Result<()> {
        let columns = if self.stdout_is_terminal { (self.columns)() } else { usize::MAX };
        self.out(&folded(text, columns))
    }

    /// One JSON value on a line of standard output.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(&text)
    }

    /// Text for standard error.
    pub(crate) fn err(&mut self, text: &str) -> io::Result<()> {
        self.erase_progress()?;
        self.stderr.write_all(shown(text, self.stderr_is_terminal).as_bytes())?;
        self.stderr.flush()
    }

    /// A line for standard error: what is going on. On a terminal it is broken between words.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        let columns = if self.stderr_is_terminal { (self.columns)() } else { usize::MAX };
        self.err(&format!("{}\n", folded(text, columns)))
    }

    /// A line for standard error after Ctrl-C, over the `^C` that a terminal shows where the cursor was.
    pub(crate) fn say_interrupted(&mut self, text: &str) -> io::Result<()> {
        self.erase_progress()?;
        if self.stderr_is_terminal {
            self.stderr.write_all(b"\r")?;
        }
        self.say(text)
    }

    /// A line for standard error that a person should know of and that is no failure.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        self.say(&format!("note: {text}"))
    }

    /// What went wrong and the next step, on standard error.
    pub(crate) fn error(&mut self, error: &WireError) -> io::Result<()> {
        self.say(&format!("error: {}", error.render(Surface::Shell)))
    }

    /// Replaces the progress line. Only on a terminal, and not once the answer itself is on it.
    pub(crate) fn progress(&mut self, text: &str) -> io::Result<()> {
        if !self.stderr_is_terminal || self.between != Between::Progress {
            return Ok(());
        }
        self.erase_progress()?;
        // It is erased by overwriting, which works only while it fits one row, what Ctrl-C shows included; at the last column
        // some terminals go on to the next row.
        let (text, columns) = cut(text, (self.columns)().saturating_sub(1 + CTRL_C_COLUMNS));
        self.stderr.write_all(text.as_bytes())?;
        self.stderr.flush()?;
        self.progress = columns;
        Ok(())
    }

    fn erase_progress(&mut self) -> io::Result<()> {
        if self.progress > 0 {
            write!(self.stderr, "\r{:1$}\r", "", self.progress + CTRL_C_COLUMNS)?;
            self.stderr.flush()?;
            self.progress = 0;
        }
        Ok(())
    }
}

/// What may come between two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// The progress line.
    Progress,
    /// Nothing: an answer is on the terminal that the progress line would land on.
    Nothing,
    DebugLines,
}

/// Writes a line of the daemon's, which is one line without control characters.
pub(crate) fn debug_line(line: &str) {
    // A command does not fail because nobody looks at how it is done.
    let _unseen = writeln!(io::stderr(), "{line}");
}

fn terminal_columns() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map(|(width, _)| usize::from(width.0)).filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS)
}

/// As much as fits into `columns`, without control characters, and how many columns that takes at most: beyond ASCII a
/// character may take two.
fn cut(text: &str, columns: usize) -> (String, usize) {
    let (mut fitting, mut taken) = (String::new(), 0);
    for symbol in text.chars().filter(|symbol| !symbol.is_control()) {
        let width = if symbol.is_ascii() { 1 } else { 2 };
        if taken + width > columns {
            break;
        }
        fitting.push(symbol);
        taken += width;
    }
    (fitting, taken)
}

/// Without C0 and C1 control characters, but for newline and tab, when it is for a terminal.
fn shown(text: &str, terminal: bool) -> Cow<'_, str> {
    let drives = |symbol: char| symbol.is_control() && symbol != '\n' && symbol != '\t';
    if terminal && text.contains(drives) { Cow::Owned(text.replace(drives, "")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters_but_newline_and_tab() {
        let text = "a\x1b[2Jb\x07\r\u{9b}31m\u{7f}\tc\nd é 漢";
        assert_eq!(shown(text, true), "a[2Jb31m\tc\nd é 漢");
    }

    #[test]
    fn a_pipe_gets_every_byte() {
        let text = "a\x1b[2Jb\x07\r\u{9b}31m\u{7f}\tc\n";
        assert_eq!(shown(text, false), text);
    }

    /// Both streams of an [`Output`] in the order in which a screen would get them.
    #[derive(Clone, Default)]
    struct Screen(Rc<RefCell<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Screen {
        fn output(&self, stdout_is_terminal: bool, stderr_is_terminal: bool) -> Output {
            Output {
                stdout: Box::new(self.clone()),
                stderr: Box::new(self.clone()),
                stdout_is_terminal,
                stderr_is_terminal,
                between: Between::Progress,
                columns: || 20,
                progress: 0,
            }
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    #[test]
    fn the_progress_line_is_erased_before_anything_else_is_written() {
        let screen = Screen::default();
        let mut output = screen.output(true, true);
        output.progress("wait\x1b").unwrap();
        output.progress("go").unwrap();
        output.out("hi").unwrap();
        output.progress("never in the middle of an answer").unwrap();
        assert_eq!(screen.text(), "wait\r      \rgo\r    \rhi");
    }

    #[test]
    fn the_progress_line_leaves_the_last_column_free() {
        let screen = Screen::default();
        let mut output = screen.output(false, true);
        output.progress("seventeen columns and more").unwrap();
        output.progress("漢字").unwrap();
        output.out("").unwrap();
        assert_eq!(screen.text(), format!("seventeen columns\r{:19}\r漢字\r      \r", ""));
    }

    #[test]
    fn what_is_said_after_ctrl_c_stands_at_the_beginning_of_a_line() {
        let screen = Screen::default();
        let mut output = screen.output(true, true);
        output.progress("wait").unwrap();
        output.say_interrupted("stopped").unwrap();
        assert_eq!(screen.text(), "wait\r      \r\rstopped\n");
        let piped = Screen::default();
        piped.output(true, false).say_interrupted("stopped").unwrap();
        assert_eq!(piped.text(), "stopped\n");
    }

    #[test]
    fn progress_goes_on_while_the_answer_goes_to_a_file() {
        let screen = Screen::default();
        let mut output = screen.output(false, true);
        output.out("hi").unwrap();
        output.progress("writing").unwrap();
        assert_eq!(screen.text(), "hiwriting");
    }

    #[test]
    fn without_a_terminal_there_is_no_progress_line() {
        let screen = Screen::default();
        screen.output(true, false).progress("wait").unwrap();
        assert_eq!(screen.text(), "");
    }
}
