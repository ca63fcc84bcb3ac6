//! The flight recorder: what became of the last turns, step by step, without a text of theirs.

use std::collections::VecDeque;

use codex_oauth_proto::api::trace::Trace;
use rusqlite::params;

use super::database::Open;

/// Traces that are kept: more than anybody reads back, and a few hundred KB.
const KEPT: usize = super::waiting::MOST;

/// Keeps these traces, and lets go of the oldest.
pub(super) fn keep(db: &Open<'_>, traces: VecDeque<Trace>) -> rusqlite::Result<()> {
    let mut insert = db.connection.prepare_cached("INSERT INTO traces (id, trace) VALUES (?1, ?2)")?;
    for trace in traces {
        let text = serde_json::to_string(&trace)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        insert.execute(params![trace.turn_id, text])?;
    }
    db.connection
        .prepare_cached("DELETE FROM traces WHERE seq <= (SELECT max(seq) FROM traces) - ?1")?
        .execute(params![i64::try_from(KEPT).unwrap_or(i64::MAX)])?;
    Ok(())
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
