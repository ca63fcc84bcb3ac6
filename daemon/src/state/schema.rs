//! The schema of `state.sqlite` and its versions (`user_version`). A version is never changed once it was released: a
//! change is a further step at the end.

use rusqlite::Connection;

/// Each step leads from the version of its index to the next.
pub(super) const STEPS: &[&str] = &["
    -- Runs of the daemon that record every turn before it is sent: of a request sent to one of them and not found in
    -- `turns` it is known that it was never sent upstream.
    CREATE TABLE runs (
        nonce TEXT PRIMARY KEY,
        began INTEGER NOT NULL
    ) WITHOUT ROWID;
    -- Turns that were sent, or were about to be. Times are microseconds since 1970.
    CREATE TABLE turns (
        id TEXT PRIMARY KEY,
        -- The request of an MCP client; none for other askers.
        nonce TEXT,
        n INTEGER,
        run TEXT NOT NULL,
        model TEXT NOT NULL,
        began INTEGER NOT NULL,
        -- Null while it runs, and for ever if its run of the daemon died.
        ended INTEGER,
        -- Null once it is let go of for want of room.
        answer TEXT,
        -- The rest of `turn/completed` as JSON.
        outcome TEXT,
        -- Of answer and outcome.
        bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX turns_by_request ON turns (nonce, n) WHERE nonce IS NOT NULL;
    CREATE INDEX turns_by_end ON turns (ended) WHERE ended IS NOT NULL;
", "
    -- Only outcomes: whether a turn was sent its client is told, and says.
    DROP TABLE runs;
    DELETE FROM turns WHERE outcome IS NULL;
    ALTER TABLE turns DROP COLUMN run;
    ALTER TABLE turns DROP COLUMN model;
    ALTER TABLE turns DROP COLUMN began;
", "
    -- What became of the last turns, step by step: `turn/trace/list`. No text of theirs.
    CREATE TABLE traces (
        seq INTEGER PRIMARY KEY,
        -- The turn's.
        id TEXT NOT NULL,
        -- As JSON.
        trace TEXT NOT NULL
    );
    CREATE TRIGGER traces_kept AFTER INSERT ON traces BEGIN
        DELETE FROM traces WHERE seq <= NEW.seq - 200;
    END;
", "
    -- In the order of their ends, without an index: rows are looked up after a crash or by a person, and each index would
    -- cost every answer as much as the answer does. What a look-up passes over comes before what may be megabytes.
    ALTER TABLE turns RENAME TO earlier;
    CREATE TABLE turns (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        -- The request of an MCP client; none for other askers.
        nonce TEXT,
        n INTEGER,
        -- Microseconds since 1970.
        ended INTEGER NOT NULL,
        -- Of answer and outcome.
        bytes INTEGER NOT NULL,
        -- `turn/completed` without its answer, as JSON.
        outcome TEXT NOT NULL,
        answer TEXT
    );
    INSERT INTO turns (id, nonce, n, ended, bytes, outcome, answer)
        SELECT id, nonce, n, ended, bytes, outcome, answer FROM earlier ORDER BY ended;
    DROP TABLE earlier;
    -- The oldest go once for many.
    DROP TRIGGER traces_kept;
"];

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    /// A newer build wrote it; this one would not understand what it finds.
    #[error("it has schema {found} of a newer build; this one knows {known}")]
    Newer {
        /// In the file.
        found: usize,
        /// The latest of this build.
        known: usize,
    },
    /// `SQLite` says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Brings the database to the latest version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), SchemaError> {
    let version = |connection: &Connection| -> rusqlite::Result<usize> {
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok(usize::try_from(version).unwrap_or(usize::MAX))
    };
    if version(connection)? == STEPS.len() {
        return Ok(());
    }
    // Two daemons may meet here during a hand-over: the second one finds the work done.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let Some(steps) = STEPS.get(found..) else {
        return Err(SchemaError::Newer { found, known: STEPS.len() });
    };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(STEPS.len()).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(())
}
