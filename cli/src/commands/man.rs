//! `codex-oauth man`: the help as manual pages, one for each command.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use codex_oauth_proto::{BUILD, ErrorCode, NextStep, Retry, WireError};

use crate::args::{Args, ManArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Prints the main page, or writes all pages into a folder, which is made if need be.
pub(crate) fn run(context: &mut Context, args: ManArgs) -> Result<Exit, Failure> {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = args.out else {
        context.output.out(&page(&command)?)?;
        return Ok(Exit::Success);
    };
    fs::create_dir_all(&folder).map_err(|error| unwritten(&folder, &error))?;
    let pages = pages(&command);
    for command in &pages {
        let path = folder.join(format!("{}.1", name(command)));
        let text = page(command)?;
        let written = File::create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| unwritten(&path, &error))?;
    }
    context.output.line(&format!("{} pages written to {}", pages.len(), folder.display()))?;
    Ok(Exit::Success)
}

/// The command and all below it.
fn pages(command: &Command) -> Vec<Command> {
    let below = command.get_subcommands().flat_map(pages);
    std::iter::once(command.clone()).chain(below).collect()
}

/// `codex-oauth-daemon-run`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> io::Result<String> {
    let man = Man::new(command.clone())
        .title(name(command).to_uppercase())
        .source(format!("codex-oauth {BUILD}"))
        .manual("codex-oauth");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let further = command.get_after_long_help().or_else(|| command.get_after_help());
    further.map_or_else(Roff::new, |further| sections(&further.to_string())).to_writer(&mut page)?;
    String::from_utf8(page).map_err(io::Error::other)
}

/// What stands below the options in the help. A paragraph under a heading with a colon is a section, its lines as they are;
/// any other is text.
fn sections(text: &str) -> Roff {
    let mut roff = Roff::new();
    for paragraph in text.split("\n\n") {
        let mut lines = paragraph.lines().peekable();
        if let Some(heading) = lines.next_if(|line| line.ends_with(':')) {
            roff.control("SH", [heading.trim_end_matches(':').to_uppercase().as_str()]);
            roff.control("nf", []);
            for line in lines {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
            roff.control("fi", []);
        } else {
            roff.control("PP", []);
            roff.text([roman(lines.collect::<Vec<_>>().join(" "))]);
        }
    }
    roff
}

fn unwritten(path: &Path, error: &io::Error) -> WireError {
    let message = format!("could not write `{}`: {error}", path.display());
    WireError::daemon(ErrorCode::Internal, Retry::Never, message).next(NextStep::FixArguments)
}
