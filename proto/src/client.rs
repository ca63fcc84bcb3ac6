//! A blocking client of the `api` dialect.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{Method, turn};
use crate::caller::Caller;
use crate::connect::Session;
use crate::hello::{Role, Welcome};
use crate::jsonrpc::{Request, Response};
use crate::line::{Line, LineBuffer};
use crate::local::{AsSource as _, Awaited, Source, Stream, wait_any};
use crate::lock::FileLock;
use crate::{ErrorCode, MAX_LINE_BYTES, NextStep, Nonce, Retry, WireError, env::Env, launch};

/// One read from the socket. Larger than the kernel's default buffer would be of no use.
const READ_BYTES: usize = 64 * 1024;

/// Notifications that came while an answer was awaited. A daemon sends a bounded number of them between two answers; a
/// caller that lets more than this pile up is not reading, and the oldest would be lost silently.
const MAX_WAITING: usize = 65_536;

/// How long a call waits for its answer. Longer than the longest chain of time limits that the daemon itself has for one
/// call (a login's renewal, then a request to the backend), so that it ends only for a daemon that hangs.
const CALL_PATIENCE: Duration = Duration::from_secs(120);

/// How long the daemon may take no byte of a request. It reads at once; this covers a stopped machine.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// A session of role `api`.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    buffer: LineBuffer,
    welcome: Welcome,
    next_id: u64,
    waiting: VecDeque<Incoming>,
    debug: fn(&str),
}

/// A notification from the daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// Its name.
    pub method: String,
    /// Its parameters.
    pub params: Value,
}

impl Incoming {
    /// Its parameters as the type that belongs to its name.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        T::deserialize(&self.params).map_err(|error| unreadable(&error))
    }
}

/// Names a request whose answer has not come; see [`Client::ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(u64);

/// What a wait led to in which an answer may come too; see [`Client::hear`].
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The answer.
    Answer(Result<Value, WireError>),
    /// Something else.
    Other(Waited),
}

/// What a wait led to; see [`Client::wait`].
#[derive(Clone, Debug, PartialEq)]
pub enum Waited {
    /// A notification.
    Notification(Incoming),
    /// The other descriptor can be read.
    Woken,
    /// The answer to a request that nobody waited for: the daemon lives.
    Alive,
    /// None of these in time.
    TimedOut,
}

impl Client {
    /// Connects to the daemon of `env`, starting it when none is there.
    pub fn open_or_start(env: &Env) -> Result<Self, WireError> {
        let hello = Self::hello(env)?;
        launch::open_or_start(env, &hello, &Caller::unwatched())
            .map(Self::from_session)
            .map_err(|error| error.to_wire())
    }

    /// Connects to the daemon of `env` if one is running; `None` if not.
    pub fn open_if_running(env: &Env) -> Result<Option<Self>, WireError> {
        let hello = Self::hello(env)?;
        let endpoint = crate::endpoint::Endpoint::resolve(env)
            .map_err(|error| launch::LaunchError::from(error).to_wire())?;
        match crate::connect::open(&endpoint, env.uid, (&hello).into(), &Caller::unwatched()) {
            Ok(session) => Ok(Some(Self::from_session(session))),
            Err(crate::connect::ConnectError::Absent) => Ok(None),
            // A pipe is busy as well while only the last sessions of a daemon that has handed over keep it: nobody listens.
            Err(crate::connect::ConnectError::Busy)
                if FileLock::try_acquire(&endpoint.instance_lock()).is_ok() =>
            {
                Ok(None)
            }
            Err(error) => Err(error.to_wire()),
        }
    }

    /// Takes over a session that was welcomed with role `api`.
    pub fn from_session(session: Session) -> Self {
        let Session { stream, buffer, welcome, .. } = session;
        Self { stream, buffer, welcome, next_id: 1, waiting: VecDeque::new(), debug: |_| () }
    }

    /// What the daemon said of itself.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// What to do with the daemon's debug lines, which come when `CODEX_DEBUG=1` was in the environment. Nothing, unless this
    /// was called.
    pub fn on_debug_line(&mut self, tell: fn(&str)) {
        self.debug = tell;
    }

