//! `codex-oauth bug-report`: one archive with what a maintainer asks for, and nothing that is nobody else's business.
//!
//! Promises: nothing is sent anywhere; no file is overwritten; every text goes through [`Redactor`]; what could not be had is
//! said in its place, so that a house that is on fire can still be reported.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::account::{self, OfAccount, ReadParams};
use codex_oauth_proto::api::{config, daemon, trace};
use codex_oauth_proto::people::words;
use codex_oauth_proto::{BUILD, Client, ErrorCode, NextStep, PROTOCOL, Retry, Surface, WireError};
use serde::Serialize;

use super::{doctor, logs};
use crate::archive::Archive;
use crate::args::BugReportArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::redact::Redactor;
use crate::words::table;

/// Of the log: its end, some thousand lines.
const LOG_BYTES: u64 = 256 * 1024;

/// The same of the journal; what is over [`LOG_BYTES`] is left out of it.
const JOURNAL_LINES: usize = 2_000;

/// Reports of one second and folder. Each takes longer than a hundredth of it.
const MOST_OF_A_SECOND: u32 = 100;

/// What stands at the top of the archive.
const ABOUT: &str = "\
A report about codex-oauth, made by `codex-oauth bug-report`. E-mail addresses, tokens, the account's id and the
home folder were taken out. There are no questions and no answers in it: only their sizes and times.
";

/// Makes the archive and says what is in it.
pub(crate) fn run(context: &mut Context, args: BugReportArgs) -> Result<Exit, Failure> {
    let now = words::unix_now();
    let mut texts = vec![("versions.txt", "programs and system", versions())];
    let mut redactor = Redactor::default();
    if let Some(home) = context.env.home.as_ref().and_then(|home| home.to_str()) {
        redactor.know(home.trim_end_matches('/'), "~");
    }
    context.output.progress("asking the daemon")?;
    match context.connect() {
        Ok(mut client) => texts.extend(of_daemon(&mut client, &mut redactor)),
        Err(Failure::Wire(error)) => {
            texts.push(("daemon.txt", "why there is no daemon", error.render(Surface::Shell)));
        }
        Err(failure) => return Err(failure),
    }
    context.output.progress("looking around")?;
    texts.push(("doctor.json", "what `codex-oauth doctor` finds", shown(&doctor::look(context)?)));
    logs::flush(context)?;
    let log = context.env.state_dir().map_err(|error| error.to_string());
    let log = log.and_then(|dir| end_of(&dir.join("daemon.log")).map_err(|error| error.to_string()));
    texts.push(("log.txt", "the end of the daemon's log", log.unwrap_or_else(|why| none(&why))));
    // A daemon that was started before the service was has the other one.
    if let Some(journal) = logs::end_of_journal(context, JOURNAL_LINES) {
        let journal = journal.map(|text| end_of_text(&text).to_owned());
        let journal = journal.unwrap_or_else(|error| none(&error.render(Surface::Shell)));
        texts.push(("journal.txt", "the end of its log in systemd's journal", journal));
    }
    let mut archive = Archive::default();
    archive.add("README.txt", ABOUT, now);
    let mut rows = Vec::new();
    for (name, about, text) in texts {
        let text = redactor.redact(&text);
        rows.push([name.to_owned(), format!("{} bytes", text.len()), about.to_owned()]);
        archive.add(name, &text, now);
    }
    let file = match args.output {
        Some(file) => {
            write_new(&file, &archive.finish()).map(|()| file.clone()).map_err(|error| (file, error))
        }
        None => write_beside(&format!("codex-oauth-bug-report-{now}"), &archive.finish()),
    };
    let file = file.map_err(|(file, error)| unwritten(&file, &error))?;
    context.output.out(&table(&rows))?;
    context.output.page(&format!(
        "\nwritten to {}\nIt holds no question, no answer and no token, and nothing was sent anywhere.\n\
         Look it through before you give it away:\ntar -xOf {0} | less\n",
        file.display()
    ))?;
    Ok(Exit::Success)
}

