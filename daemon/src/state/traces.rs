//! The flight recorder: what became of the last turns, step by step, without a text of theirs.

use codex_oauth_proto::api::trace::Trace;
use rusqlite::params;

use super::database::Open;

/// Keeps a turn's trace. The schema lets go of the oldest (`traces_kept`).
pub(super) fn keep(db: &Open<'_>, trace: &Trace) -> rusqlite::Result<()> {
    let text = serde_json::to_string(trace)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    db.connection
        .prepare_cached("INSERT INTO traces (id, trace) VALUES (?1, ?2)")?
        .execute(params![trace.turn_id, text])?;
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
