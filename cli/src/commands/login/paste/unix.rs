//! One line from the terminal that nobody sees, while other things are waited for too.

use std::io;
use std::io::Write as _;
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
        let lines = interrupt.watch_every_end().and_then(|()| read(interrupt));
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
        for line in io::stdin().lines().map_while(Result::ok) {
            if send.send(line).is_err() || waker.write_all(b".").is_err() {
                return;
            }
        }
    })?;
    Ok(lines)
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
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // What was typed and not ended is thrown away: the shell would read it next, and show it. A terminal that is gone
        // needs no echo.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}
