//! `codex-oauth config import`: proxy and CA file of this shell, written into `config.toml` for every session.
//!
//! Promises: nothing is written that the daemon would refuse, as far as that can be told here; other lines of the file stay as
//! they are; the file is its owner's alone, since a proxy's password may be in it, and no password is shown; doing it twice is
//! doing it once.

mod pem;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use codex_oauth_proto::claim::{self, Wanted};
use codex_oauth_proto::launch::LaunchError;
use codex_oauth_proto::{ErrorCode, NextStep, Surface, WireError, dir};

use crate::args::ImportNetworkArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What happens to a key that the file has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Present {
    /// It stays: a person may have written it on purpose.
    Stays,
    /// This shell's takes its place.
    IsReplaced,
}

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// The file is another one now.
    pub(crate) changed: bool,
    /// Something that this shell names cannot be used.
    pub(crate) refused: bool,
}

/// Runs `config import`. What cannot be used is a failure, unless the command is a part of an installation (`--keep`).
pub(crate) fn run(context: &mut Context, args: ImportNetworkArgs) -> Result<Exit, Failure> {
    let present = if args.keep { Present::Stays } else { Present::IsReplaced };
    let Imported { changed, refused } = import(context, present)?;
    if changed {
        context.output.line("next       codex-oauth daemon stop    (the next use reads it)")?;
    } else if !args.keep && claim::wanted(&context.env).is_empty() {
        context.output.line("unchanged  this shell names no proxy and no CA file")?;
    }
    Ok(if refused && !args.keep { Exit::Failure } else { Exit::Success })
}

/// Writes what this shell names, and says it.
pub(crate) fn import(context: &mut Context, present: Present) -> Result<Imported, Failure> {
    let folder = context.env.config_dir().map_err(|error| LaunchError::from(error).to_wire())?;
    let given = folder.join("config.toml");
    // A link, as into a folder of dotfiles, stays one.
    let path = fs::canonicalize(&given).unwrap_or(given);
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed("read", &path, &error).into()),
    };
    let wanted = claim::wanted(&context.env);
    if !wanted.is_empty()
        && let Err(broken) = toml::from_str::<toml::Table>(&before)
    {
        let error = unusable(&path, &before, &broken);
        if present == Present::IsReplaced {
            return Err(error.into());
        }
        // A part of an installation, which goes on.
        context.output.note(&format!("nothing was written: {}", error.render(Surface::Shell)))?;
        return Ok(Imported { changed: false, refused: true });
    }
    let mut text = before.clone();
    let mut refused = false;
    for wanted in wanted {
        if let Err(why) = usable(&wanted) {
            refused = true;
            let Wanted { key, variable, .. } = &wanted;
            context.output.note(&format!("{variable} was not written as {key}: {why}"))?;
            continue;
        }
        let said = format!("{} ({})", wanted.shown(), wanted.variable);
        match set(&text, &wanted, present) {
            Outcome::Same => {}
            Outcome::Stays => {
                let hint = "config.toml says otherwise; `codex-oauth config import` replaces it";
                context
                    .output
                    .note(&format!("{} stays: {said} was not written, since {hint}", wanted.key))?;
            }
            Outcome::NotALine => {
                context.output.note(&format!(
                    "{} was not written: set it in `{}` yourself",
                    wanted.key,
                    path.display()
                ))?;
            }
            Outcome::Set(new) => {
                text = new;
                let secret = if wanted.has_password() { ", with its user name and password" } else { "" };
                context.output.line(&format!("{:<10} {said}{secret}", wanted.key))?;
            }
        }
    }
    if text == before {
        return Ok(Imported { changed: false, refused });
    }
    write(&path, &text).map_err(|error| {
        let failed = failed("write", &path, &error);
        match dir::write_step(&path, &error, context.env.uid) {
            Some(step) => failed.next(step),
            None => failed,
        }
    })?;
    context.output.line(&format!("wrote      {} (only you can read it)", path.display()))?;
    Ok(Imported { changed: true, refused })
}

