//! The record of a refresh that is under way: a file beside the credential file, which a crash leaves behind.
//!
//! * It is on the disk before the refresh token is sent, so a daemon that died in between is known to have sent it.
//! * Room for the answer is reserved in it before the token is sent: a disk that fills up meanwhile cannot cost the login.
//! * The new pair goes into it before anything else happens to it. Only a power cut between the issuer's commit and the
//!   end of that one write and sync can lose a pair.
//! * It is created exclusively and whole: a second daemon that was forced onto the same file does not send the same token,
//!   nor takes a record that is being written for the leftover of a crash.
//!
//! Beside the credential file and not in the state folder, because it belongs to that file: whoever takes `auth.lock` there
//! finds it, with whatever state folder; and it needs the very permissions and the very disk that the login itself needs.
//!
//! ```text
//! {"spent":"<fingerprint>","account_id":"…","started":1795300000,"pid":42,"nonce":"…","build":"0.1.0"}   at 0
//! {"access_token":…}   a record as in the credential file, followed by a newline                        at 1024
//! ```
//! The rest is spaces. The pair is at an offset of its own, so that a write that was cut short spoils nothing before it.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::claims::{unix_seconds, unix_time};
use super::credentials::Credentials;
use super::record;
use super::store::StoreError;
use crate::fsx::{self, FsError, ReadError, Reread};
use crate::process;
use crate::secret::Fingerprint;

/// Where the pair begins; the intent is a few hundred bytes.
const PAIR_AT: usize = 1024;
/// Reserved for the pair: three JWTs of 2 to 4 KiB each. A longer pair makes the file longer.
const PAIR_ROOM: usize = 16 * 1024;

/// Who writes a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Process id.
    pub(super) pid: u32,
    /// Random: a process id is used again.
    pub(super) nonce: String,
}

/// Whose token is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) spent: Fingerprint,
    pub(super) account_id: String,
    /// Whole seconds.
    pub(super) started: SystemTime,
    pub(super) holder: Holder,
}

/// What lies in the slot.
#[derive(Clone, Debug)]
pub(super) enum Left {
    /// A token was, or was about to be, sent; no answer is known.
    Sent(Intent),
    /// The answer came and may not be in the credential file yet.
    Answered(Intent, Box<Credentials>),
    /// Not even the intent is whole. It is placed whole, so no token was sent for this: a disk lost it, or somebody wrote it.
    Torn,
}

/// The file.
#[derive(Debug)]
pub(super) struct Slot {
    path: PathBuf,
    holder: Holder,
    /// An intent of another process that is older is not one of a running exchange.
    pub(super) stale_after: Duration,
}

#[derive(Serialize, Deserialize)]
struct WireIntent {
    spent: String,
    account_id: String,
    started: Value,
    pid: u32,
    nonce: String,
    #[serde(default)]
    build: String,
}

impl Slot {
    /// The slot at `path`. Touches nothing.
    pub(super) const fn new(path: PathBuf, holder: Holder, stale_after: Duration) -> Self {
        Self { path, holder, stale_after }
    }

