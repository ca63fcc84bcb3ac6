//! `codex-oauth install`: what install.sh is elsewhere, run from an unpacked release. Run again it upgrades.
//!
//! Promises: what runs keeps its program; half a file is never started; Claude Code, a proxy or a service that cannot be had is
//! said and is no reason why an install fails.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use codex_oauth_proto::version::build;
use codex_oauth_proto::{Client, ErrorCode, NextStep, WireError};

use super::claude::{self, PLUGIN};
use super::service::{self, Look};
use super::windows::{self, Installation, PROGRAMS};
use crate::args::InstallArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What an unpacked release has for Claude Code.
const MARKETPLACE: [&str; 2] = [".claude-plugin", "plugin"];

/// The command on PATH. `goto` without a label ends the batch file before the program runs, as npm's own do: so Ctrl-C asks
/// nothing about batch jobs, and `uninstall` and upgrades may replace the file.
const COMMAND: &str =
    "@goto #_undefined_# 2>NUL || title %COMSPEC% & \"%~dp0..\\@VERSION@\\codex-oauth.exe\" %*\r\n";

/// Installs the release that this program belongs to.
pub(crate) fn run(context: &mut Context, args: InstallArgs) -> Result<Exit, Failure> {
    let release = release()?;
    let prefix = match args.prefix {
        Some(prefix) => std::path::absolute(&prefix).map_err(|error| not_installed(&prefix, &error))?,
        None => windows::usual_prefix(&context.env).ok_or_else(|| {
            let message = "could not tell where to install: LOCALAPPDATA is not set; use --prefix";
            WireError::caller(ErrorCode::InvalidArguments, message).next(NextStep::FixArguments)
        })?,
    };
    let installation = Installation::at(prefix);
    let is_first = !installation.exists();
    let folder = installation.version(build());
    put_in_place(&release, &installation, &folder, !args.no_plugin)
        .map_err(|error| not_installed(&folder, &error))?;
    let links = installation.links();
    context.output.line(&format!("installed  codex-oauth {} in {}", build(), folder.display()))?;
    let registered =
        if args.no_plugin { "not in Claude Code".to_owned() } else { register(context, &folder) };
    context.output.line(&format!("plugin     {registered}"))?;
    let command = folder.join(PROGRAMS[0]);
    // That of the version before names a program that goes away.
    let serves = args.service || !matches!(service::look(&context.env), Look::Absent);
    if !(serves && run_installed(context, &command, &["service", "install"])?) {
        // Behind a proxy, the shell knows it and the daemon would not; what is said on purpose stays. The service does it too.
        run_installed(context, &command, &["config", "import", "--keep"])?;
    }
    match windows::path::add(&links) {
        Ok(()) => {
            let line = format!("command    codex-oauth ({} is on PATH of new terminals)", links.display());
            context.output.line(&line)?;
        }
        Err(error) => {
            context.output.line(&format!("command    {}", links.join("codex-oauth.cmd").display()))?;
            context.output.note(&format!("could not put `{}` on your PATH: {error}", links.display()))?;
        }
    }
    let next = hand_over(context, &command)?;
    remove_others(context, &installation, &folder)?;
    let next = next.unwrap_or(if is_first {
        "codex-oauth login"
    } else {
        "nothing: the next use is of this version"
    });
    context.output.line(&format!("next       {next}"))?;
    Ok(Exit::Success)
}

/// The folder of the release: this program is in its `bin`.
fn release() -> Result<PathBuf, Failure> {
    let program = windows::this_program().map_err(|error| not_installed(Path::new("codex-oauth"), &error))?;
    let release = program.parent().filter(|bin| PROGRAMS.iter().all(|name| bin.join(name).is_file()));
    let release = release.and_then(Path::parent).filter(|folder| folder.join("plugin").is_dir());
    release.map(Path::to_owned).ok_or_else(|| {
        let message = format!("could not install: `{}` is not in an unpacked release", program.display());
        WireError::caller(ErrorCode::Configuration, message).into()
    })
}

/// Puts every file where it belongs, each whole under another name before it has its own; the mark and the command last.
fn put_in_place(release: &Path, installation: &Installation, folder: &Path, plugin: bool) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for name in PROGRAMS {
        place(&release.join("bin").join(name), &folder.join(name))?;
    }
    if plugin {
        let new = folder.join("share.new");
        windows::remove_tree(&new)?;
        for part in MARKETPLACE {
            copy_tree(&release.join(part), &new.join(part))?;
        }
        for name in PROGRAMS {
            // Claude Code starts `bin\\codex-oauth-mcp`, which Windows completes; the daemon is found beside it.
            fs::copy(release.join("bin").join(name), new.join(r"plugin\bin").join(name))?;
        }
        let share = folder.join("share");
        windows::remove_tree(&share)?;
        rename(&new, &share)?;
    }
    fs::create_dir_all(installation.links())?;
    write(&installation.links().join("codex-oauth.cmd"), &COMMAND.replace("@VERSION@", build()))?;
    write(&installation.marker(), "Put in place by install.ps1; removed by codex-oauth uninstall.\r\n")
}

