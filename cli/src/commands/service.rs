//! `codex-oauth service …`: the system's own manager listens in the daemon's place and starts it with the first connect.
//! Without a service whoever needs the daemon first starts it; nothing else differs.
//!
//! Promises: one source for each file, the folders `systemd/`, `launchd/` and `windows/` of the repository; nothing is
//! written where the manager does not run; doing it twice is doing it once.

mod facts;
mod launchd;
mod systemd;
mod tasks;

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use codex_oauth_proto::env::Env;
use codex_oauth_proto::{ErrorCode, NextStep, Retry, WireError};

use self::facts::Facts;
use super::config::import::{Present, import};
use super::daemon;
use crate::args::{InstallServiceArgs, ServiceCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Runs one of the subcommands.
pub(crate) fn run(context: &mut Context, command: ServiceCommand) -> Result<Exit, Failure> {
    match command {
        ServiceCommand::Install(args) => install(context, args),
        ServiceCommand::Uninstall => {
            if !remove(context)? {
                context.output.line("service    none was installed")?;
            }
            Ok(Exit::Success)
        }
        ServiceCommand::Status => status(context),
    }
}

/// Takes the service away, if there is one, and ends its daemon. False: there was none.
pub(crate) fn remove(context: &mut Context) -> Result<bool, Failure> {
    let manager = Manager::of(&context.env);
    let files: Vec<PathBuf> = match manager.folder(&context.env) {
        Ok(folder) => {
            manager.names().iter().map(|name| folder.join(name)).filter(|file| file.exists()).collect()
        }
        Err(_) => Vec::new(),
    };
    if files.is_empty() && manager.enabled(&context.env).is_none() {
        return Ok(false);
    }
    if let Err(why) = manager.stop(&context.env) {
        context.output.note(&format!("could not end the service, so it may run until you log out: {why}"))?;
    }
    // A manager that runs has removed the link itself.
    for file in files.iter().chain(&manager.enabled(&context.env)) {
        #[expect(clippy::disallowed_methods, reason = "a file of the service, by its name")]
        fs::remove_file(file).map_err(|error| unwritten("remove", file, &error))?;
        context.output.line(&format!("removed    {}", file.display()))?;
    }
    for folder in manager.own_folders(&context.env) {
        // With somebody else's file in it, it stays.
        let _kept = fs::remove_dir(folder);
    }
    if let Err(why) = manager.forget(&context.env) {
        context.output.note(&format!("the service manager could not be told: {why}"))?;
    }
    Ok(true)
}

fn install(context: &mut Context, args: InstallServiceArgs) -> Result<Exit, Failure> {
    let manager = Manager::of(&context.env);
    let facts = Facts::of(&context.env)?;
    manager.check(&context.env).map_err(|why| unavailable(&why))?;
    let folder = manager.folder(&context.env).map_err(|why| unavailable(&why))?;
    let mut changed = import(context, Present::Stays)?.changed;
    for (name, contents) in manager.files(&facts, args.harden) {
        let file = folder.join(name);
        let written = write_if_other(&file, &contents).map_err(|error| unwritten("write", &file, &error))?;
        changed |= written;
        context.output.line(&format!(
            "{}{}",
            if written { "wrote      " } else { "unchanged  " },
            file.display()
        ))?;
    }
    if changed || !manager.is_ready(&context.env) {
        if manager.listens() && daemon::stop_running(context)? {
            context.output.line("daemon     stopped; the service starts the next one")?;
        }
        manager.start(&context.env, &folder).map_err(|why| unavailable(&why))?;
    }
    context.output.line(&format!("service    {}", manager.promise()))?;
    context.output.line("next       codex-oauth status")?;
    Ok(Exit::Success)
}

fn status(context: &mut Context) -> Result<Exit, Failure> {
    let manager = Manager::of(&context.env);
    let folder = manager.folder(&context.env).map_err(|why| unavailable(&why))?;
    let files: Vec<PathBuf> =
        manager.names().iter().map(|name| folder.join(name)).filter(|file| file.exists()).collect();
    if files.is_empty() {
        context.output.line("service    not installed: whoever needs the daemon starts it")?;
        context.output.line("next       nothing; `codex-oauth service install` lets the system start it")?;
        return Ok(Exit::Success);
    }
    for file in files {
        context.output.line(&format!("file       {}", file.display()))?;
    }
    match manager.state(&context.env) {
        Ok(state) => {
            context.output.line(&format!("service    {state}"))?;
            Ok(Exit::Success)
        }
        Err(why) => Err(unavailable(&why)),
    }
}

/// Whether systemd starts the daemon, and so keeps its log.
pub(super) fn is_systemd(env: &Env) -> bool {
    Manager::of(env) == Manager::Systemd && listens(env)
}

/// Whether the system's manager listens in the daemon's place, so that whoever connects starts one.
pub(crate) fn listens(env: &Env) -> bool {
    let manager = Manager::of(env);
    let installed = |folder: PathBuf| manager.names().iter().any(|name| folder.join(name).exists());
    manager != Manager::TaskScheduler && manager.folder(env).is_ok_and(installed)
}

/// An installed service, as its manager tells of it.
pub(super) enum Look {
    /// None is installed.
    Absent,
    /// Its state.
    Is(String),
    /// It starts a program that is no longer there, so whoever connects is turned away.
    Gone(PathBuf),
    /// Its manager does not tell.
    Unknown(String),
}

/// Looks at the service without changing anything.
pub(super) fn look(env: &Env) -> Look {
    let manager = Manager::of(env);
    let Ok(folder) = manager.folder(env) else { return Look::Absent };
    let installed: Vec<PathBuf> =
        manager.names().iter().map(|name| folder.join(name)).filter(|file| file.exists()).collect();
    if installed.is_empty() {
        return Look::Absent;
    }
    let texts = installed.iter().filter_map(|file| fs::read_to_string(file).ok());
    let programs = texts.filter_map(|text| manager.program(&text));
    if let Some(gone) = programs.into_iter().find(|program| !program.is_file()) {
        return Look::Gone(gone);
    }
    manager.state(env).map_or_else(Look::Unknown, Look::Is)
}

/// Who starts programs for a person on this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Systemd,
    Launchd,
    TaskScheduler,
}