fn versions() -> String {
    let (min, max) = (PROTOCOL.min.0, PROTOCOL.max.0);
    format!(
        "codex-oauth {BUILD}, protocol {min} to {max}\nsystem {} on {}\n",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

type Text = (&'static str, &'static str, String);

/// What only the daemon knows. Who is signed in is taken note of, and left out.
fn of_daemon(client: &mut Client, redactor: &mut Redactor) -> Vec<Text> {
    let login = client.call::<account::Read>(&ReadParams::default()).map(|mut login| {
        let who = login.account.take().unwrap_or_default();
        redactor.know(who.account_id.as_deref().unwrap_or_default(), "<account>");
        redactor.know(who.email.as_deref().unwrap_or_default(), "<e-mail>");
        login.accounts.clear();
        if matches!(login.next_step, Some(NextStep::UseAccount { .. })) {
            login.next_step = Some(NextStep::ChooseAccount);
        }
        // A link that waits is a way in.
        login.pending_login = None;
        login
    });
    let history = client.call::<account::History>(&OfAccount::default()).map(|mut history| {
        history.entries.iter_mut().for_each(|entry| entry.account_id = None);
        history
    });
    let welcome = client.welcome();
    let daemon = format!("codex-oauthd {}, protocol {}\n", welcome.build, welcome.protocol.0);
    vec![
        ("daemon.txt", "the running daemon's version", daemon),
        ("status.json", "the daemon's state", told(client.call::<daemon::Status>(&Empty {}))),
        ("login.json", "how the login stands, without whose it is", told(login)),
        ("history.json", "what became of its tokens, by fingerprint", told(history)),
        ("settings.json", "every setting and who chose it", told(client.call::<config::Read>(&Empty {}))),
        (
            "traces.json",
            "the steps of the last questions",
            told(client.call::<trace::List>(&trace::ListParams::default())),
        ),
    ]
}

fn told<T: Serialize>(asked: Result<T, WireError>) -> String {
    match asked {
        Ok(value) => shown(&value),
        Err(error) => shown(&error),
    }
}

fn none(why: &str) -> String {
    format!("none: {why}\n")
}

fn shown(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string()) + "\n"
}

/// The last lines of a file.
fn end_of(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LOG_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(if from == 0 { text.into_owned() } else { without_first_line(&text).to_owned() })
}

/// The last lines of a text, as many as of a file.
fn end_of_text(text: &str) -> &str {
    let most = usize::try_from(LOG_BYTES).unwrap_or(usize::MAX);
    match text.len().checked_sub(most) {
        None | Some(0) => text,
        Some(from) => without_first_line(&text[text.ceil_char_boundary(from)..]),
    }
}

/// The first line may be half of one.
fn without_first_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// Writes `NAME.tar`, or `NAME-2.tar` when there is one of this second already, and so on.
fn write_beside(name: &str, bytes: &[u8]) -> Result<PathBuf, (PathBuf, io::Error)> {
    let mut file = PathBuf::from(format!("{name}.tar"));
    for n in 2..=MOST_OF_A_SECOND {
        match write_new(&file, bytes) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                file = PathBuf::from(format!("{name}-{n}.tar"));
            }
            written => return written.map(|()| file.clone()).map_err(|error| (file, error)),
        }
    }
    write_new(&file, bytes).map(|()| file.clone()).map_err(|error| (file, error))
}

/// Writes a file that is not there yet, for this user alone.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(bytes);
    drop(file);
    if written.is_err() {
        // A part of a report helps nobody, and the next try would not write over it.
        #[expect(clippy::disallowed_methods, reason = "our own, made above")]
        let _gone = std::fs::remove_file(path);
    }
    written
}

fn unwritten(path: &Path, error: &io::Error) -> WireError {
    let message = format!("could not write `{}`: {error}; `-o FILE` names another place", path.display());
    WireError::daemon(ErrorCode::Internal, Retry::Never, message).next(NextStep::FixArguments)
}
