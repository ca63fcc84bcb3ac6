//! The story of a question in plain words, out of its trace.

use std::fmt::Write as _;
use std::time::Duration;

use crate::api::trace::{Attempt, Phases, Trace};
use crate::api::turn::TurnStatus;
use crate::people::{errors, words};
use crate::{Surface, WireError};

/// Shorter than this is no wait that is worth a word.
const NOTICEABLE_MS: u64 = 50;

/// Tells it, in lines of at most 80 columns. `now`: Unix seconds.
pub fn story(trace: &Trace, now: u64, surface: Surface) -> String {
    let began = trace.began_at / 1_000;
    let clock = words::clock(began, now, &words::system_zone()).unwrap_or_default();
    let account = trace.account.as_ref().map_or_else(String::new, |name| format!(" · account {name}"));
    let ago = words::span(now.saturating_sub(began));
    let mut text = String::new();
    line(&mut text, "question", &format!("{} · {clock}, {ago} ago{account}", trace.turn_id));
    line(&mut text, "asked", &asked(trace));
    line(&mut text, "outcome", &outcome(trace));
    text.push('\n');
    for (at, what) in events(trace) {
        line(&mut text, &at.map(millis).unwrap_or_default(), &what);
    }
    if let Some(most) = most(trace) {
        text.push('\n');
        line(&mut text, "most of it", &most);
    }
    if let Some(error) = &trace.error {
        text.push('\n');
        line(&mut text, "meaning", errors::entry(error.code).meaning);
        if let Some(step) = &error.next_step {
            line(&mut text, "next", &step.render(surface));
        }
    }
    text
}

/// One line for a list: the short id, when, the model, how long it took, and how it ended.
pub fn row(trace: &Trace, now: u64) -> [String; 5] {
    let ended = match (&trace.error, trace.status) {
        (Some(error), TurnStatus::Failed) => word(error),
        (_, TurnStatus::Interrupted) => "called off".to_owned(),
        _ => "answered".to_owned(),
    };
    [
        crate::error::short_id(&trace.turn_id).to_owned(),
        format!("{} ago", words::span(now.saturating_sub(trace.began_at / 1_000))),
        trace.model.clone().unwrap_or_else(|| "-".to_owned()),
        trace.phases.done_ms.map(millis).unwrap_or_default(),
        ended,
    ]
}

fn asked(trace: &Trace) -> String {
    let mut parts = vec![trace.model.clone().unwrap_or_else(|| "the default model".to_owned())];
    parts.extend(trace.effort.clone());
    parts.push(bytes(trace.question_bytes));
    parts.join(" · ")
}

fn outcome(trace: &Trace) -> String {
    let came = match trace.answer_bytes {
        0 => String::new(),
        some => format!("; {} of the answer had come", bytes(some)),
    };
    match (&trace.error, trace.status) {
        (Some(error), TurnStatus::Failed) => {
            format!("failed ({}): {}{came}", word(error), error.message.trim_end_matches('.'))
        }
        (_, TurnStatus::Interrupted) => format!("called off{came}"),
        _ => {
            let tokens = trace
                .usage
                .map_or_else(String::new, |usage| format!(", {} tok", words::thousands(usage.total_tokens)));
            format!("answered: {}{tokens}", bytes(trace.answer_bytes))
        }
    }
}

/// What happened when. A line without a time belongs to the one before.
fn events(trace: &Trace) -> Vec<(Option<u64>, String)> {
    let Phases { queued_ms, token_ms, first_token_ms, done_ms, .. } = trace.phases;
    let mut events = vec![(Some(0), "taken on".to_owned())];
    let queued = queued_ms.unwrap_or_default();
    if queued >= NOTICEABLE_MS {
        events.push((queued_ms, "its turn came: until then other questions were served".to_owned()));
    }
    match token_ms {
        Some(token) if token.saturating_sub(queued) >= NOTICEABLE_MS => {
            events
                .push((token_ms, format!("had an access token; getting it took {}", millis(token - queued))));
        }
        Some(_) => events.push((token_ms, "had an access token".to_owned())),
        None => events.push((None, "it never had an access token".to_owned())),
    }
    if trace.attempts.is_empty() {
        events.push((None, "nothing was sent to OpenAI".to_owned()));
    }
    for (at, attempt) in trace.attempts.iter().enumerate() {
        of_attempt(&mut events, at, attempt);
        if let Some(took) = renewal(trace, at) {
            let is_last = at + 1 == trace.attempts.len();
            let how =
                if is_last { "no other access token was to be had" } else { "had another access token" };
            events.push((None, format!("{how}; asking for it took {}", millis(took))));
        }
    }
    if let Some(first) = first_token_ms {
        events.push((Some(first), "the answer began".to_owned()));
    }
    let end = match trace.status {
        TurnStatus::Completed => "the answer was whole",
        TurnStatus::Interrupted => "it was called off",
        TurnStatus::Failed | TurnStatus::Unknown => "it failed",
    };
    events.push((done_ms, end.to_owned()));
    events
}

