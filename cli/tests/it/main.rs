//! The command as a person runs it: the real program against a daemon that follows a script.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod machine;
mod rig;

mod account;
mod answers;
mod broken_output;
mod clean_account;
mod config;
mod daemon;
mod direct;
mod doctor;
mod exit_codes;
mod guides;
mod help;
mod install;
mod interrupt;
mod launcher;
mod login;
mod logs;
mod models;
mod pains;
mod plan;
mod plugin;
mod query;
mod service;
mod setup;
mod status;
mod terminal;
mod usage;
