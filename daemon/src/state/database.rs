//! The file: opened, replaced when it is broken, and kept within its bounds.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use codex_oauth_proto::connect::with_causes;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use super::schema::{self, SchemaError};
use super::worker::{Job, Need};
use super::{LAST_COMMITS, StateError, now, turns};
use crate::fsx::{self, FsError};

/// How long another process may hold the database: a daemon that hands over to this one commits in microseconds, and its last
/// act, to close the database, ends with it.
const BUSY: Duration = LAST_COMMITS.saturating_add(Duration::from_secs(1));

/// Between two attempts of [`open_together`]: what another daemon does in between takes a few milliseconds.
const OPEN_AGAIN: Duration = Duration::from_millis(5);

/// After a failed attempt to open the database the next one is made no sooner. Shorter than it takes a person to mend a folder and
/// to ask again.
const REOPEN_AFTER_US: i64 = 1_000_000;

/// After a failed attempt to remove old answers the next one is made no sooner.
const PRUNE_AGAIN_AFTER_US: i64 = 10 * 1_000_000;

/// Transactions after which the log is copied into the database: a few MB, as with `SQLite`'s own default of 1000 pages.
const CHECKPOINT_EVERY: u32 = 256;

/// Pages of the database that are kept in memory. A look-up reads a handful, and `SQLite`'s own bound, 2 MiB, would be full of
/// answers that nobody asks for again. An open transaction may go beyond it into the log.
const CACHE_KIB: u32 = 256;

/// The database, whether it can be used or not.
pub(super) struct Database {
    path: PathBuf,
    fault: Arc<Mutex<Option<String>>>,
    /// What the job of the fault needed.
    at_fault: Need,
    connection: Option<Connection>,
    /// When the last attempt to open it failed.
    failed: Option<i64>,
    kept: turns::Totals,
    transactions: u32,
}

/// What a job works with.
pub(super) struct Open<'c> {
    pub(super) connection: &'c Connection,
    /// What is kept, as far as this process knows.
    pub(super) kept: &'c mut turns::Totals,
}

impl Database {
    pub(super) fn new(path: PathBuf, fault: Arc<Mutex<Option<String>>>) -> Self {
        let kept = turns::Totals::default();
        Self { path, fault, at_fault: Need::Nothing, connection: None, failed: None, kept, transactions: 0 }
    }

    /// Does `jobs` in one transaction, and tells each what became of it.
    pub(super) fn transaction(&mut self, jobs: Vec<Box<dyn Job>>) {
        if self.connection.is_none()
            && let Some(fault) = self.fault.lock().clone()
            && self.failed.is_some_and(|failed| (0..REOPEN_AFTER_US).contains(&(now() - failed)))
        {
            return jobs.into_iter().for_each(|job| job.finish(Err(StateError(fault.clone()))));
        }
        let mut failures: Vec<Option<SchemaError>> = Vec::new();
        let mut jobs = jobs;
        let opened = self.open();
        let is_open = opened.is_ok();
        let whole = opened.and_then(|()| self.commit(&mut jobs, &mut failures).map_err(SchemaError::from));
        let first = whole.as_ref().err().or_else(|| failures.iter().find_map(Option::as_ref));
        let broken = first.is_some_and(is_broken);
        // A new database, or one that opens at last, has nothing against anybody yet.
        let need = if is_open && !broken { most(&jobs, whole.is_err(), &failures) } else { Need::Nothing };
        self.note(first.map(|error| self.describe(error)), need);
        let own = failures.into_iter().chain(std::iter::repeat_with(|| None));
        for (job, failure) in jobs.into_iter().zip(own) {
            let failed = whole.as_ref().err().or(failure.as_ref());
            job.finish(failed.map_or(Ok(()), |error| Err(StateError(self.describe(error)))));
        }
        if broken {
            self.set_aside();
        }
    }

    /// Of a transaction that went wrong `need` is what failed, of any other what worked.
    fn note(&mut self, fault: Option<String>, need: Need) {
        // Nobody else writes it.
        let known = self.fault.lock().clone();
        if let Some(fault) = &fault {
            if known.as_ref() != Some(fault) {
                tracing::error!("answers are not kept: {fault}");
            }
            self.at_fault = need.max(if known.is_some() { self.at_fault } else { Need::Nothing });
        } else if need < self.at_fault {
            return;
        }
        *self.fault.lock() = fault;
    }

    fn describe(&self, error: &SchemaError) -> String {
        format!("could not use `{}`: {error}", self.path.display())
    }

    /// What may take time and has nobody waiting for it.
    pub(super) fn tidy(&mut self) {
        let Some(connection) = &self.connection else { return };
        if self.kept.is_over(now()) {
            match turns::prune(connection, now()) {
                Ok(kept) => self.kept = kept,
                Err(error) => {
                    self.kept.due = Some(now() + PRUNE_AGAIN_AFTER_US);
                    tracing::warn!(%error, "could not remove old answers");
                }
            }
        }
        self.transactions = self.transactions.wrapping_add(1);
        if self.transactions.is_multiple_of(CHECKPOINT_EVERY) {
            checkpoint(connection);
        }
    }

    /// Closes it. The last one who does removes the log, and keeps everybody out meanwhile; so the log is copied before, which
    /// keeps nobody out: a daemon that starts would take a slow disk for a database that cannot be used.
    pub(super) fn close(self) {
        if let Some(connection) = &self.connection {
            checkpoint(connection);
        }
    }

