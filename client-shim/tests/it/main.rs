//! The shim between a client and a daemon that a test plays line by line.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the rig's helpers fail their test by panicking")]

mod bounds;
mod flow;
mod handover;
mod lines;
mod loss;
mod offline;
mod process;
mod rig;
mod start;
