//! The command on a pseudo-terminal.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::rig::{PATIENCE, Ran, Running};

/// What the shell of [`Person::in_a_shell`] asks with; nothing else says that.
pub(crate) const SHELL_PROMPT: &str = "at-your-service> ";

/// Which streams are the terminal; the others are pipes. Standard input always is.
#[derive(Clone, Copy)]
pub(crate) struct Streams {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// What a person and the pipes got.
pub(crate) struct Shown {
    /// Every byte that the terminal got, with plain line ends.
    pub(crate) screen: String,
    pub(crate) ran: Ran,
}

/// Runs the command to its end on a terminal of this width.
pub(crate) fn on_terminal(mut command: Command, streams: Streams, columns: u16) -> Shown {
    let (screen, terminal) = open(columns);
    let end = || Stdio::from(terminal.try_clone().unwrap());
    command.stdin(end());
    if streams.stdout {
        command.stdout(end());
    }
    if streams.stderr {
        command.stderr(end());
    }
    let running = Running::start(&mut command);
    let (done, read) = mpsc::channel();
    thread::spawn(move || done.send(read_to_end(screen)));
    let ran = running.finish();
    // The screen ends when nobody has the terminal open any more, us included.
    drop((command, terminal));
    let screen = read.recv_timeout(PATIENCE).expect("the terminal stays open");
    Shown { screen: screen.replace("\r\n", "\n"), ran }
}

/// A command with a person before it: all three streams are the terminal.
pub(crate) struct Person {
    child: Child,
    keyboard: File,
    terminal: File,
    pieces: Receiver<Vec<u8>>,
    /// The beginning of a character whose end has not come.
    unread: Vec<u8>,
    screen: String,
    /// What [`Person::sees`] has found already.
    seen: usize,
}

impl Person {
    pub(crate) fn before(mut command: Command, columns: u16) -> Self {
        let (mut screen, terminal) = open(columns);
        let keyboard = screen.try_clone().unwrap();
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let (send, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(count @ 1..) = screen.read(&mut piece) {
                if send.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, terminal, pieces, unread: Vec::new(), screen: String::new(), seen: 0 }
    }

    /// The command typed into a shell with job control, whose own terminal this is.
    pub(crate) fn in_a_shell(command: &Command, columns: u16) -> Self {
        let mut shell = Command::new("setsid");
        // Without an editor of its own the shell leaves the terminal as programs find it.
        shell.args(["--ctty", "--wait", "bash", "--norc", "--noprofile", "--noediting", "-i"]);
        shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PS1", SHELL_PROMPT).env("PATH", "/usr/bin:/bin");
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        let mut person = Self::before(shell, columns);
        person.sees(SHELL_PROMPT);
        person.types(&format!("{line}\n"));
        person
    }

    /// Waits for this text, below what was seen before.
    pub(crate) fn sees(&mut self, text: &str) {
        self.until(text);
    }

    /// The same; gives what stands before it.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.screen[self.seen..].find(text) {
                let before = self.screen[self.seen..self.seen + at].to_owned();
                self.seen += at + text.len();
                return before;
            }
            let piece = self.pieces.recv_timeout(PATIENCE);
            self.unread.extend(piece.unwrap_or_else(|_| panic!("{text:?} is not below {:?}", self.screen)));
            // A piece may end within a character.
            let whole = match std::str::from_utf8(&self.unread) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            let whole: Vec<u8> = self.unread.drain(..whole).collect();
            self.screen.push_str(std::str::from_utf8(&whole).unwrap());
        }
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Whether what is typed is shown.
    pub(crate) fn has_echo(&self) -> bool {
        tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// As a shell leaves the terminal.
    pub(crate) fn shows_what_is_typed(&self) {
        let mut modes = tcgetattr(&self.terminal).unwrap();
        modes.local_modes.insert(LocalModes::ECHO);
        tcsetattr(&self.terminal, OptionalActions::Now, &modes).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// The end of the command, and all that was on the screen.
    pub(crate) fn leaves(self) -> (Ran, bool, String) {
        let ran = Running::from(self.child).finish();
        let echo = tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO);
        drop(self.terminal);
        let mut bytes = self.unread;
        while let Ok(piece) = self.pieces.recv_timeout(PATIENCE) {
            bytes.extend(piece);
        }
        let screen = self.screen + std::str::from_utf8(&bytes).unwrap();
        (ran, echo, screen.replace("\r\n", "\n"))
    }
}

/// Both ends: what a person sees, and what a program writes to.
fn open(columns: u16) -> (File, File) {
    let screen: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
    tcsetwinsize(&screen, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, noctty());
    let terminal = options.read(true).write(true).open(name).unwrap();
    (screen.into(), terminal)
}

/// A test must not get the terminal as its own.
fn noctty() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap()
}

fn read_to_end(mut screen: File) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4_096]);
    // The end is an error on Linux and zero bytes elsewhere.
    while let Ok(count @ 1..) = screen.read(&mut piece) {
        bytes.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(bytes).unwrap()
}