/// Whether the daemon could use it.
fn usable(wanted: &Wanted) -> Result<(), String> {
    let value = &wanted.value;
    if value.chars().any(char::is_control) {
        return Err("it holds control characters".to_owned());
    }
    match wanted.key {
        "proxy" => {
            let scheme = value.split_once("://").map_or("http", |(scheme, _)| scheme);
            let known = ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
            // The rest of it may hold a password.
            let supported = "supported are http://host:port and https://host:port";
            if known { Ok(()) } else { Err(format!("`{scheme}` proxies cannot be used; {supported}")) }
        }
        "ca_file" => {
            let path = Path::new(value);
            if path.is_relative() {
                return Err(format!("`{value}` is not an absolute path"));
            }
            pem::check(path)
        }
        _ => Ok(()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The file says so already.
    Same,
    /// The file says something else, and that stays.
    Stays,
    /// What the file says takes more than a line.
    NotALine,
    /// The whole text with it.
    Set(String),
}

/// Sets a key of the table at the top (TOML 1.0: keys before the first header).
fn set(text: &str, wanted: &Wanted, present: Present) -> Outcome {
    let Wanted { key, value, .. } = wanted;
    let new = format!("{key} = \"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let lines: Vec<&str> = text.lines().collect();
    let top = lines.iter().position(|line| line.trim_start().starts_with('[')).unwrap_or(lines.len());
    let is_it = |line: &&str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let Some(at) = lines[..top].iter().position(is_it) else {
        return Outcome::Set(format!("{new}\n{text}"));
    };
    let old = lines[at].split_once('=').map_or("", |(_, old)| old.trim());
    if lines[at].trim() == new || old.trim_matches('\'') == value {
        return Outcome::Same;
    }
    if present == Present::Stays {
        return Outcome::Stays;
    }
    if !old.starts_with(['"', '\'']) || old.starts_with("\"\"\"") || old.starts_with("'''") {
        return Outcome::NotALine;
    }
    let mut lines = lines;
    lines[at] = &new;
    Outcome::Set(lines.join("\n") + "\n")
}

/// All or nothing, and nobody else's to read from its first byte on.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = PathBuf::from(format!("{}.{}.new", path.display(), std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    drop(file);
    #[expect(
        clippy::disallowed_methods,
        reason = "a configuration, synced above: one that is lost is written again"
    )]
    let moved = written.and_then(|()| fs::rename(&new, path));
    if moved.is_err() {
        #[expect(clippy::disallowed_methods, reason = "our own, made above")]
        let _gone = fs::remove_file(&new);
    }
    moved
}

/// A file that the daemon refuses: no line of ours would make it better. Its text may hold a password, and is not shown.
fn unusable(file: &Path, text: &str, error: &toml::de::Error) -> WireError {
    let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
    let line = line.map_or_else(String::new, |line| format!("line {line}: "));
    let message = format!("could not use `{}`: {line}{}", file.display(), error.message());
    WireError::caller(ErrorCode::Configuration, message)
        .next(NextStep::FixFile { path: file.display().to_string() })
}

fn failed(verb: &str, file: &Path, error: &io::Error) -> WireError {
    WireError::caller(ErrorCode::Configuration, format!("could not {verb} `{}`: {error}", file.display()))
        .next(NextStep::FixFile { path: file.display().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(value: &str) -> Wanted {
        Wanted { key: "proxy", variable: "HTTPS_PROXY".to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_key_goes_to_the_top_and_other_lines_stay_as_they_are() {
        let text = "# mine\nlog = \"debug\"\n[limits]\nproxy = 1\n";
        let set = set(text, &proxy("http://p:1"), Present::Stays);
        assert_eq!(set, Outcome::Set(format!("proxy = \"http://p:1\"\n{text}")));
    }

    #[test]
    fn what_is_there_stays_or_is_replaced_as_asked() {
        let text = "proxy= 'http://old:1' # ours\n[limits]\n";
        assert_eq!(set(text, &proxy("http://p:1"), Present::Stays), Outcome::Stays);
        let replaced = Outcome::Set("proxy = \"http://p:1\"\n[limits]\n".to_owned());
        assert_eq!(set(text, &proxy("http://p:1"), Present::IsReplaced), replaced);
        assert_eq!(set("proxy = \"http://p:1\"", &proxy("http://p:1"), Present::IsReplaced), Outcome::Same);
        assert_eq!(set("proxy = 'http://p:1'", &proxy("http://p:1"), Present::Stays), Outcome::Same);
        let long = "proxy = \"\"\"\nhttp://p:1\"\"\"\n";
        assert_eq!(set(long, &proxy("http://p:2"), Present::IsReplaced), Outcome::NotALine);
    }

    #[test]
    fn signs_that_mean_something_to_toml_are_escaped() {
        let Outcome::Set(text) = set("", &proxy("http://a\"b\\c@p:1"), Present::Stays) else {
            panic!("not set")
        };
        assert_eq!(text, "proxy = \"http://a\\\"b\\\\c@p:1\"\n");
    }

    #[test]
    fn what_the_daemon_would_refuse_is_not_written() {
        assert!(usable(&proxy("socks5://127.0.0.1:1080")).unwrap_err().contains("socks5"));
        assert!(usable(&proxy("proxy:3128")).is_ok());
        let file = |value: &str| Wanted {
            key: "ca_file",
            variable: "SSL_CERT_FILE".to_owned(),
            value: value.to_owned(),
        };
        let missing = if cfg!(windows) { "C:/nonexistent/ca.pem" } else { "/nonexistent/ca.pem" };
        assert!(usable(&file("ca.pem")).unwrap_err().contains("absolute"));
        assert!(usable(&file(missing)).unwrap_err().contains("could not read"));
    }
}
