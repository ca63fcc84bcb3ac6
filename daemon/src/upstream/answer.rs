//! Body bytes to an answer, without I/O: finds out which shape the body has, collects text, and knows when it is over.
//!
//! The answer of a stream is the text of its finished messages; deltas are for display and stand in for a message that never
//! finished. Only a terminal event is success.

use std::ops::ControlFlow;

use super::classify;
use super::error::{ErrorKind, Retry};
use super::events::{self, Completion, Event};
use super::glance;
use super::rate_limits::RateLimitEvent;
use super::replies::{self, Reply};
use super::sse::{SseEvent, SseParser, TooLong};

/// The longest answer that is kept: what one line of the local socket can carry. A model's longest output is far below.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The longest JSON document; an answer grows when escaped.
const MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;

/// Kept of the beginning of a body, for errors: a sample, unless nearly all of its characters have four bytes.
const SAMPLE_BYTES: usize = 1024;

/// Room for the text of an answer that is not long, made at once; a longer one makes its own.
const USUAL_ANSWER_BYTES: usize = 512;

/// Rate-limit events kept from one chunk; the last ones say it all.
const MAX_LIMIT_EVENTS: usize = 16;

/// What one chunk brought.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// All text deltas of the chunk, joined.
    pub(super) text: String,
    /// The model was thinking.
    pub(super) reasoning: bool,
    /// Something counts as a sign of life.
    pub(super) alive: bool,
    pub(super) rate_limits: Vec<RateLimitEvent>,
    pub(super) models_etag: Option<String>,
    /// The body is over; the rest is not to be read.
    pub(super) end: Option<End>,
}

/// How an answer ended.
#[derive(Debug)]
pub(super) enum End {
    Completed,
    Failed(ErrorKind, Retry),
}

/// An answer in the making.
#[derive(Debug, Default)]
pub(super) struct Answer {
    shape: Shape,
    /// Text of finished messages.
    finished: String,
    /// Deltas since the last finished message.
    open: String,
    pub(super) completion: Completion,
    /// Something that costs was generated: from here on nothing is sent again.
    pub(super) generated: bool,
    /// Events that could not be read.
    pub(super) unparsable: u64,
    pub(super) events: u64,
    pub(super) bytes: u64,
    /// Start of the body, for errors.
    pub(super) head: Vec<u8>,
    chat_finish: Option<String>,
    /// `response.created` has come: this is a Responses stream.
    responses: bool,
}

#[derive(Debug, Default)]
enum Shape {
    /// Only white space so far.
    #[default]
    Unknown,
    Stream(SseParser),
    Json(Vec<u8>),
}

