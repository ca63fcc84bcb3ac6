//! Where a guide is followed: a new user's machine, the services on loopback, a browser that signs in by itself, and a
//! terminal of 80 columns.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Command;

use fake_openai::{Config, FakeOpenAi, Identity};

use super::page::Step;
use crate::machine::{Machine, repository, write_program};
use crate::terminal::pty::Person;

/// Between a command's output and the code that it ended with. No program prints it by chance.
const MARK: char = '\u{1e}';

/// What the terminal shows before the code of a device login.
const DEVICE_CODE: &str = "and enter the code ";

/// The opener of links: it hands each one to the test, which signs in with it.
const OPENER: &str = "#!/bin/sh\nprintf '%s\\n' \"$1\" > \"${0%/*}/../links\"\n";

/// See the module.
pub(crate) struct House {
    machine: Machine,
    fake: std::sync::Arc<FakeOpenAi>,
}

/// What a command left on the terminal, and its exit code.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) screen: String,
    pub(crate) exit_code: i32,
}

impl House {
    /// One whose user has unpacked a release, and is in its folder.
    pub(crate) fn new() -> Self {
        let machine = Machine::new();
        let fake = std::sync::Arc::new(FakeOpenAi::start(Config::default()).unwrap());
        write_program(&machine.path("tools/xdg-open"), OPENER);
        let links = machine.path("links");
        run(Command::new("mkfifo").arg(&links));
        browse(links, fake.clone());
        let house = Self { machine, fake };
        // For examples that review a change, follow an error, or ask over the socket.
        run(house.command("sh").args([
            "-c",
            "git init -q && echo note > notes.txt && git add -N notes.txt && echo e > build.log",
        ]));
        run(Command::new("cp").arg("-R").arg(repository().join("docs")).arg(house.machine.path("release")));
        house
    }

    /// Installs the release and signs in, as the quick start tells.
    pub(crate) fn installed(self) -> Self {
        run(self.command("sh").args(["install.sh", "--no-plugin"]));
        self
    }

    /// Types the commands one after the other into one shell and waits for the end of each.
    pub(crate) fn follow(&self, steps: &[Step]) -> Vec<Ran> {
        let script: Vec<String> =
            steps.iter().map(|step| format!("{}\nprintf '{MARK}%s{MARK}' \"$?\"\n", step.command)).collect();
        let mut shell = self.command("sh");
        shell.args(["-c", &script.concat()]);
        let mut person = Person::before(shell, super::COLUMNS);
        let followed = steps
            .iter()
            .map(|step| {
                let mut screen = String::new();
                if step.command.contains("login --device") {
                    screen = person.until(DEVICE_CODE) + DEVICE_CODE;
                    let code = person.until("\r\n");
                    assert!(self.fake.approve_device(&code, Identity::default()), "{code:?} waits");
                    screen = screen + &code + "\n";
                }
                screen += &person.until(&MARK.to_string());
                let exit_code = person.until(&MARK.to_string()).parse().unwrap();
                Ran { screen: as_seen(&screen), exit_code }
            })
            .collect();
        person.leaves();
        followed
    }

    fn command(&self, program: &str) -> Command {
        let places = ["tools", "home/.local/bin"].map(|place| self.machine.path(place).display().to_string());
        let mut command = self.machine.command(program);
        command
            .env_remove("CODEX_OAUTH_NO_BROWSER")
            .env("PATH", format!("{}:/usr/bin:/bin", places.join(":")))
            .env("CODEX_OAUTH_ISSUER_URL", self.fake.issuer_url())
            .env("CODEX_OAUTH_BACKEND_URL", self.fake.backend_url())
            .env("CODEX_OAUTH_CALLBACK_PORTS", free_ports())
            .env("DISPLAY", ":0")
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .current_dir(self.machine.path("release"));
        command
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // Ends the browser, which holds a share of the fake.
        let end = format!("echo > '{}'", self.machine.path("links").display());
        let _ended = Command::new("sh").args(["-c", &end]).status();
    }
}

/// Follows every link that is opened, like a browser with a person who agrees. An empty line ends it.
fn browse(links: PathBuf, fake: std::sync::Arc<FakeOpenAi>) {
    std::thread::spawn(move || {
        // Also for writing: else it would end with the first opener.
        let file = std::fs::OpenOptions::new().read(true).write(true).open(links).unwrap();
        let opened = BufReader::new(file).lines().map_while(Result::ok);
        for link in opened.take_while(|link| !link.is_empty()) {
            // A link that is over says so in the page; the command that waits for it fails.
            let _page = fake.authorize(&link);
        }
    });
}

/// What is on the screen in the end: what was written over is gone.
fn as_seen(screen: &str) -> String {
    let text = screen.replace("\r\n", "\n");
    let lines = text.split('\n').map(|line| line.rsplit('\r').next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two ports that were free a moment ago.
fn free_ports() -> String {
    let listeners: Vec<_> = (0..2).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port().to_string());
    ports.collect::<Vec<_>>().join(",")
}