    /// Our own intent to send `spent`.
    pub(super) fn intent(&self, spent: Fingerprint, account_id: &str, now: SystemTime) -> Intent {
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds(now));
        Intent { spent, account_id: account_id.to_owned(), started, holder: self.holder.clone() }
    }

    /// What a refresh left behind, or has in it now.
    pub(super) async fn read(&self) -> Result<Option<Left>, StoreError> {
        // Ours is not written by anybody else while we read.
        let once = Reread { tries: 0, pause: Duration::ZERO };
        let parse = |bytes: &[u8]| Ok::<_, std::convert::Infallible>(parse(bytes));
        let read = fsx::read_stable(&self.path, once, parse).await;
        let found = read.map_err(|error| match error {
            ReadError::Fs(source) => self.failed("read", source),
            ReadError::Parse(never) => match never {},
        })?;
        Ok(found.map(|(_, left)| left))
    }

    /// Writes the intent; see [`is_taken`] for when there is one already. Blocks.
    pub(super) fn open(&self, intent: &Intent) -> Result<(), StoreError> {
        let mut bytes = Zeroizing::new(line(&WireIntent::from(intent)));
        bytes.resize(PAIR_AT + PAIR_ROOM, b' ');
        fsx::create_durable(&self.path, &bytes).map_err(|source| self.failed("write", source))
    }

    /// Writes the pair that came. Blocks.
    pub(super) fn fill(&self, renewed: &Credentials) -> Result<(), StoreError> {
        let bytes = Zeroizing::new(line(&record::render(renewed)));
        fsx::overwrite_durable(&self.path, PAIR_AT as u64, &bytes)
            .map_err(|source| self.failed("write", source))
    }

    /// Removes the file, if it is the record of the refresh that spends `spent`: the next one may have begun, in another
    /// process, and must not be left without its own. Blocks.
    pub(super) fn clear(&self, spent: &Fingerprint) -> Result<(), StoreError> {
        let bytes = fsx::read(&self.path).map_err(|source| self.failed("read", source))?;
        match bytes.map(|bytes| parse(&bytes)) {
            Some(Left::Sent(intent) | Left::Answered(intent, _)) if intent.spent == *spent => self.wipe(),
            _ => Ok(()),
        }
    }

    /// Removes the file, whatever is in it. Blocks.
    pub(super) fn wipe(&self) -> Result<(), StoreError> {
        fsx::remove_durable(&self.path).map(drop).map_err(|source| self.failed("remove", source))
    }

    /// Whether `left` is the work of another process that may still be at it.
    pub(super) fn is_busy(&self, left: &Left, now: SystemTime) -> bool {
        // One that begins in the future began before the clock was set back.
        let young = |since: SystemTime| now.duration_since(since).map_or(true, |age| age < self.stale_after);
        match left {
            Left::Sent(intent) => {
                intent.holder != self.holder && process::may_run(intent.holder.pid) && young(intent.started)
            }
            // Whoever finishes this does what its owner would do.
            Left::Answered(..) | Left::Torn => false,
        }
    }

    fn failed(&self, verb: &'static str, source: FsError) -> StoreError {
        StoreError::Slot { verb, path: self.path.clone(), source }
    }
}

/// Whether the slot was there already.
pub(super) fn is_taken(error: &StoreError) -> bool {
    matches!(error, StoreError::Slot { source: FsError::Io { source, .. }, .. }
        if source.kind() == io::ErrorKind::AlreadyExists)
}

impl From<&Intent> for WireIntent {
    fn from(intent: &Intent) -> Self {
        Self {
            spent: intent.spent.to_string(),
            account_id: intent.account_id.clone(),
            started: unix_seconds(intent.started).into(),
            pid: intent.holder.pid,
            nonce: intent.holder.nonce.clone(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl WireIntent {
    fn into_intent(self) -> Option<Intent> {
        Some(Intent {
            spent: Fingerprint::parse(&self.spent)?,
            account_id: self.account_id,
            started: unix_time(&self.started)?,
            holder: Holder { pid: self.pid, nonce: self.nonce },
        })
    }
}

fn parse(bytes: &[u8]) -> Left {
    let (head, rest) = bytes.split_at(PAIR_AT.min(bytes.len()));
    let intent = serde_json::from_slice::<WireIntent>(head).ok().and_then(WireIntent::into_intent);
    let Some(intent) = intent else { return Left::Torn };
    let pair = serde_json::from_slice::<Value>(rest).ok().and_then(|record| record::parse(&record).ok());
    match pair {
        Some(pair) => Left::Answered(intent, Box::new(pair)),
        None => Left::Sent(intent),
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("texts and numbers are JSON");
    line.push(b'\n');
    line
}