    /// Calls a method and waits for its answer; notifications that come in between are kept for
    /// [`Self::notification`].
    ///
    /// # Errors
    /// What the daemon says, or why it cannot be heard. One of [`Retry::Safe`] was not carried out.
    pub fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Result, WireError> {
        let params = serde_json::to_value(params).map_err(|error| unreadable(&error))?;
        let value = self.call_raw(M::NAME, params)?;
        serde_json::from_value(value).map_err(|error| unreadable(&error))
    }

    /// The same for a method named at run time.
    pub fn call_raw(&mut self, method: &str, params: Value) -> Result<Value, WireError> {
        let id = self.request(method, params)?;
        let deadline = Instant::now() + CALL_PATIENCE;
        loop {
            match self.next_event(Some(deadline), None).map_err(|error| error.to_wire(Some(method)))? {
                Event::Response(response) if response.id == id => {
                    return answer(*response);
                }
                // An answer to a request that was given up.
                Event::Response(_) => {}
                Event::Notification(incoming) if self.waiting.len() < MAX_WAITING => {
                    self.waiting.push_back(incoming);
                }
                Event::Notification(_) => {
                    return Err(WireError::daemon(
                        ErrorCode::Internal,
                        Retry::Unknown,
                        format!(
                            "could not wait for {method}: {MAX_WAITING} notifications came before its answer"
                        ),
                    ));
                }
                Event::Woken | Event::TimedOut => return Err(ReadError::Silent.to_wire(Some(method))),
            }
        }
    }

    /// Sends a request and does not wait: its answer, also a failure, comes as [`Waited::Alive`].
    pub fn send<M: Method>(&mut self, params: &M::Params) -> Result<(), WireError> {
        let params = serde_json::to_value(params).map_err(|error| unreadable(&error))?;
        self.request(M::NAME, params).map(|_id| ())
    }

    /// Sends a request whose answer [`Self::hear`] gives out among what else comes.
    pub fn ask<M: Method>(&mut self, params: &M::Params) -> Result<Asked, WireError> {
        let params = serde_json::to_value(params).map_err(|error| unreadable(&error))?;
        self.request(M::NAME, params).map(Asked)
    }

    /// The next notification, waiting for it as long as the daemon lives.
    pub fn notification(&mut self) -> Result<Incoming, WireError> {
        loop {
            if let Waited::Notification(incoming) = self.wait(None, None)? {
                return Ok(incoming);
            }
        }
    }

    /// The next notification, waiting until `deadline` (`None`: as long as the daemon lives) and only while there is
    /// nothing to read from `wake`. What has come already is given out first.
    pub fn wait(&mut self, deadline: Option<Instant>, wake: Option<Source<'_>>) -> Result<Waited, WireError> {
        loop {
            if let Heard::Other(waited) = self.hear(None, deadline, wake)? {
                return Ok(waited);
            }
        }
    }

    /// The same, or the answer to `asked`: in the order in which the daemon said it.
    pub fn hear(
        &mut self,
        asked: Option<Asked>,
        deadline: Option<Instant>,
        wake: Option<Source<'_>>,
    ) -> Result<Heard, WireError> {
        if let Some(incoming) = self.waiting.pop_front() {
            return Ok(Heard::Other(Waited::Notification(incoming)));
        }
        let event = self.next_event(deadline, wake).map_err(|error| error.to_wire(None))?;
        Ok(Heard::Other(match event {
            Event::Response(response) if asked.is_some_and(|Asked(id)| response.id == id) => {
                return Ok(Heard::Answer(answer(*response)));
            }
            Event::Response(_) => Waited::Alive,
            Event::Notification(incoming) => Waited::Notification(incoming),
            Event::Woken => Waited::Woken,
            Event::TimedOut => Waited::TimedOut,
        }))
    }

    fn hello(env: &Env) -> Result<crate::hello::Hello, WireError> {
        let nonce = Nonce::random().map_err(|error| {
            WireError::daemon(
                ErrorCode::Internal,
                Retry::Safe,
                format!("could not name the session: {error}"),
            )
        })?;
        launch::hello(env, Role::Api, nonce).map_err(|error| launch::LaunchError::from(error).to_wire())
    }