fn of_attempt(events: &mut Vec<(Option<u64>, String)>, at: usize, attempt: &Attempt) {
    let again = if at == 0 { "sent".to_owned() } else { format!("sent again, for the {} time", nth(at + 1)) };
    let connection = attempt
        .connect_ms
        .map_or_else(String::new, |took| format!(", over a new connection, which took {}", millis(took)));
    events.push((Some(attempt.sent_ms), again + &connection));
    let id = attempt.request_id.as_ref().map_or_else(String::new, |id| format!(", request id {id}"));
    if let (Some(came), Some(status)) = (attempt.first_byte_ms, attempt.status) {
        events.push((Some(came), format!("OpenAI answered with HTTP {status}{id}")));
    }
    if let Some(failure) = &attempt.failure {
        events.push((None, format!("this failed: {failure}")));
    }
    if let Some(wait) = attempt.wait_ms {
        events.push((None, format!("waited {} before trying again", millis(wait))));
    }
}

/// How long the attempt `at`, whose access token was refused, waited for another one; `None`: it did not. Only the first is
/// renewed.
fn renewal(trace: &Trace, at: usize) -> Option<u64> {
    const UNAUTHORIZED: Option<u16> = Some(401);
    let refused = |attempt: &Attempt| attempt.status == UNAUTHORIZED;
    let first = trace.attempts.iter().position(refused).filter(|first| *first == at)?;
    let ended = trace.attempts.get(first + 1).map(|next| next.sent_ms).or(trace.phases.done_ms)?;
    Some(ended.saturating_sub(trace.attempts[first].first_byte_ms?))
}

/// What took more than half of the time, where that is worth a word.
fn most(trace: &Trace) -> Option<String> {
    /// Nobody wonders about less.
    const WORTH_MS: u64 = 500;
    let phases = &trace.phases;
    let done = phases.done_ms.filter(|done| *done >= WORTH_MS)?;
    let queued = phases.queued_ms.unwrap_or_default();
    let token = phases.token_ms.unwrap_or(done);
    let sent = phases.sent_ms.unwrap_or(if phases.token_ms.is_some() { done } else { token });
    let connecting = trace.attempts.iter().filter_map(|attempt| attempt.connect_ms).sum::<u64>();
    let heads = trace.attempts.iter().filter_map(|attempt| {
        Some(attempt.first_byte_ms?.saturating_sub(attempt.sent_ms + attempt.connect_ms.unwrap_or(0)))
    });
    let answered =
        trace.attempts.last().filter(|last| last.status.is_some_and(|it| (200..300).contains(&it)));
    let last_head = answered.and_then(|attempt| attempt.first_byte_ms);
    let renewals = (0..trace.attempts.len()).filter_map(|at| renewal(trace, at));
    let thought = last_head.map(|head| phases.first_token_ms.unwrap_or(done).saturating_sub(head));
    let parts = [
        ("waiting for other questions", queued),
        ("getting an access token", token.saturating_sub(queued)),
        ("reading the list of models", sent.saturating_sub(token)),
        ("getting another access token", renewals.sum()),
        ("waiting to try again", trace.attempts.iter().filter_map(|attempt| attempt.wait_ms).sum()),
        ("connecting to OpenAI", connecting),
        ("waiting for OpenAI's first byte", heads.sum()),
        ("waiting for the first word: the model thought", thought.unwrap_or_default()),
        ("the answer itself", phases.first_token_ms.map_or(0, |first| done.saturating_sub(first))),
    ];
    let (what, took) = parts.into_iter().max_by_key(|(_, took)| *took)?;
    (took * 2 > done).then(|| format!("{what} ({} of {})", millis(took), millis(done)))
}

fn line(story: &mut String, label: &str, text: &str) {
    writeln!(story, "{}", words::labelled(label, text)).unwrap_or_default();
}

/// `240 ms`, `1.2 s`, `3 min 20 s`.
fn millis(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { words::duration(Duration::from_millis(ms)) }
}

fn bytes(count: u64) -> String {
    words::count(count, "byte")
}

fn nth(number: usize) -> String {
    match number {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        other => format!("{other}th"),
    }
}

