//! The codex-oauth daemon: the only process that holds tokens or speaks HTTP upstream.
//!
//! ```text
//! listen -> server -> session -> { mcp | api } -> service -> { auth, upstream, state }
//! ```
//!
//! `auth` and `upstream` never name each other: [`grant::Grant`] is the word between them, and only `service` knows
//! both. The dialects hold no logic: each translates to the one service and back.

#[cfg_attr(windows, path = "windows/activation.rs")]
mod activation;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator;
mod api;
pub mod auth;
mod browser;
pub mod codex_locks;
pub mod config;
mod debug;
mod folders;
pub mod fsx;
pub mod grant;
#[cfg_attr(windows, path = "windows/harden.rs")]
mod harden;
mod idle;
mod instance;
mod kill_point;
mod leftovers;
mod life;
pub mod limits;
mod line_io;
#[cfg_attr(windows, path = "windows/listen.rs")]
mod listen;
mod log;
#[cfg_attr(windows, path = "windows/machine.rs")]
mod machine;
mod mcp;
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
mod names;
pub mod network;
mod notify;
mod place;
#[cfg_attr(windows, path = "windows/process.rs")]
mod process;
mod program;
mod queue;
pub mod secret;
mod server;
mod service;
mod session;
mod shutdown;
#[cfg_attr(windows, path = "windows/signals.rs")]
mod signals;
pub mod sleep;
pub mod startup;
mod state;
#[cfg_attr(windows, path = "windows/stream.rs")]
mod stream;
pub mod task;
pub mod upstream;
#[cfg(windows)]
mod windows;
