//! What an HTTP/2 server refuses without processing is sent again; what it resets in the middle is not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::*;
use crate::network::Network;
use crate::task;

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status` 200 and 404 in HPACK's static table.
const STATUS_200: &[u8] = &[0x88];
const STATUS_404: &[u8] = &[0x8d];
const NO_ERROR: [u8; 4] = [0, 0, 0, 0];
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

/// What to do with a request, counted over all connections. The first one is the account check.
#[derive(Clone, Copy, Debug)]
enum Answer {
    NotFound,
    Reset([u8; 4]),
    /// Graceful, excluding this very stream.
    GoAway,
    Good,
}

async fn write(stream: &mut TcpStream, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(id.to_be_bytes());
    frame.extend(payload);
    stream.write_all(&frame).await.expect("the client reads");
}

/// Serves one connection until the client leaves or a GOAWAY was sent; returns how many answers were used up.
async fn serve(mut stream: TcpStream, answers: &[Answer]) -> usize {
    let mut preface = [0; PREFACE];
    stream.read_exact(&mut preface).await.expect("a preface");
    write(&mut stream, SETTINGS, 0, 0, &[]).await;
    let mut used = 0;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return used;
        }
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.expect("a whole frame");
        let id = u32::from_be_bytes(id);
        if kind == SETTINGS && flags & ACK == 0 {
            write(&mut stream, SETTINGS, ACK, 0, &[]).await;
        }
        if kind != HEADERS {
            continue;
        }
        let answer = answers[used];
        used += 1;
        match answer {
            Answer::NotFound => write(&mut stream, HEADERS, END_HEADERS | END, id, STATUS_404).await,
            Answer::Reset(code) => write(&mut stream, RST_STREAM, 0, id, &code).await,
            Answer::GoAway => {
                let payload = [(id - 2).to_be_bytes(), NO_ERROR].concat();
                write(&mut stream, GOAWAY, 0, 0, &payload).await;
                return used;
            }
            Answer::Good => {
                write(&mut stream, HEADERS, END_HEADERS, id, STATUS_200).await;
                let body = format!("{}{}", server::done("hello"), server::COMPLETED);
                write(&mut stream, DATA, END, id, body.as_bytes()).await;
            }
        }
    }
}

async fn upstream_with(answers: &'static [Answer], tasks: &TaskTracker) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let listen = async move {
        let mut answers = answers;
        while let Ok((stream, _)) = listener.accept().await {
            answers = &answers[serve(stream, answers).await..];
        }
    };
    task::spawn(tasks, "http2 responder", listen);
    let config = UpstreamConfig {
        backend: format!("http://{address}/backend-api"),
        originator: "codex_oauth".into(),
        user_agent: "codex-oauth/0.1.0".into(),
        client_version: "0.169.0".into(),
        network: Network::default(),
    };
    let mut settings = Settings::new(config).expect("usable");
    settings.http2_only = true;
    Upstream::with_settings(settings, short_limits(), Clocks::default())
}

#[tokio::test]
async fn a_refused_stream_and_a_graceful_goaway_are_sent_again() {
    let tasks = TaskTracker::new();
    for refusal in [
        &[Answer::NotFound, Answer::Reset(REFUSED_STREAM), Answer::Good],
        &[Answer::NotFound, Answer::GoAway, Answer::Good],
    ] {
        let upstream = upstream_with(refusal, &tasks).await;
        let completed = respond(&upstream).await.0.expect("an answer");
        assert_eq!((completed.text.as_str(), completed.attempts), ("hello", 2), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_for_another_reason_has_an_unknown_outcome() {
    let tasks = TaskTracker::new();
    let upstream = upstream_with(&[Answer::NotFound, Answer::Reset(CANCEL), Answer::Good], &tasks).await;
    let error = respond(&upstream).await.0.expect_err("reset");
    assert_eq!((error.retry, error.attempts), (Retry::Unknown, 1));
}
