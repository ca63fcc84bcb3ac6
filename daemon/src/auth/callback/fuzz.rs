//! Whatever a local program sends to the callback port, nothing panics, nothing hangs, no answer tells a secret, and only a
//! GET of our path with our host and our state is taken for the redirect.
//!
//! An input that finds something is printed with the failure and belongs into `daemon/tests/corpus/callback`.

use std::path::Path;

use codex_oauth_rig::scale::{Seeded, rounds};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

const PORT: u16 = 1455;
const STATE: &str = "the-right-state";
const CODE: &str = "the-code";

/// Pieces that mean something to the reader.
const WORDS: [&str; 28] = [
    "\r\n",
    "\n",
    "\r\n\r\n",
    "\0",
    " ",
    "?",
    "&",
    "=",
    "%",
    "%00",
    "%2Dx",
    "%ff",
    "+",
    "#",
    ":",
    "/",
    "\u{e9}",
    "GET ",
    " HTTP/1.0",
    "Host: 127.0.0.1:1455\n",
    "Host: localhost:1455\n",
    "Origin: null\n",
    "Sec-Fetch-Site: none\n",
    "Content-Length: 99999999999999999999\n",
    "Transfer-Encoding: chunked\n",
    "Expect: 100-continue\n",
    "code=the-code",
    "state=the-right-state",
];

/// What came of one connection.
struct Seen {
    answer: Vec<u8>,
    taken: Option<Result<Secret, Denial>>,
}

/// Sends it and reads to the end. The sending half stays open, as a browser's: a head that has no end meets its timeout.
async fn send(input: &[u8]) -> Seen {
    let (browser, server) = duplex(64 << 10);
    let (first, redirect) = oneshot::channel();
    let expected =
        Expected { port: PORT, state: Secret::new(STATE), issuer: "https://auth.openai.com".to_owned() };
    let stop = CancellationToken::new();
    let shared = Arc::new(Shared { expected, first: Mutex::new(Some(first)), stop });
    let (mut answers, mut asks) = tokio::io::split(browser);
    let client = async {
        // The server may be done before it has read all.
        let _sent = asks.write_all(input).await;
        let mut answer = Vec::new();
        answers.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let login = async {
        let redirect = redirect.await.ok()?;
        let page = Page::Failed { reason: "x".to_owned() };
        redirect.reply.send(page).unwrap();
        Some(redirect.code)
    };
    let ((), answer, taken) = tokio::join!(connection(server, shared), client, login);
    Seen { answer, taken }
}

/// Whether the request asks for what only the redirect asks for, by another reading than that of [`request`].
fn may_be_the_redirect(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let line = text.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default();
    let hosts = text.lines().filter(|line| line.to_ascii_lowercase().starts_with("host:")).count();
    line.starts_with("GET /auth/callback?")
        && unescaped(line).contains(&format!("state={STATE}"))
        && hosts >= 1
        && text.contains(":1455")
}

/// With `%XX` read, wherever it stands.
fn unescaped(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.get(..2).map(|hex| u8::from_str_radix(hex, 16)) {
            Some(Ok(byte)) => {
                out.push(char::from(byte));
                out.push_str(&piece[2..]);
            }
            _ => out.push_str(piece),
        }
    }
    out
}

async fn check(input: &[u8]) -> Seen {
    let what = input.escape_ascii();
    let seen = send(input).await;
    let answer = String::from_utf8_lossy(&seen.answer);
    assert!(!answer.contains(STATE) && !answer.contains(CODE), "{answer} to {what}");
    let status = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = status.map(|status| status.parse::<u16>().unwrap());
    match (&seen.taken, status) {
        (Some(_), Some(200 | 400)) => assert!(may_be_the_redirect(input), "it was taken: {what}"),
        (None, None | Some(400 | 403 | 404 | 405 | 410 | 414 | 431)) => {}
        (taken, status) => panic!("{status:?}, taken: {} for {what}", taken.is_some()),
    }
    seen
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/callback");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn no_bytes_make_the_callback_panic_hang_tell_a_secret_or_take_what_is_not_the_redirect() {
    let corpus = corpus();
    let mut dice = Seeded::new("fuzz of the callback");
    let (mut taken, mut refused) = (0, 0);
    for round in 0..rounds(100_000) as usize {
        let mut bytes = corpus[round % corpus.len()].clone();
        // The kept ones as they are first, then with the line ends that browsers send.
        if round >= corpus.len() {
            if dice.below(2) == 0 {
                bytes = String::from_utf8_lossy(&bytes).replace('\n', "\r\n").into_bytes();
            }
            for _ in 0..dice.below(5) {
                dice.mutate(&mut bytes, &WORDS);
            }
        }
        match check(&bytes).await.taken {
            Some(_) => taken += 1,
            None => refused += 1,
        }
    }
    assert!(taken > 100 && refused > 100, "both happen: {taken}, {refused}");
}
