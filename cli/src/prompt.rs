//! The question: words of the command line, then what standard input holds.

use std::io::{self, IsTerminal as _, Read as _};
use std::time::Duration;

use codex_oauth_proto::local::has_input;
use codex_oauth_proto::{ErrorCode, NextStep, WireError};

use crate::failure::Failure;
use crate::output::Output;

/// Half of a line on the socket: room for JSON's escapes, and far more than any model's context.
const MAX_STDIN_BYTES: usize = codex_oauth_proto::MAX_LINE_BYTES / 2;

/// After this long without a byte or an end we say what we wait for: programs that start us often leave a pipe open.
const STDIN_SILENCE: Duration = Duration::from_secs(1);

/// Puts the question together. `-` among the words, or a standard input that is no terminal, means: read it.
pub(crate) fn read(words: &[String], output: &mut Output) -> Result<String, Failure> {
    let asked_for = words.iter().any(|word| word == "-");
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "-").collect();
    let piped = if asked_for || !io::stdin().is_terminal() { read_stdin(output)? } else { String::new() };
    join(&words.join(" "), piped).ok_or_else(|| {
        let message = "could not ask: there is no question, neither as an argument nor piped in";
        WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments).into()
    })
}

/// The words, a blank line, the piped text; or the one of them that is there.
fn join(words: &str, piped: String) -> Option<String> {
    match (words.trim().is_empty(), piped.trim().is_empty()) {
        (true, true) => None,
        (true, false) => Some(piped),
        (false, true) => Some(words.to_owned()),
        (false, false) => Some(format!("{words}\n\n{piped}")),
    }
}

fn read_stdin(output: &mut Output) -> Result<String, Failure> {
    let stdin = open_stdin().map_err(|error| unreadable(&error.to_string()))?;
    // An error counts as news: the read meets it again and reports it.
    if !io::stdin().is_terminal() && !has_input(&stdin, STDIN_SILENCE).unwrap_or(true) {
        output.note("waiting for the end of standard input; `< /dev/null` asks without it")?;
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_STDIN_BYTES + 1).unwrap_or(u64::MAX);
    stdin.take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(&error.to_string()))?;
    if bytes.len() > MAX_STDIN_BYTES {
        let message = format!("could not ask: standard input has more than {MAX_STDIN_BYTES} bytes");
        return Err(WireError::caller(ErrorCode::PromptTooLong, message)
            .next(NextStep::ShortenPrompt)
            .into());
    }
    String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text").into())
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "on Windows a thread is needed to wait for it")]
fn open_stdin() -> io::Result<io::StdinLock<'static>> {
    Ok(io::stdin().lock())
}

#[cfg(windows)]
fn open_stdin() -> io::Result<codex_oauth_proto::local::Inlet> {
    codex_oauth_proto::local::Inlet::new(io::stdin())
}

fn unreadable(cause: &str) -> WireError {
    WireError::caller(ErrorCode::InvalidArguments, format!("could not read standard input: {cause}"))
        .next(NextStep::FixArguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_piped_text_are_parted_by_a_blank_line() {
        for (words, piped, whole) in [
            ("why", "", Some("why")),
            ("", "text\n", Some("text\n")),
            ("why", "text\n", Some("why\n\ntext\n")),
            ("why", "\n", Some("why")),
            (" ", "\n", None),
        ] {
            assert_eq!(join(words, piped.to_owned()).as_deref(), whole);
        }
    }
}
