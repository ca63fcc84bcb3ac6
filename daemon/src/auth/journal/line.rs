//! A line of the file, and back. Unknown events of a newer version are skipped.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Entry, Event};
use crate::auth::claims::unix_seconds;
use crate::auth::refresh::Refusal;
use crate::secret::Fingerprint;

const WORDS: [(Event, &str); 11] = [
    (Event::SignedIn, "signed_in"),
    (Event::SignedOut, "signed_out"),
    (Event::Renewed, "renewed"),
    (Event::Recovered, "recovered"),
    (Event::Discarded, "discarded"),
    (Event::Restored, "restored"),
    (Event::Found, "found"),
    (Event::Refused, "refused"),
    (Event::Failed, "failed"),
    (Event::Unanswered, "unanswered"),
    (Event::MovedAside, "moved_aside"),
];

#[derive(Serialize, Deserialize)]
struct Line {
    at: u64,
    event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    successor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    pid: u32,
    build: String,
}

impl Event {
    /// As in the file and on the socket.
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(event, _)| *event == self).map_or("unknown", |(_, word)| word)
    }
}

/// With its newline.
pub(super) fn render(entry: &Entry) -> Vec<u8> {
    let text = |token: &Option<Fingerprint>| token.as_ref().map(Fingerprint::to_string);
    let line = Line {
        at: unix_seconds(entry.at),
        event: entry.event.as_str().to_owned(),
        token: text(&entry.token),
        successor: text(&entry.successor),
        account_id: entry.account_id.clone(),
        detail: entry.detail.clone(),
        pid: entry.pid,
        build: entry.build.clone(),
    };
    let mut bytes = serde_json::to_vec(&line).expect("texts and numbers are JSON");
    bytes.push(b'\n');
    bytes
}

/// `None` for what is no line of this version.
pub(super) fn parse(bytes: &[u8]) -> Option<Entry> {
    let line: Line = serde_json::from_slice(bytes).ok()?;
    let fingerprint = |text: Option<String>| text.and_then(|text| Fingerprint::parse(&text));
    let (event, _) = *WORDS.iter().find(|(_, word)| *word == line.event)?;
    Some(Entry {
        at: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(line.at))?,
        event,
        token: fingerprint(line.token),
        successor: fingerprint(line.successor),
        account_id: line.account_id,
        detail: line.detail,
        pid: line.pid,
        build: line.build,
    })
}

/// The detail of a refusal: `401 refresh_token_reused: Your refresh token has already been used`.
pub(in crate::auth) fn refusal_detail(refusal: &Refusal) -> String {
    let interrupted = if refusal.interrupted { "interrupted " } else { "" };
    let code = refusal.code.as_deref().unwrap_or("-");
    format!("{interrupted}{} {code}: {}", refusal.status, refusal.message)
}

/// And back.
pub(super) fn refusal(detail: &str) -> Refusal {
    let (interrupted, rest) = match detail.strip_prefix("interrupted ") {
        Some(rest) => (true, rest),
        None => (false, detail),
    };
    let (head, message) = rest.split_once(": ").unwrap_or(("", rest));
    let (status, code) = head.split_once(' ').unwrap_or((head, "-"));
    Refusal {
        status: status.parse().unwrap_or_default(),
        code: Some(code.to_owned()).filter(|code| code != "-"),
        message: message.to_owned(),
        interrupted,
        evidence: super::Evidence::None,
    }
}
