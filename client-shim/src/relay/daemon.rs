//! Lines of the daemon.

use codex_oauth_proto::line::Line;
use codex_oauth_proto::{ErrorCode, MAX_LINE_BYTES, NextStep, Retry, WireError};
use serde_json::Value;

use super::{CANCELLED, Relay};
use crate::answer;
use crate::connector::Connector;
use crate::cut;
use crate::head::Message;
use crate::link::LinkId;
use crate::pending::Kind;

/// Requests of the daemon that may be open at the client at once. It asks one question at a time and session.
const MAX_ASKED: usize = 256;

/// The control line of a daemon that hands over: it answers what it has and takes no new requests.
const MOVED: &[u8] = b"@moved";

/// What a session that asked for it reads on standard error: `@debug [TAG] TEXT`.
const DEBUG: &[u8] = b"@debug ";

/// The control line of a daemon that is about to send request `N` upstream: `@sent N`.
const SENT: &[u8] = b"@sent";

impl<C: Connector> Relay<C> {
    /// Takes every whole line that has come over `link`.
    pub(crate) fn daemon_lines(&mut self, link: LinkId) {
        while let Some(line) = self.link(link).and_then(crate::link::Link::pop) {
            match line {
                Line::Whole(line) => self.daemon_line(link, line),
                Line::TooLong { head, tail } => self.unreadable(link, cut::id_of(&head, &tail), true),
            }
        }
    }

    fn daemon_line(&mut self, link: LinkId, line: Vec<u8>) {
        match line.first() {
            Some(b'{') => {}
            Some(b'@') => return self.control(link, &line),
            // Nothing that a client could read.
            _ => return,
        }
        match Message::read(&line) {
            Message::Response { id, failed } => self.answered(link, &id, failed, line),
            Message::Request { id, .. } => self.asks(link, id, line),
            Message::Notification { method, params } => {
                if let (CANCELLED, Some(id)) = (&*method, params.request_id) {
                    self.asked.retain(|(on, asked)| (*on, asked) != (link, &id));
                }
                self.output.push(line);
            }
            Message::Invalid { id, .. } => self.unreadable(link, Some(id), false),
            Message::NotJson => self.unreadable(link, cut::id_of(&line, b""), false),
        }
    }

    fn control(&mut self, link: LinkId, line: &[u8]) {
        if let Some(text) = line.strip_prefix(DEBUG) {
            return self.connector.debug_line(text);
        }
        let mut words = line.split(u8::is_ascii_whitespace);
        match words.next() {
            Some(MOVED) => {
                self.connector.moved();
                self.moved(link);
            }
            Some(SENT) => {
                let n = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
                if let Some(n) = n {
                    self.pending.note_sent(n);
                }
            }
            // Control of a newer daemon.
            _ => {}
        }
    }

    fn answered(&mut self, link: LinkId, id: &Value, failed: bool, line: Vec<u8>) {
        // The answer to a repeated handshake ends here: it is no request of the client's. An id of null complains of a
        // line that the daemon could not read.
        let Some(request) = self.pending.take_answered(link, id) else {
            if id.is_null() {
                self.output.push(line);
            }
            return;
        };
        if request.kind == Kind::Initialize && failed {
            self.handshake.refused();
        }
        self.output.push(line);
    }

    fn asks(&mut self, link: LinkId, id: Value, line: Vec<u8>) {
        if self.asked.len() >= MAX_ASKED {
            let error = WireError::daemon(
                ErrorCode::Overloaded,
                Retry::Safe,
                format!("could not ask the client: {MAX_ASKED} questions are open"),
            );
            return self.push(link, None, answer::refusal(&id, &error.next(NextStep::Retry)));
        }
        self.asked.push((link, id));
        self.output.push(line);
    }

    fn unreadable(&mut self, link: LinkId, id: Option<Value>, too_long: bool) {
        if let Some(request) = id.and_then(|id| self.pending.take_answered(link, &id)) {
            self.output.push(answer::failure(&request, &unreadable_answer(too_long)));
        }
    }
}

/// The daemon's answer to a request could not be passed on.
fn unreadable_answer(too_long: bool) -> WireError {
    let (code, why) = if too_long {
        (ErrorCode::LineTooLong, format!("it is longer than the {MAX_LINE_BYTES} bytes that are allowed"))
    } else {
        (ErrorCode::Malformed, "it is not a JSON-RPC message".to_owned())
    };
    let error = WireError::daemon(code, Retry::Unknown, format!("could not read the daemon's answer: {why}"));
    error.next(if too_long { NextStep::AskAgain } else { NextStep::Upgrade })
}
