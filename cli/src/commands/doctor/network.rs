//! The way to OpenAI, as the daemon goes it, and what the answers say of this machine's clock.

use std::time::{Duration, SystemTime};

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::probe::{Chosen, DaemonProbe, ProbeResult, Service, Way};
use codex_oauth_proto::people::words::span;
use codex_oauth_proto::{Client, ErrorCode, NextStep, Surface, WireError};

use super::report::Finding;
use crate::exit::Exit;

/// Less than the five minutes before its end in which a token is renewed, and more than any network takes.
const CLOCK_MAY_DIFFER_SECONDS: u64 = 120;

/// What came of the try; an older daemon does not know it.
pub(super) type Tried = Result<ProbeResult, WireError>;

/// Has the daemon try both ways. Carries no token.
pub(super) fn probe(client: &mut Client) -> Tried {
    client.call::<DaemonProbe>(&Empty {})
}

/// The clock against those of the servers.
pub(super) fn clock(tried: &Tried) -> Finding {
    let step = NextStep::SetClock.render(Surface::Shell);
    let ways = tried.as_ref().map_or(&[][..], |tried| &tried.ways);
    let judged = ways.iter().filter_map(|way| way.error.as_ref());
    if let Some(error) = judged.into_iter().find(|error| error.next_step == Some(NextStep::SetClock)) {
        return Finding::fail(error.message.clone(), step, Exit::Network);
    }
    let most = ways.iter().filter_map(|way| way.clock_ahead_seconds).max_by_key(|ahead| ahead.unsigned_abs());
    match most {
        Some(ahead) if ahead.unsigned_abs() > CLOCK_MAY_DIFFER_SECONDS => {
            let which = if ahead > 0 { "ahead of" } else { "behind" };
            let by = span(ahead.unsigned_abs());
            Finding::warn(format!("the clock of this machine is {by} {which} OpenAI's"), step)
        }
        Some(ahead) => Finding::ok(format!("within {} of OpenAI's", span(ahead.unsigned_abs().max(1)))),
        None if is_before_the_installation() => Finding::warn(
            "the clock of this machine stands before the day on which this program was installed",
            step,
        ),
        None => Finding::ok("not before this program was installed; OpenAI's is not known"),
    }
}

/// Without an answer only this much can be said.
fn is_before_the_installation() -> bool {
    let installed = std::env::current_exe().and_then(|exe| exe.metadata()).and_then(|found| found.modified());
    installed.is_ok_and(|installed| installed > SystemTime::now())
}

/// One of the ways, and how long the daemon took for it.
pub(super) fn way(tried: &Tried, service: Service) -> (Finding, Duration) {
    let tried = match tried {
        Ok(tried) => tried,
        Err(error) if error.code == ErrorCode::MethodNotFound => {
            return (Finding::skip("the daemon is of an older build and cannot try it"), Duration::ZERO);
        }
        Err(error) => return (Finding::error(error), Duration::ZERO),
    };
    let Some(way) = tried.ways.iter().find(|way| way.service == service) else {
        return (Finding::skip("the daemon did not try it"), Duration::ZERO);
    };
    let finding = way.error.as_ref().map_or_else(|| Finding::ok(goes(way)), Finding::error);
    (finding, Duration::from_millis(way.took_ms))
}

/// `https://chatgpt.com, 40 ms, through http://proxy:3128 (HTTPS_PROXY)`.
fn goes(way: &Way) -> String {
    let by = |chosen: &Chosen| format!("{} ({})", chosen.value, chosen.by);
    let proxy = way.proxy.as_ref().map_or_else(String::new, |proxy| format!(", through {}", by(proxy)));
    let ca = way.ca_file.as_ref().map_or_else(String::new, |file| format!(", roots also of {}", by(file)));
    format!("{}, {} ms{proxy}{ca}", origin(&way.url), way.took_ms)
}

/// An address without its path.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    fn answered(clock_ahead_seconds: Option<i64>) -> Way {
        Way {
            service: Service::Backend,
            url: "https://chatgpt.com/backend-api/codex/models".to_owned(),
            proxy: Some(Chosen { value: "http://p:3128".to_owned(), by: "HTTPS_PROXY".to_owned() }),
            direct: None,
            ca_file: None,
            steps: Vec::new(),
            certificate_issuer: None,
            http_status: Some(401),
            clock_ahead_seconds,
            took_ms: 40,
            error: None,
        }
    }

    #[test]
    fn a_clock_is_judged_by_the_answer_that_differs_most() {
        for (ahead, status) in
            [(Some(3), Status::Ok), (Some(-121), Status::Warn), (Some(90_000), Status::Warn)]
        {
            let tried = Ok(ProbeResult { ways: vec![answered(Some(0)), answered(ahead)] });
            assert_eq!(clock(&tried).status, status, "{ahead:?}");
        }
        assert!(clock(&Ok(ProbeResult { ways: vec![answered(None)] })).status < Status::Warn);
    }

    #[test]
    fn a_way_is_told_with_its_proxy_and_who_chose_it() {
        assert_eq!(goes(&answered(None)), "https://chatgpt.com, 40 ms, through http://p:3128 (HTTPS_PROXY)");
        assert_eq!(origin("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }
}
