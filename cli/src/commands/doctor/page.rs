//! The report for a terminal: a line a check, the bad ones last with their remedies, then the one next step; 80 columns.

use super::report::{Check, Report, Status};
use codex_oauth_proto::people::words::folded;

/// A terminal's.
const COLUMNS: usize = 80;

/// Before what is said: `warn  credentials  `.
const MARGIN: usize = 19;

/// The whole page. What is bad comes last: on a small terminal the beginning is out of sight.
pub(super) fn render(report: &Report) -> String {
    let mut checks: Vec<&Check> = report.checks.iter().collect();
    checks.sort_by_key(|check| match check.status {
        Status::Ok | Status::Skip => 0,
        Status::Warn => 1,
        Status::Fail => 2,
    });
    let mut page: String = checks.into_iter().map(lines).collect();
    page.push('\n');
    page.push_str(&row("", "", &counts(report)));
    let next = match report.first() {
        None => "nothing: ask something, `codex-oauth ask \"...\"`".to_owned(),
        Some(first) => format!("({}) {}", first.id, first.remedy.as_deref().unwrap_or_default()),
    };
    page + &row("next", "", &next)
}

fn lines(check: &Check) -> String {
    let mut text = row(mark(check.status), check.id, &check.detail);
    for mended in &check.mended {
        text += &row("", "", &format!("done: {mended}"));
    }
    if let Some(remedy) = &check.remedy {
        text += &row("", "", &format!("next: {remedy}"));
    }
    text
}

/// Below each other what does not fit. A word that is wider by itself, a path, stays whole.
fn row(mark: &str, id: &str, text: &str) -> String {
    let text = folded(text, COLUMNS - MARGIN).replace('\n', &format!("\n{:MARGIN$}", ""));
    format!("{mark:<6}{id:<13}{text}\n")
}

const fn mark(status: Status) -> &'static str {
    match status {
        Status::Skip => "-",
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "FAIL",
    }
}

/// `12 ok, 1 warning, 1 failed, 2 skipped`, without what there is none of.
fn counts(report: &Report) -> String {
    let part = |status, one: &str, more: &str| match report.count(status) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    };
    let parts = [
        part(Status::Ok, "ok", "ok"),
        part(Status::Warn, "warning", "warnings"),
        part(Status::Fail, "failed", "failed"),
        part(Status::Skip, "skipped", "skipped"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::report::{Finding, Fixer};
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_page_fits_a_terminal_and_ends_with_the_next_step() {
        let check = |id, finding| Check::new(id, finding, Fixer::new(false), Duration::ZERO);
        let long =
            "what is so, at such a length that it does not fit into what is left of a line of eighty columns";
        let report = Report {
            checks: vec![
                check("programs", Finding::ok("0.1.0")),
                check("credentials", Finding::fail(long, "run `codex-oauth login`", Exit::SignedOut)),
                check("plugin", Finding::skip("no `claude` on PATH")),
            ],
        };
        let page = render(&report);
        assert_eq!(
            page,
            "ok    programs     0.1.0\n\
             -     plugin       no `claude` on PATH\n\
             FAIL  credentials  what is so, at such a length that it does not fit into what\n\
             \x20                  is left of a line of eighty columns\n\
             \x20                  next: run `codex-oauth login`\n\
             \n\
             \x20                  1 ok, 1 failed, 1 skipped\n\
             next               (credentials) run `codex-oauth login`\n"
        );
        assert!(page.lines().all(|line| line.chars().count() <= COLUMNS));
    }
}
