//! No service manager of Windows listens for such words.

use std::io;

/// There is none.
#[derive(Clone, Debug)]
pub(super) enum Address {}

/// Never called.
pub(super) fn send(manager: &Address, _: &[u8]) -> io::Result<()> {
    match *manager {}
}

/// None can be named.
pub(super) fn address(_: &str) -> io::Result<Address> {
    Err(io::ErrorKind::Unsupported.into())
}
