//! What a check found, and all of it together: the shape of `doctor --json`.

use std::io;
use std::time::Duration;

use codex_oauth_proto::{BUILD, NextStep, Surface, WireError};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::exit::Exit;

/// How a check ended, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It could not be carried out, or is about something that is not there; the detail says which.
    Skip,
    /// As it should be.
    Ok,
    /// Questions are answered; something should be seen to.
    Warn,
    /// Questions are not answered, or will soon not be.
    Fail,
}

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// How it is.
    pub(super) status: Status,
    /// What is so, for people.
    detail: String,
    /// What to do about it; there for every warning and failure.
    remedy: Option<String>,
    /// Of a failure: the exit code of the whole, if it is the first one.
    exit: Exit,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self { status: Status::Ok, detail: detail.into(), remedy: None, exit: Exit::Success }
    }

    /// Not looked at, and why.
    pub(super) fn skip(why: impl Into<String>) -> Self {
        Self { status: Status::Skip, ..Self::ok(why) }
    }

    /// Something to see to.
    pub(super) fn warn(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Warn, remedy: Some(remedy.into()), ..Self::ok(detail) }
    }

    /// What keeps questions from being answered.
    pub(super) fn fail(detail: impl Into<String>, remedy: impl Into<String>, exit: Exit) -> Self {
        Self { status: Status::Fail, remedy: Some(remedy.into()), exit, ..Self::ok(detail) }
    }

    /// A failure in the words of the wire.
    pub(super) fn error(error: &WireError) -> Self {
        let remedy = match &error.next_step {
            // That step leads here.
            Some(NextStep::CheckNetwork) => "see to that, or try from another network".to_owned(),
            Some(step) => step.render(Surface::Shell),
            None => "run `codex-oauth daemon run` in a terminal to see more of it".to_owned(),
        };
        Self::fail(error.message.clone(), remedy, Exit::of(error.code))
    }

    /// The worst of several, with what all bad ones say; `fine` when none is bad.
    pub(super) fn worst(findings: Vec<Self>, fine: impl Into<String>) -> Self {
        let bad: Vec<Self> = findings.into_iter().filter(|one| one.status > Status::Ok).collect();
        let detail = bad.iter().map(|one| one.detail.as_str()).collect::<Vec<_>>().join("; ");
        let worst = bad.into_iter().reduce(|worst, one| if one.status > worst.status { one } else { worst });
        worst.map_or_else(|| Self::ok(fine), |worst| Self { detail, ..worst })
    }
}

/// Mends what is safe to mend, if the person asked for it.
#[derive(Debug)]
pub(super) struct Fixer {
    allowed: bool,
    mended: Vec<String>,
}

impl Fixer {
    /// One that does nothing unless `allowed`.
    pub(super) const fn new(allowed: bool) -> Self {
        Self { allowed, mended: Vec::new() }
    }

    /// Whether the person asked for it.
    pub(super) const fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// A trouble that `act` mends. `what` says what `act` does, as a person could do it by hand.
    pub(super) fn mend(
        &mut self,
        trouble: Finding,
        what: impl Into<String>,
        act: impl FnOnce() -> io::Result<()>,
    ) -> Finding {
        let what = what.into();
        if !self.allowed {
            return Finding { remedy: Some(format!("run `codex-oauth doctor --fix`: {what}")), ..trouble };
        }
        match act() {
            Ok(()) => {
                self.mended.push(what);
                Finding::ok("mended")
            }
            Err(error) => Finding {
                detail: format!("{}; it could not be mended: {error}", trouble.detail),
                remedy: Some(what),
                ..trouble
            },
        }
    }
}

/// One line of the report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    /// Names the check: part of the contract with scripts.
    pub(super) id: &'static str,
    /// How it ended.
    pub(super) status: Status,
    /// What is so.
    pub(super) detail: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
    /// What `--fix` did.
    pub(super) mended: Vec<String>,
    /// How long the look took, in milliseconds.
    duration_ms: u64,
    #[serde(skip)]
    exit: Exit,
}

impl Check {
    pub(super) fn new(id: &'static str, finding: Finding, fixer: Fixer, took: Duration) -> Self {
        let Finding { status, detail, remedy, exit } = finding;
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { id, status, detail, remedy, mended: fixer.mended, duration_ms, exit }
    }
}

/// All checks, in their order.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Of all of it.
    pub(super) checks: Vec<Check>,
}

impl Report {
    /// How one of them ended.
    pub(super) fn status_of(&self, id: &str) -> Option<Status> {
        self.checks.iter().find(|check| check.id == id).map(|check| check.status)
    }

    /// How many ended so.
    pub(super) fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// The check to see to first: the first failure, since later ones may follow from it, else the first warning.
    pub(super) fn first(&self) -> Option<&Check> {
        let first = |status| self.checks.iter().find(|check| check.status == status);
        first(Status::Fail).or_else(|| first(Status::Warn))
    }

    /// That of the first failure; warnings are no failure.
    pub(super) fn exit(&self) -> Exit {
        self.first().map_or(Exit::Success, |check| check.exit)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let first = self.first();
        let mut report = serializer.serialize_struct("Report", 5)?;
        report.serialize_field("build", BUILD)?;
        report.serialize_field("status", &first.map_or(Status::Ok, |check| check.status))?;
        report.serialize_field("first", &first.map(|check| check.id))?;
        report.serialize_field("next", &first.and_then(|check| check.remedy.as_ref()))?;
        report.serialize_field("checks", &self.checks)?;
        report.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &'static str, finding: Finding) -> Check {
        Check::new(id, finding, Fixer::new(false), Duration::from_millis(3))
    }

    #[test]
    fn the_first_failure_decides_and_warnings_are_no_failure() {
        let mut report = Report::default();
        report.checks.push(check("a", Finding::warn("w", "do w")));
        assert_eq!((report.exit(), report.first().unwrap().id), (Exit::Success, "a"));
        report.checks.push(check("b", Finding::fail("f", "do f", Exit::SignedOut)));
        report.checks.push(check("c", Finding::fail("g", "do g", Exit::Network)));
        assert_eq!((report.exit(), report.first().unwrap().id), (Exit::SignedOut, "b"));
    }

    #[test]
    fn of_several_the_worst_counts_and_all_bad_ones_are_said() {
        let several = vec![
            Finding::ok("x"),
            Finding::warn("one", "do one"),
            Finding::fail("two", "do two", Exit::Failure),
            Finding::fail("three", "do three", Exit::Failure),
        ];
        let worst = Finding::worst(several, "fine");
        assert_eq!((worst.status, worst.detail.as_str()), (Status::Fail, "one; two; three"));
        assert_eq!(worst.remedy.as_deref(), Some("do two"));
        assert_eq!(Finding::worst(vec![Finding::skip("x")], "fine").detail, "fine");
    }

    #[test]
    fn nothing_is_changed_without_being_asked_for() {
        let mut changed = false;
        let mut fixer = Fixer::new(false);
        let found = fixer.mend(Finding::warn("open", ""), "chmod 700 x", || {
            changed = true;
            Ok(())
        });
        assert_eq!((changed, found.status), (false, Status::Warn));
        assert_eq!(found.remedy.as_deref(), Some("run `codex-oauth doctor --fix`: chmod 700 x"));
        let mut fixer = Fixer::new(true);
        let found = fixer
            .mend(Finding::warn("open", ""), "chmod 700 x", || Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!((found.status, found.remedy.as_deref()), (Status::Warn, Some("chmod 700 x")));
        assert!(fixer.mended.is_empty(), "what failed was not done");
    }
}
