//! The contract between the daemon and whoever talks to it: what is said on the socket, where the socket is, and how a
//! client gets there.
//!
//! One JSON object per line, both ways, at most [`MAX_LINE_BYTES`] each. The client speaks first:
//!
//! ```text
//! client                                   daemon
//!   | -- {"hello":{protocol,role,...}} ---->  |   within 2 s of the connect
//!   | <---- {"welcome":{protocol,pid,...}} -- |   or {"refusal":{...}} and the end of the connection
//!   | == the role's dialect, both ways ====== |   role "mcp": MCP, line for line; role "api": JSON-RPC 2.0 (`api`)
//! ```
//!
//! A line that begins with `@` is control between shim and daemon and is never passed on to a client.
//!
//! This crate is blocking code over serde and system calls: no runtime, no HTTP, no tokens. The daemon, the shim and the
//! command line all use it, and none of them uses another.

pub mod api;
pub mod caller;
pub mod claim;
pub mod connect;
pub mod dir;
pub mod endpoint;
pub mod env;
pub mod error;
pub mod hello;
pub mod jsonrpc;
pub mod launch;
pub mod line;
pub mod local;
pub mod lock;
pub mod next_step;
pub mod peer;
#[cfg(feature = "people")]
pub mod people;
pub mod report;
pub mod stop_point;
pub mod tools;
pub mod version;

mod client;
mod nonce;
mod spawn;

pub use client::{Asked, Client, Heard, Incoming, Waited};
pub use error::{ErrorCode, Origin, Retry, WireError};
pub use line::MAX_LINE_BYTES;
pub use next_step::{NextStep, Surface};
pub use nonce::Nonce;
pub use version::{BUILD, PROTOCOL, ProtocolVersion, VersionRange};