fn word(error: &WireError) -> String {
    let word = serde_json::to_value(error.code).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorCode, NextStep, Retry};

    fn trace() -> Trace {
        Trace {
            turn_id: "9a8b7c6d5e4f".to_owned(),
            began_at: 1_795_348_800_000,
            status: TurnStatus::Completed,
            account: None,
            model: Some("gpt-6.1-sol".to_owned()),
            effort: Some("low".to_owned()),
            question_bytes: 42,
            answer_bytes: 1_200,
            usage: None,
            phases: Phases {
                queued_ms: Some(0),
                token_ms: Some(820),
                sent_ms: Some(830),
                first_byte_ms: Some(1_100),
                first_token_ms: Some(4_600),
                done_ms: Some(13_000),
            },
            attempts: vec![
                Attempt {
                    sent_ms: 830,
                    connect_ms: Some(120),
                    first_byte_ms: Some(1_100),
                    status: Some(503),
                    request_id: Some("req_1".to_owned()),
                    failure: Some("the selected model is at capacity".to_owned()),
                    wait_ms: Some(2_900),
                },
                Attempt {
                    sent_ms: 4_000,
                    first_byte_ms: Some(4_100),
                    status: Some(200),
                    ..Attempt::default()
                },
            ],
            error: None,
        }
    }

    #[test]
    fn a_refused_token_is_told_with_the_time_that_another_one_took() {
        let refused = Attempt {
            sent_ms: 1,
            first_byte_ms: Some(2),
            status: Some(401),
            failure: Some("the access token was refused".to_owned()),
            ..Attempt::default()
        };
        let told = Trace {
            status: TurnStatus::Failed,
            answer_bytes: 0,
            phases: Phases { token_ms: Some(0), sent_ms: Some(1), done_ms: Some(3_000), ..Phases::default() },
            attempts: vec![refused.clone()],
            error: Some(WireError::daemon(ErrorCode::LoginExpired, Retry::Never, "Token expired")),
            ..trace()
        };
        let text = body(&told);
        assert!(text.contains("no other access token was to be had; asking for it took 3.0 s\n"), "{text}");
        assert!(text.contains("most of it getting another access token (3.0 s of 3.0 s)\n"), "{text}");
        let again =
            Attempt { sent_ms: 900, first_byte_ms: Some(950), status: Some(200), ..Attempt::default() };
        let text = body(&Trace {
            attempts: vec![refused, again],
            error: None,
            status: TurnStatus::Completed,
            ..told
        });
        assert!(text.contains("had another access token; asking for it took 898 ms\n"), "{text}");
    }

    fn body(trace: &Trace) -> String {
        let told = story(trace, trace.began_at / 1_000 + 60, Surface::Shell);
        assert!(told.lines().all(|line| line.chars().count() <= words::COLUMNS), "{told}");
        told.split_once("\noutcome").unwrap().1.to_owned()
    }

    #[test]
    fn a_turn_that_was_sent_twice_is_told_in_order_with_what_took_most_of_it() {
        let expected = "    answered: 1200 bytes\n\
            \n\
            0 ms       taken on\n\
            820 ms     had an access token; getting it took 820 ms\n\
            830 ms     sent, over a new connection, which took 120 ms\n\
            1.1 s      OpenAI answered with HTTP 503, request id req_1\n\
            \u{20}          this failed: the selected model is at capacity\n\
            \u{20}          waited 2.9 s before trying again\n\
            4.0 s      sent again, for the second time\n\
            4.1 s      OpenAI answered with HTTP 200\n\
            4.6 s      the answer began\n\
            13 s       the answer was whole\n\
            \n\
            most of it the answer itself (8.4 s of 13 s)\n";
        assert_eq!(body(&trace()), expected);
    }

    #[test]
    fn a_failure_ends_with_what_it_means_and_the_one_next_step() {
        let error =
            WireError::daemon(ErrorCode::NotLoggedIn, Retry::Never, "Not authenticated: nobody is signed in");
        let failed = Trace {
            status: TurnStatus::Failed,
            answer_bytes: 0,
            attempts: Vec::new(),
            phases: Phases { queued_ms: Some(0), done_ms: Some(1), ..Phases::default() },
            error: Some(error.next(NextStep::Login)),
            ..trace()
        };
        let told = body(&failed);
        assert!(told.contains("failed (not_logged_in): Not authenticated"), "{told}");
        assert!(
            told.contains("it never had an access token\n") && told.contains("nothing was sent to OpenAI")
        );
        assert!(
            told.ends_with("meaning    Nobody is signed in.\nnext       run `codex-oauth login`\n"),
            "{told}"
        );
    }
}
