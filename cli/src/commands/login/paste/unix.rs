//! One line from the terminal that nobody sees, while other things are waited for too.

use std::io;
use std::io::{BufRead as _, Write as _};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use codex_oauth_proto::{ErrorCode, Retry, WireError};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::interrupt::Interrupt;

/// Reads lines. From the first one that is asked for until this is dropped the terminal shows none: who pastes again while the
/// login is on its way is not shown either.
#[derive(Debug)]
pub(in crate::commands::login) struct Prompt {
    lines: Receiver<String>,
    is_open: bool,
    silence: Option<Silence>,
}

impl Prompt {
    /// Begins to read. A line wakes whoever waits for Ctrl-C, and so does any signal that would end the process: the
    /// terminal has to be put back before. (`SIGKILL` leaves it silent; `stty echo` helps.)
    pub(in crate::commands::login) fn new(interrupt: &Interrupt) -> Result<Self, WireError> {
        let watched = interrupt.watch_every_end().and_then(|()| interrupt.watch_stops());
        let lines = watched.and_then(|()| read(interrupt));
        let lines = lines.map_err(|error| unreadable(&error))?;
        Ok(Self { lines, is_open: false, silence: None })
    }

    /// Asks for a line. From here on nothing that is typed is shown.
    pub(in crate::commands::login) fn open(&mut self) -> Result<(), WireError> {
        if self.silence.is_none() {
            self.silence = Some(Silence::begin().map_err(|error| unreadable(&error))?);
        }
        self.is_open = true;
        Ok(())
    }

    /// Stops until the shell lets the command go on. Meanwhile the terminal is the shell's, and shows what is typed.
    pub(in crate::commands::login) fn stop(&mut self, interrupt: &Interrupt) -> Result<(), WireError> {
        self.silence = None;
        interrupt.stop().map_err(|error| unreadable(&error))
    }

    /// Whether the command was stopped, by Ctrl-Z or without having been asked, and goes on: the terminal is silent again,
    /// and an open prompt has to be written anew.
    pub(in crate::commands::login) fn went_on(&mut self, interrupt: &Interrupt) -> Result<bool, WireError> {
        if !interrupt.went_on() {
            return Ok(false);
        }
        let silent = match &self.silence {
            Some(silence) => silence.again(),
            None => Silence::begin().map(|silence| self.silence = Some(silence)),
        };
        silent.map_err(|error| unreadable(&error))?;
        Ok(self.is_open)
    }

    /// Whether a line is asked for.
    pub(in crate::commands::login) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Nothing is asked for any more. Whether something was.
    pub(in crate::commands::login) const fn close(&mut self) -> bool {
        std::mem::replace(&mut self.is_open, false)
    }

    /// The next line that has come, without its end. It is the answer to the open prompt, and closes it.
    pub(in crate::commands::login) fn line(&mut self) -> Option<String> {
        let line = self.lines.try_recv().ok()?;
        self.close().then_some(line)
    }
}

/// One reader for the whole command: it waits for the next line, or for the end of the process.
fn read(interrupt: &Interrupt) -> io::Result<Receiver<String>> {
    let mut waker = interrupt.waker()?;
    let (send, lines) = mpsc::channel();
    thread::Builder::new().name("paste".to_owned()).spawn(move || {
        while let Some(line) = next_line() {
            if send.send(line).is_err() || waker.write_all(b".").is_err() {
                return;
            }
        }
    })?;
    Ok(lines)
}

/// Without its end. Ctrl-D before a line is no end of a terminal, only of one read: as an empty line it is asked for again.
fn next_line() -> Option<String> {
    let mut line = Vec::new();
    match io::stdin().lock().read_until(b'\n', &mut line) {
        Ok(0) => tcgetattr(io::stdin()).is_ok().then(String::new),
        // What is no text is no code either, and refused as such.
        Ok(_) => Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned()),
        Err(_) => None,
    }
}

fn unreadable(error: &io::Error) -> WireError {
    let message = format!("could not read from the terminal: {error}");
    WireError::daemon(ErrorCode::Internal, Retry::Safe, message)
}

/// The terminal does not echo.
#[derive(Debug)]
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let silence = Self { before: tcgetattr(io::stdin())? };
        silence.again()?;
        Ok(silence)
    }

    /// Also when a shell has put its own modes in place since.
    fn again(&self) -> io::Result<()> {
        let mut silent = self.before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(())
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // What was typed and not ended is thrown away: the shell would read it next, and show it. A terminal that is gone
        // needs no echo.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}
