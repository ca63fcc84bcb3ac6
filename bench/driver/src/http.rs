//! The direct client: the requests of the daemon, word for word, on kept-alive connections. It reads answers to their end and
//! looks at nothing between: whatever else a client does comes on top.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Error, Trying as _};

/// As for answers over MCP.
const PATIENCE: Duration = Duration::from_secs(20);

/// One read.
const READ_BYTES: usize = 128 * 1024;

/// The end of a chunked body (RFC 9112 §7.1) after a chunk. It stands nowhere else: lines of the stream end in LF alone.
const END: &[u8] = b"\r\n0\r\n\r\n";

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    chunk: Vec<u8>,
    /// The last bytes of the answer so far, as many as [`END`] has.
    tail: Vec<u8>,
    read: usize,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).trying("connect over HTTP")?;
        stream.set_nodelay(true).trying("connect over HTTP")?;
        stream.set_read_timeout(Some(PATIENCE)).trying("bound a read")?;
        stream.set_write_timeout(Some(PATIENCE)).trying("bound a write")?;
        Ok(Self { stream, chunk: vec![0; READ_BYTES], tail: Vec::new(), read: 0 })
    }

    /// Sends a request and reads its answer to the end; gives the answer's bytes, head and framing included.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<usize, Error> {
        self.send(request)?;
        loop {
            if let Some(bytes) = self.receive()? {
                return Ok(bytes);
            }
        }
    }

    fn send(&mut self, request: &[u8]) -> Result<(), Error> {
        self.tail.clear();
        self.read = 0;
        self.stream.write_all(request).trying("send a request over HTTP")
    }

    /// One read; the answer's bytes if that was its end.
    fn receive(&mut self) -> Result<Option<usize>, Error> {
        let read = self.stream.read(&mut self.chunk).trying("read an answer over HTTP")?;
        let bytes = &self.chunk[..read];
        if read == 0 || (self.read == 0 && !bytes.starts_with(b"HTTP/1.1 200")) {
            let text: String = String::from_utf8_lossy(bytes).chars().take(400).collect();
            return Err(Error::said("read an answer over HTTP", text));
        }
        self.read += read;
        self.tail.extend_from_slice(&bytes[read.saturating_sub(END.len())..]);
        self.tail.drain(..self.tail.len().saturating_sub(END.len()));
        Ok((self.tail == END).then_some(self.read))
    }
}

/// `count` exchanges over as many connections as are given, each busy all the time; gives how long they took.
pub(crate) fn at_once(connections: &mut [Connection], request: &[u8], count: u32) -> Result<Duration, Error> {
    let timeout =
        Timespec::try_from(PATIENCE).map_err(|error| Error::said("bound a wait", error.to_string()))?;
    let started = Instant::now();
    let mut sent = 0;
    for connection in connections.iter_mut() {
        connection.send(request)?;
        sent += 1;
    }
    let mut done = 0;
    while done < count {
        let mut waits: Vec<PollFd<'_>> =
            connections.iter().map(|connection| PollFd::new(&connection.stream, PollFlags::IN)).collect();
        if poll(&mut waits, Some(&timeout)).trying("wait for answers over HTTP")? == 0 {
            return Err(Error::said("wait for answers over HTTP", "none came in time"));
        }
        let ready: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
        for (connection, _) in connections.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            if connection.receive()?.is_some() {
                done += 1;
                if sent < count {
                    connection.send(request)?;
                    sent += 1;
                }
            }
        }
    }
    Ok(started.elapsed())
}
