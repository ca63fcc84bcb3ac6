//! Who is at the other end of a local socket, as the kernel says.

use std::io;
use std::os::unix::net::UnixStream;

/// The process at the other end at the time of the connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user id: what access is decided by.
    pub uid: u32,
    /// Its process id, for logs: the process may be gone and the number reused.
    pub pid: Option<u32>,
}

impl Peer {
    /// Asks the kernel about a connected stream. Works in both directions: a client learns who listens.
    #[cfg(target_os = "linux")]
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let found = rustix::net::sockopt::socket_peercred(stream)?;
        Ok(Self { uid: found.uid.as_raw(), pid: u32::try_from(found.pid.as_raw_nonzero().get()).ok() })
    }

    /// Asks the kernel about a connected stream. Works in both directions: a client learns who listens.
    #[cfg(not(target_os = "linux"))]
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        use interprocess::local_socket::traits::StreamCommon as _;
        let stream = interprocess::os::unix::uds_local_socket::Stream::from(stream.try_clone()?);
        let found = stream.peer_creds()?;
        let uid = found.euid().ok_or_else(|| io::Error::other("the system does not tell the peer's user"))?;
        Ok(Self { uid, pid: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_our_own_pair_are_us() {
        let (a, b) = UnixStream::pair().unwrap();
        for end in [a, b] {
            assert_eq!(Peer::of(&end).unwrap().uid, rustix::process::geteuid().as_raw());
        }
    }
}
