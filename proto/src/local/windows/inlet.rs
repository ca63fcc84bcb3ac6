//! A thread that reads ahead.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::thread::{self, Thread};

use parking_lot::{Condvar, Mutex};

use super::wait::{Wanted, wait_for};

/// One read.
const READ_BYTES: usize = 64 * 1024;

/// Bytes that may lie unread before the thread stops reading. About what a Unix socket holds.
const MAX_UNREAD_BYTES: usize = 256 * 1024;

/// The bytes of one source, read by a thread of its own. The thread ends with its source; one that waits for a source
/// that stays silent ends with the process.
#[derive(Debug)]
pub struct Inlet {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when there is room again, and when nobody reads any more.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Nothing more comes.
    ended: bool,
    /// Why, when it is no ordinary end. Given out once.
    error: Option<io::Error>,
    /// Nobody reads any more.
    dropped: bool,
    /// Who waits for a change.
    waiter: Option<Thread>,
}

impl Inlet {
    /// Starts to read `source`.
    pub fn new(source: impl Read + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let _detached =
            thread::Builder::new().name("inlet".to_owned()).spawn(move || theirs.fill_from(source))?;
        Ok(Self { shared })
    }

    /// Reads what is there without waiting: 0 at the end, `WouldBlock` when nothing has come.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.shared.state.lock();
        if state.bytes.is_empty() {
            return match state.error.take() {
                Some(error) => Err(error),
                None if state.ended => Ok(0),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let read = state.bytes.read(into)?;
        drop(state);
        self.shared.room.notify_one();
        Ok(read)
    }

    /// Whether there is something to read, or (`end_only`) whether the end has come. If not, the calling thread is
    /// unparked at the next change.
    pub(super) fn is_ready(&self, end_only: bool) -> bool {
        let mut state = self.shared.state.lock();
        let ready = state.ended || (!end_only && !state.bytes.is_empty());
        if !ready {
            state.waiter = Some(thread::current());
        }
        ready
    }

    /// Whether the thread is done.
    pub(super) fn is_over(&self) -> bool {
        self.shared.state.lock().ended
    }

    /// Nothing more is wanted: the thread ends after the read that it is in.
    pub(super) fn close(&self) {
        self.shared.state.lock().dropped = true;
        self.shared.room.notify_one();
    }
}

impl Read for Inlet {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let _ready = wait_for(&[Wanted::Input(self)], None);
        self.try_read(into)
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn fill_from(&self, mut source: impl Read) {
        let mut chunk = vec![0; READ_BYTES];
        loop {
            let mut state = self.state.lock();
            self.room.wait_while(&mut state, |state| !state.dropped && state.bytes.len() >= MAX_UNREAD_BYTES);
            let dropped = state.dropped;
            drop(state);
            let read = if dropped { Ok(0) } else { source.read(&mut chunk) };
            let mut state = self.state.lock();
            match read {
                Ok(0) => state.ended = true,
                Ok(read) => state.bytes.extend(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The writer has gone without closing: no more than its end.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => state.ended = true,
                Err(error) => (state.ended, state.error) = (true, Some(error)),
            }
            let (over, waiter) = (state.ended, state.waiter.take());
            drop(state);
            if let Some(waiter) = waiter {
                waiter.unpark();
            }
            if over {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::{Duration, Instant};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(10)
    }

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_comes_is_read_in_order_and_then_the_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut inlet = Inlet::new(reader).unwrap();
        assert_eq!(wait_for(&[Wanted::Input(&inlet)], Some(soon())), None);
        assert_eq!(inlet.try_read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        writer.write_all(b"abc").unwrap();
        assert_eq!(
            wait_for(&[Wanted::End(&inlet), Wanted::Input(&inlet)], Some(late())),
            Some(vec![false, true])
        );
        drop(writer);
        assert_eq!(
            wait_for(&[Wanted::End(&inlet)], Some(late())),
            Some(vec![true]),
            "before the rest is read"
        );
        let mut text = String::new();
        inlet.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
    }

    #[test]
    fn a_source_that_says_much_waits_for_its_reader() {
        let (mut inlet, bytes) = (Inlet::new(io::repeat(b'x')).unwrap(), MAX_UNREAD_BYTES * 4);
        let mut read = vec![0; bytes];
        inlet.read_exact(&mut read).unwrap();
        assert!(inlet.shared.state.lock().bytes.len() < MAX_UNREAD_BYTES + READ_BYTES);
    }
}
