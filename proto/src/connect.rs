//! From the endpoint to a welcomed session, or to the reason why not.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::caller::{Caller, Waited};
use crate::dir::{self, DirError};
use crate::endpoint::Endpoint;
use crate::hello::{ClientOpening, HandOver, Hello, Refusal, ServerOpening, Welcome};
use crate::line::{Line, LineBuffer};
use crate::local::{self, AsSource, Stream, UserId};
use crate::peer::Peer;
use crate::version::build;
use crate::{ErrorCode, MAX_LINE_BYTES, NextStep, Retry, WireError};

/// One read of an opening: the welcome and the first answer. What is not touched of the stack costs a start nothing.
const READ_BYTES: usize = 1024;

/// A daemon answers a hello in well under a millisecond; this covers a loaded machine.
const WELCOME_PATIENCE: Duration = Duration::from_secs(5);

/// What a client says before it hears anything.
#[derive(Clone, Copy, Debug)]
pub struct Greeting<'a> {
    /// Who calls.
    pub hello: &'a Hello,
    /// A line in the same write, without its newline: the daemon reads it once it has welcomed, so the client saves a way
    /// there and back. Nothing that must not be said twice: without a session nobody knows whether it was read.
    pub first: Option<&'a [u8]>,
}

impl<'a> From<&'a Hello> for Greeting<'a> {
    fn from(hello: &'a Hello) -> Self {
        Self { hello, first: None }
    }
}

/// A welcomed connection.
#[derive(Debug)]
pub struct Session {
    /// The socket, blocking.
    pub stream: Stream,
    /// Bytes that came after the welcome.
    pub buffer: LineBuffer,
    /// What the daemon said of itself.
    pub welcome: Welcome,
    /// The daemon was started for it.
    pub started: bool,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No daemon is there: no socket, or one that nobody listens at.
    #[error("no daemon is running")]
    Absent,
    /// The daemon takes no further connection for now.
    #[error("could not connect to the daemon: it takes no further connections at the moment")]
    Busy,
    /// The runtime directory cannot be trusted.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// Something else lies where the socket should be.
    #[error("could not use `{}`: it is not a socket of ours", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Somebody else listens there. Nothing was sent.
    #[error("could not use the daemon at `{}`: it runs as user {uid}, not as user {us}", path.display())]
    ForeignDaemon {
        /// The socket.
        path: PathBuf,
        /// The listener's user.
        uid: UserId,
        /// The caller.
        us: UserId,
    },
    /// The daemon said no.
    #[error("{}", .0.error.message)]
    Refused(Box<Refusal>),
    /// The connection ended before a welcome.
    #[error("could not open a session: {} and closes the connection without a word", listens(path, *pid))]
    Closed {
        /// The socket.
        path: PathBuf,
        /// The listener's process, see [`Peer::listener`].
        pid: Option<u32>,
    },
    /// It accepts connections and says nothing: a program that is not ours, or a daemon that hangs.
    #[error(
        "could not open a session: {} and has said nothing for {} s",
        listens(path, *pid),
        WELCOME_PATIENCE.as_secs()
    )]
    Silent {
        /// The socket.
        path: PathBuf,
        /// The listener's process, see [`Peer::listener`].
        pid: Option<u32>,
    },
    /// What came was no welcome.
    #[error("could not understand the daemon's answer")]
    Malformed(#[source] Option<serde_json::Error>),
    /// The client went while a daemon was waited for.
    #[error("could not open a session: its client has gone")]
    GivenUp,
    /// The system failed.
    #[error("could not talk to the daemon")]
    Io(#[from] io::Error),
}

impl ConnectError {
    /// The same for the wire, with its next step.
    pub fn to_wire(&self) -> WireError {
        let unavailable =
            |step| WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, with_causes(self)).next(step);
        match self {
            Self::Refused(refusal) => refusal.error.clone(),
            Self::Closed { pid: Some(pid), .. } | Self::Silent { pid: Some(pid), .. } => {
                unavailable(NextStep::EndProcess { pid: *pid })
            }
            Self::Absent | Self::Closed { .. } | Self::Io(_) => unavailable(NextStep::RunDaemon),
            Self::Busy => unavailable(NextStep::Retry),
            Self::Dir(error) => unavailable(error.next_step("CODEX_OAUTH_RUNTIME_DIR")),
            Self::NotASocket { path }
            | Self::ForeignDaemon { path, .. }
            | Self::Silent { path, pid: None } => {
                unavailable(NextStep::FixFile { path: path.display().to_string() })
            }
            Self::Malformed(_) => unavailable(NextStep::Upgrade),
            Self::GivenUp => {
                WireError::daemon(ErrorCode::Cancelled, Retry::Safe, self.to_string()).next(NextStep::Retry)
            }
        }
    }
}

/// Connects to a daemon that is there, checks that it is ours, and says hello; waits as long as `caller` does.
pub fn open(
    endpoint: &Endpoint,
    uid: UserId,
    greeting: Greeting<'_>,
    caller: &Caller<'_>,
) -> Result<Session, ConnectError> {
    // Written down before the daemon wakes up for the connection: it then finds it when it looks.
    let said = Said::new(greeting)?;
    said.on(connect(endpoint, uid, caller)?, endpoint, caller)
}

