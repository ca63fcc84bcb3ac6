//! Answers: what a handler says, and the body that reports to the journal what the client took of it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::answer::Answer;
use crate::journal::Outcome;
use crate::shared::Shared;
use crate::sse::Event;

/// What a handler answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content: Content,
    /// For the journal: why it was refused, or what was done.
    pub(crate) note: Option<String>,
    /// Wait before it leaves.
    pub(crate) delay: Duration,
}

/// What an answer consists of.
#[derive(Debug)]
pub(crate) enum Content {
    Bytes(Bytes),
    Json(Value),
    Events(Box<Answer>),
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        let note = (status >= 400).then(|| reason_of(&body)).flatten();
        Self { note, ..Self::new(status, "application/json", Content::Json(body)) }
    }

    pub(crate) fn html(status: u16, page: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", Content::Bytes(page.into()))
    }

    pub(crate) fn text(status: u16, text: String) -> Self {
        Self::new(status, "text/plain; charset=utf-8", Content::Bytes(text.into()))
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { headers: Vec::new(), ..Self::new(status, "", Content::Bytes(Bytes::new())) }
    }

    pub(crate) fn redirect(location: String) -> Self {
        Self { headers: vec![("location".to_owned(), location)], ..Self::empty(302) }
    }

    pub(crate) fn events(answer: Answer) -> Self {
        Self::new(200, "text/event-stream; charset=utf-8", Content::Events(Box::new(answer)))
    }

    /// The 404 that the backend gives for everything it does not know.
    pub(crate) fn not_found() -> Self {
        Self::json(404, serde_json::json!({"detail": "Not Found"}))
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn new(status: u16, content_type: &str, content: Content) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, content, note: None, delay: Duration::ZERO }
    }
}

/// The head of an answer with this body; a header that is none is an error of the script and answers 500.
pub(crate) fn response(status: u16, headers: &[(String, String)], body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(CONTENT_TYPE), Ok(value)) => drop(response.headers_mut().insert(CONTENT_TYPE, value)),
            (Ok(name), Ok(value)) => drop(response.headers_mut().append(name, value)),
            _ => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    response
}

/// Tells the journal what became of one request; if it is dropped before [`Recorder::end`], the client has gone.
#[derive(Debug)]
pub(crate) struct Recorder {
    shared: Arc<Shared>,
    sequence: u64,
    ended: bool,
}

impl Recorder {
    pub(crate) fn new(shared: Arc<Shared>, sequence: u64) -> Self {
        Self { shared, sequence, ended: false }
    }

    pub(crate) fn status(&self, status: u16, note: Option<String>) {
        self.shared.journal.update(self.sequence, |entry| {
            entry.status = Some(status);
            entry.note = note;
        });
    }

    pub(crate) fn end(&mut self, outcome: Outcome) {
        if !self.ended {
            self.ended = true;
            self.shared.journal.update(self.sequence, |entry| entry.outcome = outcome);
        }
    }

    fn event(&self) {
        self.shared.journal.update(self.sequence, |entry| entry.events += 1);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end(Outcome::ClientGone);
    }
}

/// How a producer of events ended.
pub(crate) enum End {
    /// The body ends as it should.
    Clean,
    /// The connection is to be aborted.
    Abort,
}

/// Pieces of events on their way to the connection; one at a time, so a slow reader slows the producer.
pub(crate) type Pieces = mpsc::Sender<Event>;

/// What fills a stream, or how it ended; pieces may be left then.
pub(crate) enum Producer {
    Running(Pin<Box<dyn Future<Output = End> + Send>>),
    Ended(End),
    Aborting,
}

/// Body of an answer.
pub(crate) enum ReplyBody {
    /// All at once.
    Whole(Option<Bytes>),
    /// Events, produced while they are read; dropping the body drops the producer.
    Stream { producer: Producer, pieces: mpsc::Receiver<Event>, recorder: Recorder },
}

impl ReplyBody {
    pub(crate) fn stream<F>(recorder: Recorder, produce: impl FnOnce(Pieces) -> F) -> Self
    where
        F: Future<Output = End> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(1);
        Self::Stream { producer: Producer::Running(Box::pin(produce(sender))), pieces, recorder }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let (producer, pieces, recorder) = match self.get_mut() {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream { producer, pieces, recorder } => (producer, pieces, recorder),
        };
        loop {
            match pieces.poll_recv(context) {
                Poll::Ready(Some(piece)) => {
                    if piece.last_piece {
                        recorder.event();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece.bytes))));
                }
                // A piece is there, but tokio wants this task to yield first; it has arranged the wake-up.
                Poll::Pending if !pieces.is_empty() => return Poll::Pending,
                _ => {}
            }
            // No piece is ready: the producer makes the next one now, or it waits as well, or it has ended.
            let running = match producer {
                Producer::Running(running) => running,
                Producer::Ended(End::Clean) => {
                    recorder.end(Outcome::Complete);
                    return Poll::Ready(None);
                }
                Producer::Ended(End::Abort) => {
                    // An error discards what the connection has buffered; while the body waits, it flushes.
                    *producer = Producer::Aborting;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Producer::Aborting => {
                    recorder.end(Outcome::CutByScript);
                    let error = io::Error::new(io::ErrorKind::ConnectionAborted, "cut by script");
                    return Poll::Ready(Some(Err(error)));
                }
            };
            match running.as_mut().poll(context) {
                Poll::Ready(end) => *producer = Producer::Ended(end),
                Poll::Pending if pieces.is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(
                bytes.as_ref().map_or(0, |bytes| bytes.len().try_into().unwrap_or(u64::MAX)),
            ),
            Self::Stream { .. } => SizeHint::default(),
        }
    }
}

/// The code or detail of an error body.
fn reason_of(body: &Value) -> Option<String> {
    let error = &body["error"];
    let candidates = [&error["code"], &error["type"], error, &body["detail"], &error["message"]];
    candidates.iter().find_map(|value| value.as_str()).map(str::to_owned)
}
