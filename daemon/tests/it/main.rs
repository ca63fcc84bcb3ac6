//! The daemon from outside, against a fake issuer and backend.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accounts;
mod activation;
mod architecture;
mod backend_table;
mod bounds;
mod cold_start;
mod configuration;
mod debug;
mod deps;
mod errors;
mod exposure;
mod fuzz;
mod handover;
mod hello;
mod hostile;
mod idle;
mod issuer_table;
mod killed;
mod killed_refresh;
mod large;
mod ledger;
mod limits;
mod login;
mod login_ways;
mod logs;
mod mcp_eras;
mod mcp_session;
mod network;
mod offline;
mod path;
mod process;
mod resident;
mod secrets;
mod settings;
mod shutdown;
mod socket_api;
mod stale;
mod start;
mod storm;
mod support;
mod tidy;
mod traces;
mod units;
mod upstream_table;
mod versions;
