//! Who is at the other end of a local stream, as the kernel says.

use std::io;

use crate::local::{self, Stream, UserId};

/// The process at the other end at the time of the connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user: what access is decided by. Of a named pipe it is the owner.
    pub uid: UserId,
    /// Its process id, for logs: the process may be gone and the number reused.
    pub pid: Option<u32>,
}

impl Peer {
    /// Asks the kernel about a connected stream. On Unix it works in both directions: a client learns who listens.
    pub fn of(stream: &Stream) -> io::Result<Self> {
        local::peer(stream)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_our_own_pair_are_us() {
        let (a, b) = Stream::pair().unwrap();
        for end in [a, b] {
            assert_eq!(Peer::of(&end).unwrap().uid, local::current_user());
        }
    }
}
