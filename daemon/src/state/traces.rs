//! The flight recorder: what became of the last turns, step by step, without a text of theirs.

use std::collections::VecDeque;
use std::sync::Arc;

use codex_oauth_proto::api::trace::Trace;
use parking_lot::Mutex;
use rusqlite::params;

use super::database::Open;

/// Traces that are kept: more than anybody reads back, and a few hundred KB.
const KEPT: u16 = 200;

/// Traces that wait for the disk; every clone is the same. Those that would be let go of in the same transaction are not written
/// at all; while the database cannot be used they wait. A transaction that fails takes its traces along.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    traces: VecDeque<Trace>,
    /// Somebody is on the way to write them.
    is_awaited: bool,
}

/// Whoever holds it is to write them.
pub(super) struct Ticket(Waiting);

impl Waiting {
    /// One more. A ticket, where nobody has one.
    pub(super) fn push(&self, trace: Trace) -> Option<Ticket> {
        let mut list = self.0.lock();
        if list.traces.len() >= usize::from(KEPT) {
            list.traces.pop_front();
        }
        list.traces.push_back(trace);
        let is_awaited = std::mem::replace(&mut list.is_awaited, true);
        drop(list);
        (!is_awaited).then(|| Ticket(self.clone()))
    }

    fn take(&self) -> VecDeque<Trace> {
        let mut list = self.0.lock();
        list.is_awaited = false;
        std::mem::take(&mut list.traces)
    }
}

impl Ticket {
    /// Keeps them all, and lets go of the oldest.
    pub(super) fn write(self, db: &Open<'_>) -> rusqlite::Result<()> {
        let mut insert = db.connection.prepare_cached("INSERT INTO traces (id, trace) VALUES (?1, ?2)")?;
        for trace in self.0.take() {
            let text = serde_json::to_string(&trace)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            insert.execute(params![trace.turn_id, text])?;
        }
        db.connection
            .prepare_cached("DELETE FROM traces WHERE seq <= (SELECT max(seq) FROM traces) - ?1")?
            .execute(params![KEPT])?;
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.0.lock().is_awaited = false;
    }
}

/// Those whose id begins with `prefix`, latest first, at most `limit`. One that this build cannot read is left out.
pub(super) fn list(db: &Open<'_>, prefix: &str, limit: u32) -> rusqlite::Result<Vec<Trace>> {
    let texts: Vec<String> = db
        .connection
        .prepare_cached(
            "SELECT trace FROM traces WHERE substr(id, 1, length(?1)) = ?1 ORDER BY seq DESC LIMIT ?2",
        )?
        .query_map(params![prefix, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
}