    /// Sends a request and gives its id.
    fn request(&mut self, method: &str, params: Value) -> Result<u64, WireError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut line =
            serde_json::to_vec(&Request::new(id, method, params)).map_err(|error| unreadable(&error))?;
        if line.len() > MAX_LINE_BYTES {
            return Err(WireError::caller(
                ErrorCode::LineTooLong,
                format!(
                    "could not send {method}: it has {} bytes and {MAX_LINE_BYTES} are allowed",
                    line.len()
                ),
            )
            .next(NextStep::ShortenPrompt));
        }
        line.push(b'\n');
        self.stream
            .set_write_timeout(Some(WRITE_PATIENCE))
            .and_then(|()| self.stream.write_all(&line))
            .map_err(|error| unsent(method, &error))?;
        Ok(id)
    }

    fn next_event(
        &mut self,
        deadline: Option<Instant>,
        wake: Option<Source<'_>>,
    ) -> Result<Event, ReadError> {
        loop {
            match self.buffer.pop() {
                // The other control lines are for the shim.
                Some(Line::Whole(line)) if line.is_empty() || line[0] == b'@' => {
                    if let Some(text) = line.strip_prefix(b"@debug ") {
                        (self.debug)(&String::from_utf8_lossy(text));
                    }
                    continue;
                }
                Some(Line::Whole(line)) => return Ok(event(&line)?),
                Some(Line::TooLong { .. }) => return Err(ReadError::TooLong),
                None => {}
            }
            // `wake` goes first, so that a busy stream cannot outshout it.
            let stream = Awaited::Input(self.stream.as_source());
            match wait_any([wake.map(Awaited::Input), Some(stream)], deadline)? {
                Some(0) => return Ok(Event::Woken),
                Some(_) => {}
                None => return Ok(Event::TimedOut),
            }
            let mut bytes = vec![0_u8; READ_BYTES];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(ReadError::Ended),
                Ok(read) => self.buffer.push(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What comes to a session, or instead of it.
enum Event {
    Response(Box<Response>),
    Notification(Incoming),
    Woken,
    TimedOut,
}

fn answer(response: Response) -> Result<Value, WireError> {
    match (response.result, response.error) {
        (Some(result), _) => Ok(result),
        (None, Some(error)) => Err(error
            .data
            .unwrap_or_else(|| WireError::daemon(ErrorCode::Internal, Retry::Unknown, error.message))),
        (None, None) => Ok(Value::Null),
    }
}

fn event(line: &[u8]) -> serde_json::Result<Event> {
    let value: Value = serde_json::from_slice(line)?;
    if value.get("method").is_some() {
        let request: Request = serde_json::from_value(value)?;
        return Ok(Event::Notification(Incoming { method: request.method, params: request.params }));
    }
    Ok(Event::Response(Box::new(serde_json::from_value(value)?)))
}

/// Why nothing more comes from the daemon.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("it closed the connection")]
    Ended,
    #[error("it gave no answer within {} s", CALL_PATIENCE.as_secs())]
    Silent,
    #[error("its answer is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ReadError {
    /// For the wire. Only a question may have been charged by the time its answer is lost.
    fn to_wire(&self, method: Option<&str>) -> WireError {
        let message = format!("could not hear from the daemon: {self}");
        match self {
            Self::Json(error) => unreadable(error),
            Self::TooLong => WireError::daemon(ErrorCode::LineTooLong, Retry::Unknown, message),
            _ if method == Some(turn::Start::NAME) => {
                WireError::daemon(ErrorCode::OutcomeUnknown, Retry::Unknown, message).next(NextStep::AskAgain)
            }
            _ => {
                WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Unknown, message).next(NextStep::Retry)
            }
        }
    }
}

/// A line that was not written whole has no end, and the daemon carries out none of it.
fn unsent(method: &str, error: &io::Error) -> WireError {
    let message = format!("could not send {method} to the daemon: {error}");
    WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, message).next(NextStep::Retry)
}

fn unreadable(error: &serde_json::Error) -> WireError {
    WireError::daemon(
        ErrorCode::Malformed,
        Retry::Never,
        format!("could not read the daemon's answer: {error}"),
    )
    .next(NextStep::Upgrade)
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
