//! Where the manager listens: a datagram socket.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Its place.
pub(super) type Address = SocketAddr;

/// Sends one message.
pub(super) fn send(manager: &Address, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not stop the daemon.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message, manager).map(|_sent| ())
}

/// A path, or `@name` in Linux' abstract namespace.
pub(super) fn address(name: &str) -> io::Result<Address> {
    match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name)
        }
        _ if name.starts_with('/') => SocketAddr::from_pathname(name),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "expected an absolute path or an abstract name"))
        }
    }
}
