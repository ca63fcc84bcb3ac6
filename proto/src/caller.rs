//! Blocking waits that end: at a deadline, or with the client on whose behalf this process waits.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use crate::local::{Awaited, Source, wait_any};

/// On whose behalf this process waits.
#[derive(Debug)]
pub struct Caller<'fd> {
    input: Option<Source<'fd>>,
    grace: Duration,
    /// When waiting ends, once the client was seen to have gone.
    until: Cell<Option<Instant>>,
}

/// What a wait led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// There is something to read, be it the end.
    Ready,
    /// The deadline has passed.
    TimedOut,
    /// The client has gone, and its grace is over.
    GivenUp,
}

impl Caller<'static> {
    /// Nobody whose end could be seen: waits last until their deadlines.
    pub const fn unwatched() -> Self {
        Self { input: None, grace: Duration::ZERO, until: Cell::new(None) }
    }
}

impl<'fd> Caller<'fd> {
    /// The client that writes to `input`. When it closes its side, waits last for `grace` more, counted from the first wait
    /// that notices: what it wrote before may still be answered. Unread input is no end.
    pub const fn watched(input: Source<'fd>, grace: Duration) -> Self {
        Self { input: Some(input), grace, until: Cell::new(None) }
    }

    /// Waits until `source`, if any, can be read or has ended.
    pub(crate) fn wait(&self, source: Option<Source<'_>>, deadline: Instant) -> io::Result<Waited> {
        loop {
            let until = self.until.get();
            let end = until.map_or(deadline, |until| until.min(deadline));
            // Once seen, the end would be seen again at once.
            let watched = self.input.filter(|_| until.is_none());
            match wait_any([source.map(Awaited::Input), watched.map(Awaited::End)], Some(end))? {
                Some(0) => return Ok(Waited::Ready),
                Some(_) => self.until.set(Some(Instant::now() + self.grace)),
                None if until.is_some_and(|until| until <= Instant::now()) => return Ok(Waited::GivenUp),
                None => return Ok(Waited::TimedOut),
            }
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::Shutdown;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(10)
    }

    fn late() -> Instant {
        Instant::now() + LONG
    }

    #[test]
    fn a_client_that_closes_its_pipe_ends_the_wait_even_with_its_words_unread() {
        let (input, mut client) = io::pipe().unwrap();
        let (source, _silent) = io::pipe().unwrap();
        let caller = Caller::watched(input.as_fd(), Duration::from_millis(10));
        client.write_all(b"unread").unwrap();
        assert_eq!(caller.wait(Some(source.as_fd()), soon()).unwrap(), Waited::TimedOut);
        drop(client);
        assert_eq!(caller.wait(Some(source.as_fd()), late()).unwrap(), Waited::GivenUp);
        assert_eq!(caller.wait(None, late()).unwrap(), Waited::GivenUp, "the grace is given once");
    }

    #[test]
    fn a_client_that_closes_its_socket_or_half_of_it_ends_the_wait() {
        for half in [true, false] {
            let (input, client) = UnixStream::pair().unwrap();
            let caller = Caller::watched(input.as_fd(), Duration::ZERO);
            assert_eq!(caller.wait(None, soon()).unwrap(), Waited::TimedOut);
            let kept = half.then(|| client.try_clone().unwrap());
            client.shutdown(Shutdown::Write).unwrap();
            drop(client);
            assert_eq!(caller.wait(None, late()).unwrap(), Waited::GivenUp, "half: {half}");
            drop(kept);
        }
    }

    #[test]
    fn what_comes_within_the_grace_is_still_taken() {
        let (input, client) = io::pipe().unwrap();
        let (source, mut daemon) = io::pipe().unwrap();
        drop(client);
        let caller = Caller::watched(input.as_fd(), LONG);
        assert_eq!(caller.wait(Some(source.as_fd()), soon()).unwrap(), Waited::TimedOut);
        daemon.write_all(b"welcome").unwrap();
        assert_eq!(caller.wait(Some(source.as_fd()), late()).unwrap(), Waited::Ready);
    }

    #[test]
    fn the_end_of_the_source_is_something_to_read() {
        let (source, daemon) = io::pipe().unwrap();
        drop(daemon);
        assert_eq!(Caller::unwatched().wait(Some(source.as_fd()), late()).unwrap(), Waited::Ready);
    }
}
