//! `codex-oauth account …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// List the accounts; `*` marks the default one
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Sign in to a further account: `codex-oauth login --account NAME`
    Add {
        /// How to call it: lower-case letters, digits, `-` and `_`
        name: String,
    },
    /// Make an account the default one, for every session at once; nobody is signed out
    Use {
        /// Which
        name: String,
    },
    /// Sign an account out and forget it; the Codex CLI's is only forgotten
    Remove {
        /// Which
        name: String,
    },
    /// Take the Codex CLI's login over; it must not use it any more. An own login is offered first
    Import(ImportArgs),
    /// Use the Codex CLI's access token while it is valid; nothing is written or renewed
    Borrow(AdoptArgs),
    /// Renew the login in the Codex CLI's file, for it and for us
    Share(AdoptArgs),
    /// Show what became of the login's tokens: when, by whom, with what outcome
    ///
    /// Tokens are named by 12 digits of their hash. An answer of OpenAI that a token was used already is explained here.
    History {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Of this account instead of the folder's or the default one
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
}

/// The Codex CLI's login
#[derive(Clone, Debug, Args)]
pub(crate) struct AdoptArgs {
    /// How to call it
    #[arg(default_value = "codex")]
    pub(crate) name: String,
    /// The folder of its auth.json; default: `CODEX_HOME`, else `~/.codex`
    #[arg(long, value_name = "DIR")]
    pub(crate) codex_home: Option<PathBuf>,
}

/// A login that becomes ours
#[derive(Clone, Debug, Args)]
pub(crate) struct ImportArgs {
    /// How to call it [default: codex]
    pub(crate) name: Option<String>,
    /// The folder of the Codex CLI's auth.json; default: `CODEX_HOME`, else `~/.codex`
    #[arg(long, value_name = "DIR")]
    pub(crate) codex_home: Option<PathBuf>,
    /// The login of the Python plugin instead, which stays the account `default`
    #[arg(long, conflicts_with_all = ["codex_home", "name"])]
    pub(crate) plugin: bool,
    /// Without being asked
    #[arg(long)]
    pub(crate) take: bool,
}
