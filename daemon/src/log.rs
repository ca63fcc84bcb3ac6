//! Where log lines go and what may be in them: standard error, never a token, never a prompt.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Crates that print request bodies, headers or whole messages below WARN. No filter lowers them.
const CAPPED: &[&str] =
    &["h2", "hyper", "hyper_util", "reqwest", "rmcp", "rustls", "rustls_platform_verifier"];

/// Starts logging with `filter`, such as `info` or `info,codex_oauthd::auth=debug`.
///
/// # Errors
/// Why the filter cannot be used.
pub(crate) fn start(filter: &str) -> Result<(), String> {
    let targets: Targets =
        filter.parse().map_err(|error| format!("could not use the log filter `{filter}`: {error}"))?;
    let line = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // A second start, in tests, keeps the first.
    let _already_started = tracing_subscriber::registry().with(line).with(capped(targets)).try_init();
    Ok(())
}

/// The longest directive that fits a target wins, so one about a part of a capped crate would undo the cap.
fn capped(targets: Targets) -> Targets {
    let default = targets.default_level().unwrap_or(LevelFilter::OFF);
    let is_capped = |target: &str| CAPPED.iter().any(|name| target.starts_with(name));
    let others = targets.into_iter().filter(|(target, _)| !is_capped(target));
    let caps = CAPPED.iter().map(|name| ((*name).to_owned(), LevelFilter::WARN));
    Targets::new().with_default(default).with_targets(others.chain(caps))
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
    fn a_filter_still_does_what_it_says_for_our_own_lines() {
        let targets = capped("info,codex_oauthd::auth=debug".parse().unwrap());
        assert!(targets.would_enable("codex_oauthd::auth::login", &Level::DEBUG));
        assert!(targets.would_enable("codex_oauthd::server", &Level::INFO));
        assert!(!targets.would_enable("codex_oauthd::server", &Level::DEBUG));
    }
}