/// What a manager said against it, in its words.
type Said<T> = Result<T, String>;

impl Manager {
    fn of(env: &Env) -> Self {
        // So that what is for other systems is tried on this one, with stand-ins for their programs.
        let other = if cfg!(debug_assertions) { env.get("CODEX_OAUTH_TEST_SERVICE_MANAGER") } else { None };
        match other {
            Some("launchd") => Self::Launchd,
            Some("tasks") => Self::TaskScheduler,
            _ if cfg!(target_os = "macos") => Self::Launchd,
            _ if cfg!(windows) => Self::TaskScheduler,
            _ => Self::Systemd,
        }
    }

    /// Whether it listens in the daemon's place, so that a daemon that was there before has to make way.
    const fn listens(self) -> bool {
        match self {
            Self::Systemd | Self::Launchd => true,
            Self::TaskScheduler => false,
        }
    }

    /// Where its files lie.
    fn folder(self, env: &Env) -> Said<PathBuf> {
        match self {
            Self::Systemd => systemd::folder(env),
            Self::Launchd => launchd::folder(env),
            Self::TaskScheduler => tasks::folder(env),
        }
    }

    /// Every file that it may have of us, below the folder.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Systemd => systemd::NAMES,
            Self::Launchd => launchd::NAMES,
            Self::TaskScheduler => tasks::NAMES,
        }
    }

    /// Folders that hold nothing but ours.
    fn own_folders(self, env: &Env) -> Vec<PathBuf> {
        match self {
            Self::Systemd => {
                systemd::folder(env).map(|folder| folder.join(systemd::DROP_INS)).into_iter().collect()
            }
            Self::Launchd => Vec::new(),
            Self::TaskScheduler => tasks::folder(env).into_iter().collect(),
        }
    }

    /// Whether it runs for this person at all.
    fn check(self, env: &Env) -> Said<()> {
        match self {
            Self::Systemd => systemd::check(env),
            Self::Launchd => launchd::check(env),
            Self::TaskScheduler => tasks::check(env),
        }
    }

    /// Names and contents.
    fn files(self, facts: &Facts, harden: bool) -> Vec<(&'static str, Vec<u8>)> {
        let in_utf8 = |(name, text): (_, String)| (name, text.into_bytes());
        match self {
            Self::Systemd => systemd::files(facts, harden).into_iter().map(in_utf8).collect(),
            Self::Launchd => vec![in_utf8(launchd::file(facts))],
            Self::TaskScheduler => vec![tasks::file(facts)],
        }
    }

    /// Whether there is nothing to do for it.
    fn is_ready(self, env: &Env) -> bool {
        match self {
            Self::Systemd => systemd::is_ready(env),
            Self::Launchd => launchd::state(env).is_ok(),
            Self::TaskScheduler => tasks::state(env).is_ok(),
        }
    }

    /// Puts the files into force, now and at every log-in.
    fn start(self, env: &Env, folder: &Path) -> Said<()> {
        match self {
            Self::Systemd => systemd::start(env),
            Self::Launchd => launchd::start(env, folder),
            Self::TaskScheduler => tasks::start(env, folder),
        }
    }

    /// The link that lets it listen at every log-in, also for units that a package brought along.
    fn enabled(self, env: &Env) -> Option<PathBuf> {
        let link = match self {
            Self::Systemd => systemd::folder(env).ok()?.join(systemd::LINK),
            Self::Launchd | Self::TaskScheduler => return None,
        };
        link.is_symlink().then_some(link)
    }

    /// Ends it for good; its files are still there.
    fn stop(self, env: &Env) -> Said<()> {
        match self {
            Self::Systemd => systemd::stop(env),
            Self::Launchd => launchd::stop(env),
            Self::TaskScheduler => tasks::stop(env),
        }
    }

    /// After the files are gone.
    fn forget(self, env: &Env) -> Said<()> {
        match self {
            Self::Systemd => systemd::forget(env),
            Self::Launchd | Self::TaskScheduler => Ok(()),
        }
    }

    fn state(self, env: &Env) -> Said<String> {
        match self {
            Self::Systemd => systemd::state(env),
            Self::Launchd => launchd::state(env),
            Self::TaskScheduler => tasks::state(env),
        }
    }

    /// The program that a file of its names, where that is plain to read.
    fn program(self, text: &str) -> Option<PathBuf> {
        match self {
            Self::Systemd => systemd::program(text),
            Self::Launchd | Self::TaskScheduler => None,
        }
    }

    const fn promise(self) -> &'static str {
        match self {
            Self::Systemd => "systemd listens for you and starts the daemon when it is used",
            Self::Launchd => "launchd listens for you and starts the daemon when it is used",
            Self::TaskScheduler => "Windows starts the daemon when you log in",
        }
    }
}

/// True: the file was another one, or none. Its owner alone may read it: it says how this person works.
fn write_if_other(file: &Path, contents: &[u8]) -> io::Result<bool> {
    match fs::read(file) {
        Ok(found) if found == contents => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(contents)?;
    Ok(true)
}

fn unwritten(verb: &str, file: &Path, error: &io::Error) -> WireError {
    WireError::caller(ErrorCode::Configuration, format!("could not {verb} `{}`: {error}", file.display()))
        .next(NextStep::FixFile { path: file.display().to_string() })
}

/// No service here, and none is needed.
fn unavailable(why: &str) -> Failure {
    let message = format!("could not use the service manager of this system: {why}");
    WireError::daemon(ErrorCode::Configuration, Retry::Never, message).next(NextStep::NoService).into()
}
