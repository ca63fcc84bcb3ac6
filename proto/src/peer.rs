//! Who is at the other end of a local stream, as the kernel says.

use std::io;

use crate::endpoint::Endpoint;
use crate::local::{self, Stream, UserId};
use crate::lock;

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

    /// The process that keeps the socket of `endpoint`, to which `stream` is connected: the one to end when nothing comes from it.
    /// Where a service manager listens for its daemon it is that daemon, if the lock names it, never the manager.
    pub fn listener(stream: &Stream, endpoint: &Endpoint) -> Option<u32> {
        let pid = Self::of(stream).ok()?.pid?;
        if !is_a_manager(pid) {
            return Some(pid);
        }
        living_daemon(endpoint)
    }
}

/// The daemon that wrote its id into the lock of `endpoint`, if it lives. Neither connects, which would have a service manager
/// start one, nor touches the lock, which would be in the way of one that starts.
pub fn living_daemon(endpoint: &Endpoint) -> Option<u32> {
    let text = lock::described(&endpoint.instance_lock());
    let holder = text.strip_prefix("pid ")?.split(' ').next()?.parse().ok()?;
    // The text outlives its writer, whose number may be another process's by now.
    is_daemon(holder).then_some(holder)
}

#[cfg(target_os = "linux")]
fn is_daemon(pid: u32) -> bool {
    name_of(pid).is_some_and(|name| name == "codex-oauthd")
}

/// Nothing of ours tells the name of a process there.
#[cfg(all(unix, not(target_os = "linux")))]
fn is_daemon(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

/// No service manager listens there, so whoever asks can connect.
#[cfg(windows)]
fn is_daemon(_: u32) -> bool {
    true
}

/// The first process of a system or a container may be its service manager too.
fn is_a_manager(pid: u32) -> bool {
    pid == 1 || name_of(pid).is_some_and(|name| name == "systemd")
}

/// What a process calls itself; `None` where the system does not tell.
fn name_of(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
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
