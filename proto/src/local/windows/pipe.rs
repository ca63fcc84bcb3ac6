//! The client's end of the daemon's pipe. The only opener of pipes: every flag here is needed.

use std::fs::OpenOptions;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::OwnedHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use interprocess::os::windows::named_pipe::{DuplexPipeStream, pipe_mode};
use parking_lot::Mutex;
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_PIPE_BUSY};
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_OVERLAPPED, SECURITY_IDENTIFICATION};

use super::wait::{Wanted, wait_for};
use super::{Inlet, Outlet, Source, UserId, sys};
use crate::caller::Caller;
use crate::connect::{ConnectError, pause};
use crate::endpoint::Endpoint;
use crate::local::AsSource;
use crate::peer::Peer;

/// How long a pipe without a free instance is tried again. The daemon makes a new one with each accept, within microseconds; a
/// pipe that stays busy for a thousand times that is most likely the last sessions of a daemon that has handed over.
const BUSY_PATIENCE: Duration = Duration::from_millis(100);

/// `WaitNamedPipe` would wait without looking at the client; instances come and go within microseconds.
const BUSY_LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long the end of a stream waits for its last bytes to be taken. A shim has 100 ms to go.
const LAST_BYTES: Duration = Duration::from_millis(20);

/// How often the threads of a stream that ends are called back from the system, with a pause as long as they need to
/// get there. A thread that is not back by then ends with its peer.
const CALL_BACKS: u32 = 50;
const CALL_BACK_PAUSE: Duration = Duration::from_millis(1);

type Pipe = DuplexPipeStream<pipe_mode::Bytes>;

/// A pipe, read and written at once.
#[derive(Debug)]
pub struct Stream {
    pipe: Arc<Pipe>,
    inlet: Inlet,
    outlet: Outlet,
    nonblocking: AtomicBool,
    write_timeout: Mutex<Option<Duration>>,
}

/// One direction of the pipe in the hands of its thread.
struct Half(Arc<Pipe>);

impl Stream {
    fn new(handle: OwnedHandle) -> io::Result<Self> {
        let pipe = Pipe::try_from(handle)
            .map_err(|error| error.cause.unwrap_or_else(|| io::ErrorKind::InvalidInput.into()))?;
        let pipe = Arc::new(pipe);
        Ok(Self {
            inlet: Inlet::new(Half(Arc::clone(&pipe)))?,
            outlet: Outlet::new(Half(Arc::clone(&pipe)))?,
            pipe,
            nonblocking: AtomicBool::new(false),
            write_timeout: Mutex::new(None),
        })
    }

    /// Whether reads and writes say `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.nonblocking.store(nonblocking, Ordering::Relaxed);
        Ok(())
    }

    /// How long a blocking write waits for the daemon to take it; `None`: for ever.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        *self.write_timeout.lock() = timeout;
        Ok(())
    }

    /// A pipe has no half to close: the daemon sees an end when the whole is closed.
    pub fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }

    /// Where its bytes go out, to wait for room.
    pub const fn outlet(&self) -> &Outlet {
        &self.outlet
    }

    fn is_nonblocking(&self) -> bool {
        self.nonblocking.load(Ordering::Relaxed)
    }
}

impl AsSource for Stream {
    fn as_source(&self) -> Source<'_> {
        &self.inlet
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_nonblocking() { self.inlet.try_read(into) } else { self.inlet.read(into) }
    }
}

impl Write for Stream {
    /// A blocking write returns when the pipe has the bytes: a process that ends right after it loses nothing.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_nonblocking() {
            return self.outlet.try_write(bytes);
        }
        let deadline = self.write_timeout.lock().map(|timeout| Instant::now() + timeout);
        if wait_for(&[Wanted::Room(&self.outlet)], deadline).is_none() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let taken = self.outlet.try_write(bytes)?;
        self.outlet.drain(deadline)?;
        Ok(taken)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            match self.write(slice) {
                Ok(taken) => total += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && total > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A daemon that takes nothing loses what it would not take.
        let _undelivered = self.outlet.drain(Some(Instant::now() + LAST_BYTES));
        self.inlet.close();
        self.outlet.close();
        for _ in 0..CALL_BACKS {
            sys::cancel_io(&*self.pipe);
            if self.inlet.is_over() && self.outlet.is_over() {
                return;
            }
            thread::park_timeout(CALL_BACK_PAUSE);
        }
    }
}

impl Read for Half {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(into)
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    /// Of a pipe, this would wait until the daemon has read everything.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects; nothing is sent.
///
/// `FILE_FLAG_OVERLAPPED`: without it a write waits for the read that another thread is in. Identification level: a
/// stranger's pipe of this name may ask who we are and cannot act as us.
pub(crate) fn dial(endpoint: &Endpoint, _: UserId, caller: &Caller<'_>) -> Result<Stream, ConnectError> {
    let path = endpoint.socket();
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .security_qos_flags(SECURITY_IDENTIFICATION);
    let deadline = Instant::now() + BUSY_PATIENCE;
    loop {
        let error = match options.open(&path) {
            Ok(pipe) => return Ok(Stream::new(pipe.into())?),
            Err(error) => error,
        };
        match error.raw_os_error().map(i32::cast_unsigned) {
            Some(ERROR_FILE_NOT_FOUND) => return Err(ConnectError::Absent),
            Some(ERROR_PIPE_BUSY) if Instant::now() < deadline => pause(caller, BUSY_LOOK_AGAIN)?,
            Some(ERROR_PIPE_BUSY) => return Err(ConnectError::Busy),
            // Our own pipe lets us in.
            Some(ERROR_ACCESS_DENIED) => return Err(ConnectError::NotASocket { path }),
            _ => return Err(error.into()),
        }
    }
}

/// Who made the pipe: the owner that its descriptor names.
pub(crate) fn peer(stream: &Stream) -> io::Result<Peer> {
    Ok(Peer { uid: sys::owner_of_pipe(&*stream.pipe)?, pid: stream.pipe.server_process_id().ok() })
}
