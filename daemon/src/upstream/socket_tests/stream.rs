//! Streams that are cut, idle, split, or no longer wanted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::server::{COMPLETED, CREATED, Step, chunk, delta, done, good, stream_end, stream_head};
use super::*;
use crate::sleep::Clocks;

#[tokio::test]
async fn however_the_stream_is_split_the_answer_is_the_same() {
    let server = Server::of_turns(|_, _| {
        let body = format!("{CREATED}{}{}{}{COMPLETED}", delta("he"), delta("llo"), done("hello"));
        let pieces = body.as_bytes().chunks(7).map(|piece| chunk(std::str::from_utf8(piece).expect("ASCII")));
        std::iter::once(stream_head(&[])).chain(pieces).chain([stream_end()]).collect()
    })
    .await;
    let (outcome, events) = respond(&upstream(&server)).await;
    assert_eq!(outcome.expect("an answer").text, "hello");
    let shown: String = events
        .iter()
        .filter_map(|event| match event {
            UpstreamEvent::TextDelta { text } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(shown, "hello");
}

#[tokio::test]
async fn a_cut_stream_is_interrupted_keeps_its_text_and_is_not_resent() {
    for (body, partial) in [(CREATED.to_owned(), None), (format!("{CREATED}{}", delta("half")), Some("half"))]
    {
        let server = Server::of_turns(move |_, _| vec![stream_head(&[]), chunk(&body), Step::Cut]).await;
        let error = respond(&upstream(&server)).await.0.expect_err("a cut");
        assert!(matches!(error.kind, ErrorKind::Interrupted { events: 1.., bytes: 1.. }), "{error:?}");
        assert_eq!((error.retry, error.partial_text.as_deref()), (Retry::Unknown, partial));
        assert_eq!(server.requests("codex/responses").len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_a_terminal_event_is_interrupted() {
    let server = Server::of_turns(|_, _| {
        vec![stream_head(&[]), chunk(&format!("{CREATED}{}", done("half"))), stream_end()]
    })
    .await;
    let error = respond(&upstream(&server)).await.0.expect_err("no terminal event");
    assert!(matches!(error.kind, ErrorKind::Interrupted { events: 2, .. }), "{error:?}");
    assert_eq!(error.partial_text.as_deref(), Some("half"));
}

#[tokio::test]
async fn a_silent_stream_is_idle_and_closed() {
    let mut server = Server::of_turns(|_, _| {
        vec![stream_head(&[]), chunk(&format!("{CREATED}{}", delta("half"))), Step::Hold]
    })
    .await;
    let limits = Limits { stream_idle: Duration::from_millis(100), ..short_limits() };
    let error = respond(&upstream_at(server.url(), limits)).await.0.expect_err("silence");
    assert_eq!(error.kind, ErrorKind::StreamIdle { after: Duration::from_millis(100) });
    assert_eq!((error.retry, error.partial_text.as_deref()), (Retry::Unknown, Some("half")));
    server.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn dropping_the_turn_closes_its_connection() {
    let mut server = Server::of_turns(|_, _| vec![stream_head(&[]), chunk(CREATED), Step::Hold]).await;
    let upstream = upstream(&server);
    let (mut sender, mut receiver) = mpsc::channel(1);
    let (grant, request) = (grant(), request());
    tokio::select! {
        outcome = upstream.respond(&grant, &request, &mut sender) => panic!("{outcome:?}"),
        head = receiver.recv() => assert!(matches!(head, Some(UpstreamEvent::Headers { .. }))),
    }
    server.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn a_turn_that_nobody_listens_to_goes_on() {
    let server = Server::of_turns(|_, _| good("kept")).await;
    let (mut sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let completed = upstream(&server).respond(&grant(), &request(), &mut sender).await.expect("an answer");
    assert_eq!(completed.text, "kept");
}

#[tokio::test]
async fn after_its_terminal_event_the_rest_is_not_waited_for() {
    let mut server = Server::of_turns(|_, _| {
        vec![stream_head(&[]), chunk(&format!("{CREATED}{}{COMPLETED}", done("a"))), Step::Hold]
    })
    .await;
    assert_eq!(respond(&upstream(&server)).await.0.expect("an answer").text, "a");
    server.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn turns_that_end_properly_share_one_connection() {
    let server = Server::of_turns(|_, _| good("x")).await;
    let upstream = upstream(&server);
    for _ in 0..3 {
        respond(&upstream).await.0.expect("an answer");
    }
    let mut connections: Vec<usize> = server.requests("").iter().map(|request| request.connection).collect();
    connections.dedup();
    assert_eq!(connections, [0]);
}

#[tokio::test]
async fn a_word_behind_the_terminal_event_does_not_cost_the_connection() {
    let server = Server::of_turns(|_, _| {
        let answer = format!("{CREATED}{}{COMPLETED}", done("a"));
        let steps = [stream_head(&[]), chunk(&answer), chunk("data: [DONE]\n\n"), stream_end()];
        // In one write: what is there at once is what counts.
        let bytes = steps.into_iter().flat_map(|step| match step {
            Step::Write(bytes) => bytes,
            Step::Cut | Step::Hold => Vec::new(),
        });
        vec![Step::Write(bytes.collect())]
    })
    .await;
    let upstream = upstream(&server);
    for _ in 0..3 {
        respond(&upstream).await.0.expect("an answer");
    }
    assert!(server.requests("").iter().all(|request| request.connection == 0));
}

/// Clocks whose wall is `slept` ahead, and how to let the computer sleep.
fn clocks() -> (Clocks, Arc<AtomicU64>) {
    let slept = Arc::new(AtomicU64::new(0));
    let seconds = Arc::clone(&slept);
    let clocks =
        Clocks::with_wall(move || SystemTime::now() + Duration::from_secs(seconds.load(Ordering::Relaxed)));
    (clocks, slept)
}

#[tokio::test]
async fn a_stream_that_is_silent_after_a_sleep_is_lost_and_keeps_its_text() {
    let mut server = Server::of_turns(|_, _| {
        vec![stream_head(&[]), chunk(&format!("{CREATED}{}", delta("half"))), Step::Hold]
    })
    .await;
    let (clocks, slept) = clocks();
    let limits = Limits { after_wake: Duration::from_millis(20), ..short_limits() };
    let upstream =
        Upstream::with_clocks(config(server.url()), limits, clocks).expect("a usable configuration");
    let (grant, request) = (grant(), request());
    let (mut sender, mut events) = mpsc::channel(8);
    let sleeping = async {
        while !matches!(events.recv().await, Some(UpstreamEvent::TextDelta { .. })) {}
        slept.store(7_200, Ordering::Relaxed);
    };
    let (outcome, ()) = tokio::join!(upstream.respond(&grant, &request, &mut sender), sleeping);
    let error = outcome.expect_err("silence");
    let ErrorKind::LostInSleep { slept } = error.kind else { panic!("{error:?}") };
    assert!(slept.as_secs().abs_diff(7_200) < 60, "{slept:?}");
    assert_eq!((error.retry, error.partial_text.as_deref()), (Retry::Unknown, Some("half")));
    assert_eq!(server.requests("codex/responses").len(), 1, "it may have been carried out");
    server.closed.recv().await.expect("the connection is closed");
}

#[tokio::test]
async fn a_question_that_nobody_has_answered_before_a_sleep_does_not_wait_on_after_it() {
    let (clocks, slept) = clocks();
    let server = Server::of_turns(move |_, _| {
        slept.store(7_200, Ordering::Relaxed);
        vec![Step::Hold]
    })
    .await;
    let limits = Limits {
        after_wake: Duration::from_millis(20),
        response_head: Duration::from_secs(3_600),
        ..short_limits()
    };
    let upstream = Upstream::with_clocks(config(server.url()), limits, clocks).expect("usable");
    let answered = tokio::time::timeout(Duration::from_secs(60), respond(&upstream)).await;
    let error = answered.expect("an end long before that of the wait for a head").0.expect_err("silence");
    assert!(matches!(error.kind, ErrorKind::LostInSleep { .. }), "{error:?}");
    assert_eq!(error.retry, Retry::Unknown);
    assert_eq!(server.requests("codex/responses").len(), 1, "it may have been carried out");
}

#[tokio::test]
async fn after_a_sleep_the_next_turn_gets_a_new_connection() {
    let server = Server::of_turns(|_, _| good("answer")).await;
    let (clocks, slept) = clocks();
    let upstream = Upstream::with_clocks(config(server.url()), short_limits(), clocks).expect("usable");
    for seconds in [0, 30, 7_200, 7_200] {
        slept.store(seconds, Ordering::Relaxed);
        respond(&upstream).await.0.expect("an answer");
    }
    let connections: Vec<usize> =
        server.requests("codex/responses").iter().map(|request| request.connection).collect();
    assert_eq!(connections[0], connections[1], "half a minute is no sleep");
    assert_ne!(connections[1], connections[2]);
    assert_eq!(connections[2], connections[3]);
}
