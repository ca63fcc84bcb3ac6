//! What the fake promises to the tests that lean on it.

#![expect(
    clippy::unwrap_used,
    reason = "test helpers outside of `#[test]` functions fail by panicking as well"
)]

mod admin;
mod authorize;
mod binary;
mod device;
mod faults;
mod journal;
mod models;
mod refresh;
mod responses;
mod rig;
mod tls;