    /// How long until something has to be removed; `None` when nothing is kept.
    pub(super) fn next_prune(&self) -> Option<Duration> {
        self.connection.as_ref()?;
        let left = self.kept.due?.saturating_sub(now()).max(0);
        Some(Duration::from_micros(u64::try_from(left).unwrap_or_default()))
    }

    fn open(&mut self) -> Result<(), SchemaError> {
        if self.connection.is_some() {
            return Ok(());
        }
        let opened = open_together(&self.path).or_else(|error| {
            if !is_broken(&error) {
                return Err(error);
            }
            self.set_aside();
            open_together(&self.path)
        });
        self.failed = opened.is_err().then(now);
        let (connection, kept) = opened?;
        self.connection = Some(connection);
        self.kept = kept;
        Ok(())
    }

    /// An error means that nothing happened; `failures` has those of single jobs, whose changes alone did not.
    fn commit(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        failures: &mut Vec<Option<SchemaError>>,
    ) -> rusqlite::Result<()> {
        let Some(connection) = &self.connection else { return Err(rusqlite::Error::InvalidQuery) };
        if jobs.is_empty() {
            return Ok(());
        }
        let before = self.kept;
        let mut db = Open { connection, kept: &mut self.kept };
        // At once for writing: whoever reads first and then writes may find that another process was faster.
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = jobs.iter_mut().try_for_each(|job| match job.run(&mut db) {
            // SQLite has undone the statement, and perhaps the transaction.
            Err(error) if connection.is_autocommit() => Err(error),
            result => {
                failures.push(result.err().map(SchemaError::from));
                Ok(())
            }
        });
        let done = done.and_then(|()| connection.prepare_cached("COMMIT")?.execute([]).map(drop));
        if done.is_err() {
            self.kept = before;
            if !connection.is_autocommit() {
                connection.execute_batch("ROLLBACK")?;
            }
        }
        done
    }

    /// Moves a broken database out of the way.
    fn set_aside(&mut self) {
        self.connection = None;
        match set_aside(&self.path) {
            Ok(aside) => tracing::error!(
                "`{}` is broken and was set aside as `{}`; kept answers are lost",
                self.path.display(),
                aside.display()
            ),
            Err(error) => tracing::error!("{}", with_causes(&error)),
        }
    }
}

/// The most that one of `jobs` needs, of those that failed if any did; `all`: with one another.
fn most(jobs: &[Box<dyn Job>], all: bool, failures: &[Option<SchemaError>]) -> Need {
    let some = !all && failures.iter().any(Option::is_some);
    let failed = |at: usize| failures.get(at).is_some_and(Option::is_some);
    let counted = jobs.iter().enumerate().filter(|(at, _)| !some || failed(*at));
    counted.map(|(_, job)| job.need()).max().unwrap_or(Need::Nothing)
}

/// Gives the file another name. Only the latest such file is kept, and no log: they hold answers.
fn set_aside(path: &Path) -> Result<PathBuf, FsError> {
    const WORD: &str = "corrupt";
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let earlier = format!("{name}.{WORD}-");
    let listed =
        path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for entry in listed.filter(|entry| entry.file_name().to_string_lossy().starts_with(&earlier)) {
        fsx::remove_durable(&entry.path())?;
    }
    let aside = fsx::move_aside(path, WORD, SystemTime::now())?;
    for companion in ["-wal", "-shm"] {
        fsx::remove_durable(&path.with_file_name(format!("{name}{companion}")))?;
    }
    Ok(aside)
}

/// Copies the log into the database, as far as nobody uses it.
fn checkpoint(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(%error, "could not copy the log into the database");
    }
}

/// Of two who turn a new database to its log in the same instant, `SQLite` refuses one at once, whatever the `busy_timeout`.
fn open_together(path: &Path) -> Result<(Connection, turns::Totals), SchemaError> {
    let deadline = Instant::now() + BUSY;
    loop {
        match open(path) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                #[expect(clippy::disallowed_methods, reason = "no event tells that SQLite's lock is free")]
                std::thread::sleep(OPEN_AGAIN);
            }
            opened => return opened,
        }
    }
}

fn open(path: &Path) -> Result<(Connection, turns::Totals), SchemaError> {
    // The log and its index take over the mode. What is wrong with the place, SQLite says next. On Windows the folder decides who
    // may read, and SQLite opens a file for reading alone while somebody else gives it its name.
    #[cfg(unix)]
    let _told = fsx::create_durable(path, b"");
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // `secure_delete`: what was removed is overwritten. The log is copied by `tidy`, when nobody waits.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON; \
         PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;",
    )?;
    // A negative number is in KiB (https://www.sqlite.org/pragma.html#pragma_cache_size).
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    schema::migrate(&mut connection)?;
    let kept = turns::prune(&connection, now())?;
    Ok((connection, kept))
}

/// Whether the file is no database, or a damaged one.
fn is_broken(error: &SchemaError) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether another process uses it.
fn is_busy(error: &SchemaError) -> bool {
    code(error) == Some(ErrorCode::DatabaseBusy)
}

fn code(error: &SchemaError) -> Option<ErrorCode> {
    let SchemaError::Sqlite(error) = error else { return None };
    error.sqlite_error_code()
}
