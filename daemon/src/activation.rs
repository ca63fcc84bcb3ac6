//! A socket that the service manager listens at in our place. systemd hands it over as descriptor 3 (`sd_listen_fds(3)`),
//! launchd by name (`launch_activate_socket(3)`).
//!
//! Promises: exactly one listening socket, meant for this process and at our own path, or a refusal that says what came
//! instead; the variables are gone before anything is started, so that no child of ours takes the socket for its own. The
//! path is the manager's: it is never unlinked here.

#[cfg(target_os = "macos")]
mod launchd;
#[cfg(not(target_os = "macos"))]
mod systemd;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, sockopt};

/// A socket that was passed.
pub(crate) type Passed = OwnedFd;

/// What the manager passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    /// Not exactly one.
    #[error("could not use what the service manager passed: {count} sockets, and one is expected")]
    Count {
        /// What it said.
        count: String,
    },
    /// Not what it should be.
    #[error("could not use the socket that the service manager passed: it is not {expected}")]
    Unfit {
        /// `a socket`, `listening`, ...
        expected: &'static str,
    },
    /// Clients look elsewhere.
    #[error(
        "could not use the socket that the service manager passed: it listens at `{}`, and clients look at `{}`",
        found.display(), expected.display()
    )]
    Elsewhere {
        /// Where it listens.
        found: PathBuf,
        /// Where it should.
        expected: PathBuf,
    },
    /// The system failed.
    #[error("could not use the socket that the service manager passed")]
    Io(#[from] io::Error),
}

/// The socket that was passed to this process, if one was. To be called once, first of all, while there is one thread.
pub(crate) fn take() -> Result<Option<Passed>, ActivationError> {
    #[cfg(target_os = "macos")]
    return launchd::take();
    #[cfg(not(target_os = "macos"))]
    systemd::take()
}

/// Checks that `socket` listens for local streams at `path`, and makes it non-blocking.
pub(crate) fn check(socket: &Passed, path: &Path) -> Result<(), ActivationError> {
    let must_be = |found: bool, expected: &'static str| {
        if found { Ok(()) } else { Err(ActivationError::Unfit { expected }) }
    };
    let mode = rustix::fs::fstat(socket).map_err(io::Error::from)?.st_mode;
    must_be(rustix::fs::FileType::from_raw_mode(mode).is_socket(), "a socket")?;
    let address = rustix::net::getsockname(socket).map_err(io::Error::from)?;
    must_be(address.address_family() == AddressFamily::UNIX, "a local socket")?;
    must_be(sockopt::socket_type(socket).map_err(io::Error::from)? == SocketType::STREAM, "a stream socket")?;
    #[cfg(target_os = "linux")]
    must_be(sockopt::socket_acceptconn(socket).map_err(io::Error::from)?, "listening")?;
    let address = SocketAddrUnix::try_from(address).map_err(io::Error::from)?;
    let found = address.path_bytes().map(|bytes| PathBuf::from(String::from_utf8_lossy(bytes).into_owned()));
    let found = found.unwrap_or_default();
    if resolved(&found) != resolved(path) {
        return Err(ActivationError::Elsewhere { found, expected: path.to_owned() });
    }
    rustix::io::ioctl_fionbio(socket, true).map_err(io::Error::from)?;
    Ok(())
}

/// Two spellings of one place are one place.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
