//! How turns ended. Questions are not in it, only answers. Whether a turn was sent at all its client knows (`@sent`).

use codex_oauth_proto::Nonce;
use codex_oauth_proto::api::turn::{Completed, Kept};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::database::Open;

/// How long an outcome is kept after the end of its turn.
const KEPT_US: i64 = 10 * 60 * 1_000_000;

/// How much later it is removed at the latest, so that not each turn is removed by itself.
const SLACK_US: i64 = 60 * 1_000_000;

/// Answers kept at once, in bytes. Beyond it the oldest are let go, until three quarters are left.
const KEPT_BYTES: i64 = 64 * 1024 * 1024;

/// Turns remembered at once: 64 at a time for ten minutes are far fewer unless they fail at once. Each is some 200 bytes and
/// its answer.
const KEPT_TURNS: i64 = 50_000;

/// An answer in a list is cut to so many characters.
const SHOWN: i64 = 200;

/// The request of an MCP client that a turn answers: what may be sent upstream once at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The client's process.
    pub(crate) nonce: Nonce,
    /// Its request, counted from 1.
    pub(crate) n: u64,
}

impl Key {
    fn number(&self) -> i64 {
        i64::try_from(self.n).unwrap_or(i64::MAX)
    }
}

/// What is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    bytes: i64,
    turns: i64,
    /// When the next outcome is to be removed ([`super::now`]); `None`: nothing is kept.
    pub(super) due: Option<i64>,
}

impl Totals {
    /// Whether something has to be removed.
    pub(super) fn is_over(&self, now: i64) -> bool {
        self.bytes > KEPT_BYTES || self.turns > KEPT_TURNS || self.due.is_some_and(|due| due <= now)
    }
}

/// How a turn ended.
pub(super) struct Ended {
    /// The request that it answers, if an MCP client asked.
    pub(super) key: Option<Key>,
    pub(super) outcome: Completed,
    /// When ([`super::now`]).
    pub(super) at: i64,
}

/// Keeps the outcome of a turn.
pub(super) fn end(db: &mut Open<'_>, ended: &Ended) -> rusqlite::Result<()> {
    let Ended { key, outcome, at } = ended;
    let key = key.as_ref();
    let rest = Completed { answer: None, ..outcome.clone() };
    let rest = serde_json::to_string(&rest)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let bytes = outcome.answer.as_ref().map_or(0, String::len) + rest.len();
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let nonce = key.map(|key| key.nonce.to_string());
    db.connection
        .prepare_cached(
            "INSERT INTO turns (id, nonce, n, ended, answer, outcome, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![outcome.turn_id, nonce, key.map(Key::number), at, outcome.answer, rest, bytes])?;
    db.kept.turns += 1;
    db.kept.bytes += bytes;
    db.kept.due = db.kept.due.or(Some(at + KEPT_US + SLACK_US));
    Ok(())
}

/// How the turn ended that answered a request, if that is kept.
pub(super) fn find(db: &Open<'_>, key: &Key) -> rusqlite::Result<Option<Completed>> {
    let found = db
        .connection
        .prepare_cached(
            "SELECT ended, answer, outcome FROM turns WHERE nonce = ?1 AND n = ?2 \
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![key.nonce.to_string(), key.number()], kept)
        .optional()?;
    Ok(found.map(|kept| kept.outcome))
}

/// The outcome of one turn, if it is kept.
pub(super) fn outcome(db: &Open<'_>, id: &str) -> rusqlite::Result<Option<Kept>> {
    db.connection
        .prepare_cached("SELECT ended, answer, outcome FROM turns WHERE id = ?1")?
        .query_row(params![id], kept)
        .optional()
}

/// Every kept outcome, latest first.
pub(super) fn outcomes(db: &Open<'_>) -> rusqlite::Result<Vec<Kept>> {
    /// As many as fit a line of the socket with room to spare, and more than anybody reads.
    const MOST: i64 = 500;
    db.connection
        .prepare_cached(
            "SELECT ended, substr(answer, 1, ?1), outcome FROM turns \
             ORDER BY seq DESC LIMIT ?2",
        )?
        .query_map(params![SHOWN, MOST], kept)?
        .collect()
}

/// Removes what is older than it may be, then the oldest answers until the rest fits. What is left.
pub(super) fn prune(connection: &Connection, now: i64) -> rusqlite::Result<Totals> {
    connection.execute("DELETE FROM turns WHERE ended <= ?1", params![now - KEPT_US])?;
    let bytes: i64 =
        connection.query_row("SELECT coalesce(sum(bytes), 0) FROM turns", [], |row| row.get(0))?;
    connection.execute(
        "DELETE FROM turns WHERE seq IN ( \
             SELECT seq FROM (SELECT seq, sum(bytes) OVER (ORDER BY seq DESC) AS total FROM turns) \
             WHERE total > ?1)",
        params![if bytes > KEPT_BYTES { KEPT_BYTES * 3 / 4 } else { KEPT_BYTES }],
    )?;
    connection.execute(
        "DELETE FROM turns WHERE seq IN ( \
             SELECT seq FROM turns ORDER BY seq DESC LIMIT -1 OFFSET ?1)",
        params![KEPT_TURNS * 3 / 4],
    )?;
    connection.query_row("SELECT coalesce(sum(bytes), 0), count(*), min(ended) FROM turns", [], |row| {
        let due: Option<i64> = row.get(2)?;
        Ok(Totals {
            bytes: row.get(0)?,
            turns: row.get(1)?,
            due: due.map(|ended| ended + KEPT_US + SLACK_US),
        })
    })
}

/// From the columns `ended, answer, outcome`.
fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let unreadable = |error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.into())
    };
    let ended: i64 = row.get(0)?;
    let rest: Completed = serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(unreadable)?;
    Ok(Kept {
        ended_at: u64::try_from(ended / 1_000_000).unwrap_or_default(),
        outcome: Completed { answer: row.get(1)?, ..rest },
    })
}
