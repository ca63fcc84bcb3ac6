//! A backend that costs next to nothing: one thread, one `poll`, answers written down beforehand.
//!
//! Turns are answered from memory, however they are asked; everything else (models, accounts/check) goes to fake-openai, which
//! checks it. The fake itself builds, numbers and journals every event, which would be most of what is measured.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::error::{Error, Trying as _};
use crate::sse::{Answer, CHUNK_BYTES};

/// A question with this word in it gets the big answer.
pub(crate) const BIG: &str = "BIG";

/// One read; a request of the benchmark is 1 kB.
const READ_BYTES: usize = 64 * 1024;

/// No request here is larger.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// The fake answers at once.
const FAKE_PATIENCE: Duration = Duration::from_secs(10);

/// A running upstream. It ends with the process.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The first request for each answer, as it came: small, then big.
    requests: Receiver<Vec<u8>>,
}

impl Upstream {
    /// Listens; what is no turn goes to the fake at `fake`.
    pub(crate) fn start(fake: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").trying("listen on loopback")?;
        listener.set_nonblocking(true).trying("listen on loopback")?;
        let address = listener.local_addr().trying("listen on loopback")?;
        let (tell, requests) = sync_channel(2);
        let server = Server {
            fake,
            small: Kind { answer: Answer::small().wire, told: false },
            big: Kind { answer: Answer::big().wire, told: false },
            tell,
        };
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || server.serve(&listener))
            .trying("start a thread")?;
        Ok(Self { address, requests })
    }

    /// The next first request of its kind, which must have been sent already.
    pub(crate) fn request(&self) -> Result<Vec<u8>, Error> {
        self.requests
            .recv_timeout(FAKE_PATIENCE)
            .map_err(|error| Error::said("see a request upstream", error.to_string()))
    }
}

struct Kind {
    answer: Vec<u8>,
    told: bool,
}

struct Server {
    fake: SocketAddr,
    small: Kind,
    big: Kind,
    tell: SyncSender<Vec<u8>>,
}

/// What is being written to a connection.
enum Out {
    Nothing,
    Small(usize),
    Big(usize),
    Other(Vec<u8>, usize),
}

struct Connection {
    stream: TcpStream,
    held: Vec<u8>,
    out: Out,
}

impl Server {
    fn serve(mut self, listener: &TcpListener) {
        let mut connections: Vec<Connection> = Vec::new();
        let mut chunk = vec![0; READ_BYTES];
        loop {
            let mut waits = vec![PollFd::new(listener, PollFlags::IN)];
            waits.extend(connections.iter().map(|connection| {
                let wanted =
                    if matches!(connection.out, Out::Nothing) { PollFlags::IN } else { PollFlags::OUT };
                PollFd::new(&connection.stream, wanted)
            }));
            if poll(&mut waits, None).is_err_and(|error| error != rustix::io::Errno::INTR) {
                return;
            }
            let ready: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
            let mut at = 0;
            connections.retain_mut(|connection| {
                at += 1;
                !ready[at] || self.turn(connection, &mut chunk).is_ok()
            });
            if ready[0]
                && let Ok((stream, _)) = listener.accept()
                && stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_ok()
            {
                connections.push(Connection { stream, held: Vec::new(), out: Out::Nothing });
            }
        }
    }

    /// Reads what has come, answers what is whole, writes what goes. An error ends the connection.
    fn turn(&mut self, connection: &mut Connection, chunk: &mut [u8]) -> io::Result<()> {
        if matches!(connection.out, Out::Nothing) {
            let read = connection.stream.read(chunk)?;
            if read == 0 || connection.held.len() > MAX_REQUEST_BYTES {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            connection.held.extend_from_slice(&chunk[..read]);
            let Some((head, length)) = measure(&connection.held) else { return Ok(()) };
            let request = connection.held.drain(..length).collect();
            connection.out = self.answer(request, head)?;
        }
        let (bytes, written) = match &mut connection.out {
            Out::Nothing => return Ok(()),
            Out::Small(written) => (&self.small.answer, written),
            Out::Big(written) => (&self.big.answer, written),
            Out::Other(bytes, written) => (&*bytes, written),
        };
        let end = bytes.len().min(*written + CHUNK_BYTES);
        match connection.stream.write(&bytes[*written..end]) {
            Ok(count) => *written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if *written == bytes.len() {
            if matches!(connection.out, Out::Other(..)) {
                // The fake has said that it closes.
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            connection.out = Out::Nothing;
        }
        Ok(())
    }

    fn answer(&mut self, request: Vec<u8>, head: usize) -> io::Result<Out> {
        let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if !(line.starts_with(b"POST ") && line.ends_with(b"/codex/responses HTTP/1.1")) {
            return self.pass_on(&request, head).map(|bytes| Out::Other(bytes, 0));
        }
        let big = request[head..].windows(BIG.len()).any(|window| window == BIG.as_bytes());
        let (kind, out) = if big { (&mut self.big, Out::Big(0)) } else { (&mut self.small, Out::Small(0)) };
        if !kind.told {
            kind.told = true;
            // Nobody listens when the run is over.
            let _over = self.tell.try_send(request);
        }
        Ok(out)
    }

    /// Asks the fake on a connection of its own.
    fn pass_on(&self, request: &[u8], head: usize) -> io::Result<Vec<u8>> {
        let mut fake = TcpStream::connect(self.fake)?;
        fake.set_read_timeout(Some(FAKE_PATIENCE))?;
        // Before the empty line that ends the head.
        fake.write_all(&request[..head - 2])?;
        fake.write_all(b"connection: close\r\n\r\n")?;
        fake.write_all(&request[head..])?;
        let mut answer = Vec::new();
        fake.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Bytes of the head and of the whole request, once it is there. Requests here have a length or no body.
fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap_or_default();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (bytes.len() >= whole).then_some((head, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Connection as Client;

    const QUESTION: &[u8] =
        b"POST /backend-api/codex/responses HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\n\r\nsmall";

    #[test]
    fn a_request_is_whole_when_its_body_is() {
        assert_eq!(measure(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(measure(b"GET / HTTP/1.1\r\n\r\n"), Some((18, 18)));
        assert_eq!(measure(&QUESTION[..QUESTION.len() - 1]), None);
        assert_eq!(measure(QUESTION), Some((QUESTION.len() - 5, QUESTION.len())));
    }

    #[test]
    fn a_turn_is_answered_from_memory_and_kept_alive_and_the_rest_by_the_fake() {
        let fake = fake_openai::FakeOpenAi::start(fake_openai::Config::default()).unwrap();
        let upstream = Upstream::start(fake.address()).unwrap();
        let mut client = Client::open(upstream.address).unwrap();
        let big = String::from_utf8(QUESTION.to_vec()).unwrap().replace("small", "a BIG").into_bytes();
        assert_eq!(client.exchange(QUESTION).unwrap(), Answer::small().wire.len());
        assert_eq!(client.exchange(&big).unwrap(), Answer::big().wire.len());
        assert_eq!((upstream.request().unwrap(), upstream.request().unwrap()), (QUESTION.to_vec(), big));
        let mut models = TcpStream::connect(upstream.address).unwrap();
        models.write_all(b"GET /backend-api/codex/models HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        models.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
}