impl Answer {
    /// Takes the next body bytes.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Fed {
        self.bytes += chunk.len() as u64;
        let room = SAMPLE_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if matches!(self.shape, Shape::Unknown) {
            match chunk.trim_ascii_start().first() {
                None => return Fed::default(),
                // The first byte tells more than a content type that a proxy may have set.
                Some(b'{' | b'[' | b'<') => self.shape = Shape::Json(Vec::new()),
                Some(_) => self.shape = Shape::Stream(SseParser::default()),
            }
        }
        let mut fed = Fed::default();
        match std::mem::take(&mut self.shape) {
            Shape::Stream(mut parser) => {
                let parsed = parser.push(chunk, &mut |event| {
                    let meaning = self.glanced(&event).unwrap_or_else(|| events::decode(event));
                    self.on_event(meaning, event.data, &mut fed)
                });
                close_on(parsed, &mut fed);
                self.shape = Shape::Stream(parser);
            }
            Shape::Json(mut body) => {
                fed.alive = true;
                if body.len() + chunk.len() > MAX_REPLY_BYTES {
                    let kind = ErrorKind::TooLarge { limit_bytes: MAX_REPLY_BYTES };
                    fed.end = Some(End::Failed(kind, Retry::Never));
                } else {
                    body.extend_from_slice(chunk);
                }
                self.shape = Shape::Json(body);
            }
            Shape::Unknown => {}
        }
        fed
    }

    /// The body has ended by itself.
    pub(super) fn finish(&mut self) -> Fed {
        let mut fed = Fed::default();
        match std::mem::take(&mut self.shape) {
            Shape::Unknown => fed.end = Some(End::Failed(ErrorKind::EmptyAnswer, Retry::Never)),
            Shape::Json(body) => fed.end = Some(self.take_reply(&body)),
            Shape::Stream(mut parser) => {
                // A cut last line is no broken event.
                let unparsable = self.unparsable;
                let parsed = parser.finish(&mut |event| {
                    // It may be cut: all of it has to be read.
                    self.on_event(events::decode(event), event.data, &mut fed)
                });
                self.unparsable = unparsable;
                close_on(parsed, &mut fed);
            }
        }
        if fed.end.is_none() {
            fed.end = Some(self.end_without_terminal());
        }
        fed
    }

    /// The text so far.
    pub(super) fn take_text(&mut self) -> String {
        let mut text = std::mem::take(&mut self.finished);
        text.push_str(&self.open);
        self.open.clear();
        text
    }

    /// The meaning of a whole event that need not be read: it repeats what is known.
    fn glanced<'e>(&self, event: &SseEvent<'e>) -> Option<Event<'e>> {
        match event.name {
            // Without a text of its own: that of its deltas.
            b"response.output_item.done" if glance::is_message_of(event.data, &self.open) => {
                Some(Event::Message(String::new()))
            }
            b"response.completed" => glance::completion(event.data).map(Box::new).map(Event::Completed),
            _ => None,
        }
    }

    fn on_event(&mut self, event: Event<'_>, data: &[u8], fed: &mut Fed) -> ControlFlow<()> {
        self.events += 1;
        fed.alive = true;
        match event {
            Event::TextDelta(text) => return self.add_delta(&text, fed),
            Event::Reasoning => {
                self.generated = true;
                fed.reasoning = true;
            }
            Event::Generated => self.generated = true,
            Event::Message(text) => return self.finish_message(text, fed),
            Event::Created => self.responses = true,
            Event::Completed(completion) => {
                self.completion = *completion;
                if self.finished.is_empty() && self.open.is_empty() {
                    self.recover_output(data);
                }
                fed.end = Some(self.end_well());
            }
            Event::Incomplete { reason, usage } => {
                self.completion.usage = usage;
                fed.end = Some(End::Failed(ErrorKind::Incomplete { reason }, Retry::Never));
            }
            Event::Failed(failure) => {
                let (kind, retry) = classify::stream_failure(&failure);
                fed.end = Some(End::Failed(kind, retry));
            }
            Event::RateLimits(limits) => {
                if fed.rate_limits.len() < MAX_LIMIT_EVENTS {
                    fed.rate_limits.push(*limits);
                }
            }
            Event::ModelsEtag(etag) => fed.models_etag = Some(etag),
            Event::Chat(chunk) => {
                let (text, finish_reason, completion) = chunk.into_parts();
                let usage = completion.usage.or(self.completion.usage);
                self.completion = Completion { usage, ..completion };
                self.chat_finish = finish_reason.or_else(|| self.chat_finish.take());
                if !text.is_empty() {
                    return self.add_delta(&text, fed);
                }
            }
            // In a Responses stream it means nothing: `response.completed` is the end.
            Event::ChatDone if !self.responses => fed.end = Some(self.end_of_chat()),
            Event::ChatDone | Event::Ignored => {}
            Event::Unparsable => self.unparsable += 1,
        }
        if fed.end.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn add_delta(&mut self, text: &str, fed: &mut Fed) -> ControlFlow<()> {
        self.generated = true;
        let room = MAX_ANSWER_BYTES - self.finished.len() - self.open.len();
        let kept = clip_bytes(text, room);
        for text in [&mut self.open, &mut fed.text] {
            if text.capacity() == 0 {
                text.reserve(USUAL_ANSWER_BYTES.max(kept.len()));
            }
            text.push_str(kept);
        }
        stop_if_cut(text.len() > room, fed)
    }

    fn finish_message(&mut self, text: String, fed: &mut Fed) -> ControlFlow<()> {
        self.generated = true;
        if text.is_empty() {
            self.finished.push_str(&self.open);
            self.open.clear();
            return ControlFlow::Continue(());
        }
        self.open.clear();
        let room = MAX_ANSWER_BYTES - self.finished.len();
        let whole = text.len() <= room;
        if self.finished.is_empty() && whole {
            self.finished = text;
        } else {
            self.finished.push_str(clip_bytes(&text, room));
        }
        stop_if_cut(!whole, fed)
    }

    /// No message and no delta came, but `response.completed` repeats the output: a paid answer is not thrown away.
    fn recover_output(&mut self, data: &[u8]) {
        if let Ok(json) = serde_json::from_slice::<serde_json::Value>(data)
            && let Some(text) = json.get("response").and_then(replies::output_text)
        {
            clip_bytes(&text, MAX_ANSWER_BYTES).clone_into(&mut self.finished);
        }
    }

    fn end_well(&self) -> End {
        if self.finished.is_empty() && self.open.is_empty() {
            End::Failed(ErrorKind::EmptyAnswer, Retry::Never)
        } else {
            End::Completed
        }
    }

    fn end_of_chat(&self) -> End {
        match replies::cut_reason(self.chat_finish.as_deref()) {
            Some(reason) => End::Failed(ErrorKind::Incomplete { reason: reason.to_owned() }, Retry::Never),
            None => self.end_well(),
        }
    }

    fn end_without_terminal(&self) -> End {
        if self.chat_finish.is_some() {
            return self.end_of_chat();
        }
        if self.events == self.unparsable && !self.generated {
            // Not one readable event: this was no event stream.
            return End::Failed(ErrorKind::Unparsable, Retry::Unknown);
        }
        End::Failed(ErrorKind::Interrupted { events: self.events, bytes: self.bytes }, Retry::Unknown)
    }

    fn take_reply(&mut self, body: &[u8]) -> End {
        match replies::parse(body) {
            Reply::Answer { text, completion } => {
                self.generated = true;
                self.completion = completion;
                let whole = text.len() <= MAX_ANSWER_BYTES;
                clip_bytes(&text, MAX_ANSWER_BYTES).clone_into(&mut self.finished);
                if whole {
                    self.end_well()
                } else {
                    End::Failed(ErrorKind::TooLarge { limit_bytes: MAX_ANSWER_BYTES }, Retry::Never)
                }
            }
            Reply::Incomplete { text, reason, usage } => {
                self.generated = true;
                self.completion.usage = usage;
                clip_bytes(&text, MAX_ANSWER_BYTES).clone_into(&mut self.finished);
                End::Failed(ErrorKind::Incomplete { reason }, Retry::Never)
            }
            Reply::Failed(failure) => {
                let (kind, retry) = classify::stream_failure(&failure);
                End::Failed(kind, retry)
            }
            Reply::Unknown => End::Failed(ErrorKind::Unparsable, Retry::Unknown),
        }
    }
}

fn close_on(parsed: Result<(), TooLong>, fed: &mut Fed) {
    if let Err(TooLong { limit_bytes }) = parsed {
        fed.end = Some(End::Failed(ErrorKind::TooLarge { limit_bytes }, Retry::Never));
    }
}

fn stop_if_cut(cut: bool, fed: &mut Fed) -> ControlFlow<()> {
    if !cut {
        return ControlFlow::Continue(());
    }
    let kind = ErrorKind::TooLarge { limit_bytes: MAX_ANSWER_BYTES };
    fed.end = Some(End::Failed(kind, Retry::Never));
    ControlFlow::Break(())
}

/// The longest prefix of `text` with at most `max` bytes.
fn clip_bytes(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests;
