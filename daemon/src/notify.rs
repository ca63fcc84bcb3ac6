//! Tells systemd how it goes: `sd_notify(3)`, by hand. Without a manager that listens every word is lost, as it should be.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
#[path = "windows/notify.rs"]
mod windows;

use std::time::Duration;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// Where the manager listens, if one does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notifier {
    manager: Option<system::Address>,
}

/// A word to the manager.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word<'a> {
    /// Connections are accepted.
    Ready,
    /// The daemon is on its way out.
    Stopping,
    /// One line for `systemctl status`; never anything secret.
    Status(&'a str),
    /// The current start or stop takes this much longer from now on.
    Extend(Duration),
}

impl Notifier {
    /// Takes `NOTIFY_SOCKET` out of the environment. To be called while there is one thread.
    pub(crate) fn take() -> Self {
        let manager = take_variable("NOTIFY_SOCKET").and_then(|name| match system::address(&name) {
            Ok(address) => Some(address),
            Err(error) => {
                tracing::warn!(%error, "could not use NOTIFY_SOCKET");
                None
            }
        });
        Self { manager }
    }

    /// Whether anybody listens.
    pub(crate) const fn is_heard(&self) -> bool {
        self.manager.is_some()
    }

    /// Says `words` in one message.
    pub(crate) fn tell(&self, words: &[Word<'_>]) {
        let Some(manager) = &self.manager else { return };
        let lines: Vec<String> = words.iter().map(Word::line).collect();
        if let Err(error) = system::send(manager, lines.join("\n").as_bytes()) {
            tracing::warn!(%error, "could not tell the service manager");
        }
    }
}

impl Word<'_> {
    fn line(&self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Stopping => "STOPPING=1".to_owned(),
            Self::Status(text) => format!("STATUS={}", text.replace(char::is_control, " ")),
            Self::Extend(time) => format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()),
        }
    }
}

/// A variable that is for this process and none of its children.
#[expect(unsafe_code, reason = "there is one thread, so nobody reads the environment meanwhile")]
pub(crate) fn take_variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    #[expect(clippy::disallowed_methods, reason = "as above")]
    // SAFETY: called before the first thread is started (see the callers).
    unsafe {
        std::env::remove_var(name);
    }
    Some(value)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::system::address;
    use super::*;

    fn heard_at(address: SocketAddr, listener: &UnixDatagram) {
        let notifier = Notifier { manager: Some(address) };
        notifier.tell(&[Word::Ready, Word::Status("one\nline"), Word::Extend(Duration::from_secs(2))]);
        let mut bytes = [0; 100];
        let read = listener.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..read], b"READY=1\nSTATUS=one line\nEXTEND_TIMEOUT_USEC=2000000");
    }

    #[test]
    fn a_manager_at_a_path_hears_every_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        heard_at(address(path.to_str().unwrap()).unwrap(), &listener);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_manager_in_the_abstract_namespace_hears_every_word() {
        let name = format!("@codex-oauth-test-{}", std::process::id());
        let place = address(&name).unwrap();
        heard_at(place.clone(), &UnixDatagram::bind_addr(&place).unwrap());
    }

    #[test]
    fn a_manager_that_is_not_there_is_no_failure() {
        Notifier::default().tell(&[Word::Ready]);
        Notifier { manager: Some(address("/nonexistent/notify").unwrap()) }.tell(&[Word::Ready]);
        assert!(address("relative").is_err());
    }
}
