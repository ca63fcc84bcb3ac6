//! A thread that writes.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Bytes that may wait for the thread. What a Unix pipe holds.
const MAX_UNWRITTEN_BYTES: usize = 64 * 1024;

/// Bytes on their way to one sink, written by a thread of its own.
#[derive(Debug)]
pub struct Outlet {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told at every change.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// The thread has taken bytes and is not done with them.
    writing: bool,
    /// Why nothing more can be written.
    broken: Option<io::ErrorKind>,
    /// Nobody writes any more.
    dropped: bool,
    /// The thread has ended.
    over: bool,
    /// Who waits for room.
    waiter: Option<Thread>,
}

impl Outlet {
    /// Starts to write to `sink`.
    pub fn new(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let _detached =
            thread::Builder::new().name("outlet".to_owned()).spawn(move || theirs.empty_into(sink))?;
        Ok(Self { shared })
    }

    /// Takes a first part of `bytes` without waiting; `WouldBlock` when there is no room.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.state.lock();
        if let Some(kind) = state.broken {
            return Err(kind.into());
        }
        let room = MAX_UNWRITTEN_BYTES - state.bytes.len().min(MAX_UNWRITTEN_BYTES);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = bytes.len().min(room);
        state.bytes.extend_from_slice(&bytes[..taken]);
        drop(state);
        self.shared.changed.notify_all();
        Ok(taken)
    }

    /// Waits until the sink has taken everything, or nobody takes it; `TimedOut` at `deadline`.
    pub fn drain(&self, deadline: Option<Instant>) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        while state.broken.is_none() && (state.writing || !state.bytes.is_empty()) {
            match deadline {
                None => self.shared.changed.wait(&mut state),
                Some(deadline) => {
                    if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
            }
        }
        state.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Whether something could be written, or nothing ever again. If not, the calling thread is unparked at the next
    /// change.
    pub(super) fn has_room(&self) -> bool {
        let mut state = self.shared.state.lock();
        let ready = state.broken.is_some() || state.bytes.len() < MAX_UNWRITTEN_BYTES;
        if !ready {
            state.waiter = Some(thread::current());
        }
        ready
    }

    /// Whether the thread is done.
    pub(super) fn is_over(&self) -> bool {
        self.shared.state.lock().over
    }

    /// Nothing more comes: the thread ends after the write that it is in.
    pub(super) fn close(&self) {
        self.shared.state.lock().dropped = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn empty_into(&self, mut sink: impl Write) {
        loop {
            let mut state = self.state.lock();
            self.changed.wait_while(&mut state, |state| !state.dropped && state.bytes.is_empty());
            if state.dropped {
                state.over = true;
                return;
            }
            let bytes = std::mem::take(&mut state.bytes);
            state.writing = true;
            drop(state);
            let written = sink.write_all(&bytes).and_then(|()| sink.flush());
            let mut state = self.state.lock();
            state.writing = false;
            state.broken = written.err().map(|error| error.kind());
            let (over, waiter) = (state.broken.is_some(), state.waiter.take());
            state.over = over;
            drop(state);
            self.changed.notify_all();
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
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::super::wait::{Wanted, wait_for};
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(10)
    }

    /// A sink that says when it is written to, and takes it when its gate's other end is dropped.
    struct Gated(Sender<()>, Receiver<()>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _untold = self.0.send(());
            let _opened = self.1.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_takes_fills_the_outlet_and_never_blocks() {
        let (told, writing) = channel();
        let (gate, opened) = channel();
        let outlet = Outlet::new(Gated(told, opened)).unwrap();
        assert_eq!(outlet.try_write(b"x").unwrap(), 1);
        writing.recv().unwrap();
        let bytes = vec![b'x'; 100_000];
        assert_eq!(outlet.try_write(&bytes).unwrap(), MAX_UNWRITTEN_BYTES);
        assert_eq!(wait_for(&[Wanted::Room(&outlet)], Some(soon())), None);
        assert_eq!(outlet.try_write(&bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(outlet.drain(Some(soon())).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(gate);
        outlet.drain(Some(Instant::now() + Duration::from_secs(60))).unwrap();
        assert_eq!(wait_for(&[Wanted::Room(&outlet)], None), Some(vec![true]));
    }

    #[test]
    fn a_reader_that_has_gone_is_told_to_the_writer() {
        let (reader, writer) = io::pipe().unwrap();
        let outlet = Outlet::new(writer).unwrap();
        drop(reader);
        assert_eq!(outlet.try_write(b"x").unwrap(), 1);
        assert_eq!(outlet.drain(None).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(outlet.try_write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
