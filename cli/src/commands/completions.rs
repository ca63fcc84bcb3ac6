//! `codex-oauth completions`: what a shell needs to complete our commands and options.

use clap::CommandFactory as _;

use crate::args::{Args, CompletionsArgs};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Prints the completions.
pub(crate) fn run(context: &mut Context, args: CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "codex-oauth", &mut script);
    context.output.out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