/// Puts a program in its place. One that is the same already stays, since it may run.
fn place(from: &Path, to: &Path) -> io::Result<()> {
    if to.is_file() && is_same(from, to)? {
        return Ok(());
    }
    let new = to.with_extension("new");
    fs::copy(from, &new)?;
    windows::remove_file(to)?;
    rename(&new, to)
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (io::BufReader::new(File::open(one)?), io::BufReader::new(File::open(other)?));
    let (mut ours, mut theirs) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let read = one.read(&mut ours)?;
        other.read_exact(&mut theirs[..read])?;
        if read == 0 || ours[..read] != theirs[..read] {
            return Ok(read == 0);
        }
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    File::create(&new)?.write_all(text.as_bytes())?;
    rename(&new, file)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "an install that a power cut ends is done again")]
    fs::rename(from, to)
}

fn register(context: &Context, folder: &Path) -> String {
    let share = folder.join("share");
    let later = format!(
        "later: claude plugin marketplace add \"{}\"; claude plugin install {PLUGIN}",
        share.display()
    );
    match claude::register(&context.env, &share) {
        Some(Ok(())) => "registered in Claude Code; new sessions have it".to_owned(),
        Some(Err(why)) => format!("could not be registered: {why}; {later}"),
        None => format!("claude is not on PATH; {later}"),
    }
}

/// Runs the installed command, which finds what lies beside it, and passes on what it says but for its next step; whether it
/// went well.
fn run_installed(context: &mut Context, command: &Path, args: &[&str]) -> Result<bool, Failure> {
    match Command::new(command).args(args).stderr(Stdio::inherit()).output() {
        Ok(ran) => {
            let said = String::from_utf8_lossy(&ran.stdout);
            for line in said.lines().filter(|line| !line.starts_with("next ")) {
                context.output.line(line)?;
            }
            Ok(ran.status.success())
        }
        Err(error) => {
            context.output.note(&format!("could not run `{}`: {error}", command.display()))?;
            Ok(false)
        }
    }
}

/// Has an older daemon make way. What is left to do then, if it is not the usual.
fn hand_over(context: &mut Context, command: &Path) -> Result<Option<&'static str>, Failure> {
    let running = |context: &Context| {
        let client = Client::open_if_running(&context.env).ok().flatten()?;
        Some(client.welcome().build.clone()).filter(|found| found != build())
    };
    let Some(former) = running(context) else { return Ok(None) };
    // A newer command has an older daemon hand over, and an older one does not: what came of it is said here.
    let _said = Command::new(command).arg("config").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match running(context) {
        None => {
            let line =
                format!("daemon     {former} has handed over to {}, and finishes what it was asked", build());
            context.output.line(&line)?;
            Ok(None)
        }
        Some(other) => {
            context
                .output
                .line(&format!("daemon     the one that runs is another build, of version {other}"))?;
            Ok(Some(
                "codex-oauth daemon stop    (it finishes what it was asked; the next use starts this version)",
            ))
        }
    }
}

/// Removes other versions that nobody uses, and programs that ran when they were replaced.
fn remove_others(context: &mut Context, installation: &Installation, folder: &Path) -> Result<(), Failure> {
    let versions = installation.versions().map_err(|error| not_installed(installation.prefix(), &error))?;
    for other in versions.iter().filter(|version| version.as_path() != folder) {
        if windows::is_used(other) || windows::remove_tree(other).is_err() {
            let line =
                format!("kept       {}, which is in use; the next install removes it", other.display());
            context.output.line(&line)?;
        } else {
            context.output.line(&format!("removed    {}", other.display()))?;
        }
    }
    // Those that run still stay, for the next time.
    let _some_run = fs::remove_dir_all(windows::put_aside());
    Ok(())
}

fn not_installed(path: &Path, error: &io::Error) -> Failure {
    let message = format!("could not install `{}`: {error}", path.display());
    let step = NextStep::FixFile { path: path.display().to_string() };
    let code = if error.kind() == ErrorKind::InvalidInput {
        ErrorCode::InvalidArguments
    } else {
        ErrorCode::Configuration
    };
    WireError::caller(code, message).next(step).into()
}
