//! The journal: every request but the admin ones, in order of arrival, without a raw token, and what became of it.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::script::Endpoint;

/// Most requests remembered; older ones are dropped. Ten times what the longest test makes.
pub const JOURNAL_CAPACITY: usize = 10_000;

/// How long the waiting methods of a fake wait: long for a loaded machine, short for a broken test.
pub const WAIT_DEADLINE: Duration = Duration::from_secs(30);

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// 1 for the first request of this fake, rising by 1.
    pub sequence: u64,
    /// When its head had arrived, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Number of its TCP connection, rising by 1.
    pub connection: u64,
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub http_version: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// What it was about.
    pub endpoint: Endpoint,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query, decoded, tokens and codes as labels.
    pub query: Vec<(String, String)>,
    /// Headers in order, names in lower case, tokens as labels.
    pub headers: Vec<(String, String)>,
    /// Label of the bearer token: `access:<family>.<generation>`, or `unknown:<hash>` for one this fake never made.
    pub bearer: Option<String>,
    /// Decoded body: JSON where it is JSON, a form as an object of strings, else a string; tokens as labels.
    pub body: Value,
    /// Length of the body on the wire, bytes.
    pub wire_len: usize,
    /// `content-encoding`, if any.
    pub encoding: Option<String>,
    /// Status of the answer, once its head was handed to the connection.
    pub status: Option<u16>,
    /// Why it was refused, or what the request did: the error code or detail.
    pub note: Option<String>,
    /// Stream events handed to the connection.
    pub events: u64,
    /// What became of it.
    pub outcome: Outcome,
}

impl Entry {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client went away before the answer was complete.
    pub fn client_gone(&self) -> bool {
        self.outcome == Outcome::ClientGone
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not answered yet, or the answer is still being written.
    InProgress,
    /// Answered; the whole answer was handed to the connection.
    Complete,
    /// The client closed the connection or reset the stream before the end of the answer.
    ClientGone,
    /// A script closed the connection, before the head or in the stream.
    CutByScript,
}

/// What was waited for did not happen in time.
#[derive(Debug)]
pub struct WaitError {
    /// How long the wait was.
    pub waited: Duration,
    /// One line per request of the journal at the end of the wait, last ones only.
    pub seen: Vec<String>,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not see the expected requests within {:?}; last seen:", self.waited)?;
        self.seen.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for WaitError {}

/// The bounded ring of entries and those who wait for it to change.
#[derive(Debug)]
pub(crate) struct Journal {
    ring: Mutex<Ring>,
    changed: Condvar,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    last_sequence: u64,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { ring: Mutex::default(), changed: Condvar::new(), version: watch::Sender::new(0) }
    }

    /// Adds the entry, gives it its number, and returns the number.
    pub(crate) fn push(&self, mut entry: Entry) -> u64 {
        let sequence = self.change(|ring| {
            ring.last_sequence += 1;
            entry.sequence = ring.last_sequence;
            if ring.entries.len() == JOURNAL_CAPACITY {
                ring.entries.pop_front();
            }
            ring.entries.push_back(entry);
            ring.last_sequence
        });
        self.tell();
        sequence
    }

    /// Changes an entry, unless it has been dropped meanwhile.
    pub(crate) fn update(&self, sequence: u64, change: impl FnOnce(&mut Entry)) {
        self.change(|ring| {
            let index = ring.entries.front().and_then(|first| sequence.checked_sub(first.sequence));
            let entry = index.and_then(|index| ring.entries.get_mut(usize::try_from(index).ok()?));
            if let Some(entry) = entry {
                change(entry);
            }
        });
        self.tell();
    }

    pub(crate) fn clear(&self) {
        self.change(|ring| ring.entries.clear());
        self.tell();
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.ring.lock().entries.iter().cloned().collect()
    }

    pub(crate) fn wait_for(
        &self,
        within: Duration,
        mut seen: impl FnMut(&[Entry]) -> bool,
    ) -> Result<(), WaitError> {
        let deadline = Instant::now() + within;
        let mut ring = self.ring.lock();
        while !seen(ring.entries.make_contiguous()) {
            if self.changed.wait_until(&mut ring, deadline).timed_out() {
                return Err(WaitError { waited: within, seen: summary(&ring.entries) });
            }
        }
        drop(ring);
        Ok(())
    }

    pub(crate) async fn wait_for_async(
        &self,
        within: Duration,
        mut seen: impl FnMut(&[Entry]) -> bool,
    ) -> Result<(), WaitError> {
        let mut version = self.version.subscribe();
        let waiting = async {
            loop {
                version.mark_unchanged();
                if seen(self.ring.lock().entries.make_contiguous()) {
                    return;
                }
                // The sender lives in `self`, so it cannot have gone.
                let _ = version.changed().await;
            }
        };
        tokio::time::timeout(within, waiting)
            .await
            .map_err(|_| WaitError { waited: within, seen: summary(&self.ring.lock().entries) })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Ring) -> T) -> T {
        change(&mut self.ring.lock())
    }

    fn tell(&self) {
        self.changed.notify_all();
        self.version.send_modify(|version| *version += 1);
    }
}

/// Lines of a [`WaitError`].
const SUMMARY_LINES: usize = 20;

fn summary(entries: &VecDeque<Entry>) -> Vec<String> {
    let skipped = entries.len().saturating_sub(SUMMARY_LINES);
    entries
        .iter()
        .skip(skipped)
        .map(|entry| {
            let Entry { sequence, method, path, status, outcome, events, note, .. } = entry;
            format!("#{sequence} {method} {path} -> {status:?} {outcome:?}, {events} events, {note:?}")
        })
        .collect()
}