/// Connects and checks both the directory and the listener's user; nothing is sent.
pub fn connect(endpoint: &Endpoint, uid: UserId, caller: &Caller<'_>) -> Result<Stream, ConnectError> {
    match dir::check_private(&endpoint.dir, uid) {
        Ok(()) => {}
        Err(DirError::Inspect { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(ConnectError::Absent);
        }
        Err(error) => return Err(error.into()),
    }
    let stream = local::dial(endpoint, uid, caller)?;
    let peer = Peer::of(&stream)?;
    if peer.uid != uid {
        return Err(ConnectError::ForeignDaemon { path: endpoint.socket(), uid: peer.uid, us: uid });
    }
    Ok(stream)
}

/// Asks the daemon to make way for a build that is newer than its own; whether it does.
pub fn ask_to_hand_over(endpoint: &Endpoint, uid: UserId, caller: &Caller<'_>) -> Result<bool, ConnectError> {
    let opening = ClientOpening::HandOver(HandOver { build: build().to_owned() });
    match Said::write(&opening, None)?.on(connect(endpoint, uid, caller)?, endpoint, caller) {
        Err(ConnectError::Refused(refusal)) => Ok(refusal.error.code == ErrorCode::Draining),
        Err(error) => Err(error),
        Ok(_session) => Ok(false),
    }
}

/// An opening as bytes.
struct Said(Vec<u8>);

impl Said {
    fn new(greeting: Greeting<'_>) -> Result<Self, ConnectError> {
        /// [`ClientOpening::Hello`] without a copy.
        #[derive(Serialize)]
        struct Opening<'a> {
            hello: &'a Hello,
        }
        Self::write(&Opening { hello: greeting.hello }, greeting.first)
    }

    fn write(opening: &impl Serialize, first: Option<&[u8]>) -> Result<Self, ConnectError> {
        let mut lines = serde_json::to_vec(opening).map_err(io::Error::from)?;
        lines.push(b'\n');
        if let Some(first) = first {
            lines.extend_from_slice(first);
            lines.push(b'\n');
        }
        Ok(Self(lines))
    }

    /// Says it on a connected stream and waits for the welcome.
    fn on(
        &self,
        mut stream: Stream,
        endpoint: &Endpoint,
        caller: &Caller<'_>,
    ) -> Result<Session, ConnectError> {
        // A daemon that refuses before it reads may be gone already; what it said is still to be read.
        let sent = stream.write_all(&self.0);
        let mut buffer = LineBuffer::new(MAX_LINE_BYTES);
        let listener = |stream: &Stream| (endpoint.socket(), Peer::listener(stream, endpoint));
        let first = match first_line(&mut stream, &mut buffer, caller)? {
            First::Line(line) => line,
            First::End => {
                sent?;
                let (path, pid) = listener(&stream);
                return Err(ConnectError::Closed { path, pid });
            }
            First::Nothing => {
                let (path, pid) = listener(&stream);
                return Err(ConnectError::Silent { path, pid });
            }
        };
        match serde_json::from_slice(&first).map_err(|error| ConnectError::Malformed(Some(error)))? {
            ServerOpening::Welcome(welcome) => Ok(Session { stream, buffer, welcome, started: false }),
            ServerOpening::Refusal(refusal) => Err(ConnectError::Refused(Box::new(refusal))),
        }
    }
}

/// What came first.
enum First {
    Line(Vec<u8>),
    /// The end of the connection.
    End,
    /// Nothing in time.
    Nothing,
}

fn first_line(
    stream: &mut Stream,
    buffer: &mut LineBuffer,
    caller: &Caller<'_>,
) -> Result<First, ConnectError> {
    let deadline = Instant::now() + WELCOME_PATIENCE;
    let mut bytes = [0_u8; READ_BYTES];
    loop {
        if !wait_readable(caller, stream, deadline)? {
            return Ok(First::Nothing);
        }
        let read = match stream.read(&mut bytes) {
            Ok(0) => return Ok(First::End),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(First::End),
            Err(error) => return Err(error.into()),
        };
        buffer.push(&bytes[..read]);
        match buffer.pop() {
            Some(Line::Whole(line)) => return Ok(First::Line(line)),
            Some(Line::TooLong { .. }) => return Err(ConnectError::Malformed(None)),
            None => {}
        }
    }
}

/// Waits until `source` can be read (or has ended). False: the time is up.
pub(crate) fn wait_readable(
    caller: &Caller<'_>,
    source: &impl AsSource,
    deadline: Instant,
) -> Result<bool, ConnectError> {
    match caller.wait(Some(source.as_source()), deadline)? {
        Waited::Ready => Ok(true),
        Waited::TimedOut => Ok(false),
        Waited::GivenUp => Err(ConnectError::GivenUp),
    }
}

/// Waits without an event to wait for. With no time at all it is only a look whether the client is still there.
pub(crate) fn pause(caller: &Caller<'_>, time: Duration) -> Result<(), ConnectError> {
    match caller.wait(None, Instant::now() + time)? {
        Waited::Ready | Waited::TimedOut => Ok(()),
        Waited::GivenUp => Err(ConnectError::GivenUp),
    }
}

/// `process 42 listens at …`
fn listens(path: &Path, pid: Option<u32>) -> String {
    let who = pid.map_or_else(|| "something".to_owned(), |pid| format!("process {pid}"));
    format!("{who} listens at `{}`", path.display())
}

/// An error with its causes, once each: `could not x: cause: cause`.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}
