//! Where log lines go and what may be in them: standard error, never a token, never a prompt.
//!
//! Promises: whoever logs never waits; what could not be written is counted; a log that is ours stays below 30 MiB.

mod fields;
mod file;
mod sink;

use std::path::Path;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::fields::Fields;
use self::file::LogFile;
use self::sink::{Sink, Target};
use crate::debug;

/// Crates that print request bodies, headers or whole messages below WARN. No filter lowers them.
const CAPPED: &[&str] =
    &["h2", "hyper", "hyper_util", "reqwest", "rmcp", "rustls", "rustls_platform_verifier"];

/// The daemon's log; every clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct Log(Sink);

impl Log {
    /// Starts logging with `filter`, such as `info` or `info,codex_oauthd::auth=debug`. Lines go to standard error; when
    /// that leads to `own`, the file is ours to keep small.
    ///
    /// # Errors
    /// Why the filter cannot be used, or no log can be kept.
    pub(crate) fn start(filter: &str, own: &Path) -> Result<Self, String> {
        let targets: Targets =
            filter.parse().map_err(|error| format!("could not use the log filter `{filter}`: {error}"))?;
        let target = match LogFile::behind_stderr(own) {
            Ok(Some(file)) => Target::File(file),
            // The second: what the starter opened can still be written.
            Ok(None) | Err(_) => Target::Stderr,
        };
        let sink = Sink::start(target).map_err(|error| format!("could not start the log: {error}"))?;
        let line =
            tracing_subscriber::fmt::layer().fmt_fields(Fields).with_writer(sink.clone()).with_ansi(false);
        // The journal has its own times.
        let line = if is_journal() { line.without_time().boxed() } else { line.boxed() };
        // A second start, in tests, keeps the first.
        let _already_started = tracing_subscriber::registry().with(line).with(capped(targets)).try_init();
        Ok(Self(sink))
    }

    /// Lines that could not be written, since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost()
    }

    /// Opens the file again, for whoever has moved it.
    pub(crate) fn reopen(&self) {
        self.0.reopen();
    }

    /// Waits, within a bound, until everything so far is written.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }

    /// The same for a task. False: the bound was reached.
    pub(crate) async fn flushed(&self) -> bool {
        self.0.flushed().await
    }
}

/// Whether standard error leads to the journal: systemd names its device and inode (systemd.exec(5)).
#[cfg(unix)]
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|found| named == format!("{}:{}", found.st_dev, found.st_ino))
}

#[cfg(windows)]
const fn is_journal() -> bool {
    false
}

/// The longest directive that fits a target wins, so one about a part of a capped crate would undo the cap.
fn capped(targets: Targets) -> Targets {
    let default = targets.default_level().unwrap_or(LevelFilter::OFF);
    let is_capped = |target: &str| CAPPED.iter().any(|name| target.starts_with(name));
    let others = targets.into_iter().filter(|(target, _)| !is_capped(target));
    let caps = CAPPED.iter().map(|name| ((*name).to_owned(), LevelFilter::WARN));
    // What a session asked for is not hidden by a filter that does not name it.
    let debug = std::iter::once((debug::TARGET.to_owned(), LevelFilter::INFO));
    Targets::new().with_default(default).with_targets(debug.chain(others).chain(caps))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn no_filter_lets_a_library_print_what_it_carries() {
        for filter in [
            "trace",
            "rmcp=trace,hyper=debug",
            "trace,reqwest=trace",
            "rmcp::service=trace",
            "info,hyper::proto=trace,h2::codec=debug",
            "rm=trace,r=trace",
        ] {
            let targets = capped(filter.parse().unwrap());
            for name in CAPPED {
                for target in [(*name).to_owned(), format!("{name}::service"), format!("{name}::proto::h1")] {
                    assert!(!targets.would_enable(&target, &Level::INFO), "{target} under {filter}");
                }
            }
        }
    }

    #[test]
    fn what_a_session_asked_for_is_hidden_only_by_its_name() {
        for (filter, shown) in [
            ("warn", true),
            ("off", true),
            ("codex_oauthd=warn", true),
            ("info,codex_oauthd::debug=off", false),
        ] {
            let targets = capped(filter.parse().unwrap());
            assert_eq!(targets.would_enable(debug::TARGET, &Level::INFO), shown, "{filter}");
        }
    }

    #[test]
    fn a_filter_still_does_what_it_says_for_our_own_lines() {
        let targets = capped("info,codex_oauthd::auth=debug".parse().unwrap());
        assert!(targets.would_enable("codex_oauthd::auth::login", &Level::DEBUG));
        assert!(targets.would_enable("codex_oauthd::server", &Level::INFO));
        assert!(!targets.would_enable("codex_oauthd::server", &Level::DEBUG));
    }
}
