//! A scripted issuer on loopback: one closure answers, every request is kept.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

use crate::task;

/// What the issuer answers.
pub(in crate::auth) enum Reply {
    /// Status and body.
    Now(u16, String),
    /// The same, once notified.
    When(Arc<Notify>, u16, String),
    /// Nothing, but the connection stays open.
    Never,
    /// Closes the connection after these bytes.
    Cut(&'static str),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Seen {
    pub(in crate::auth) path: String,
    /// Lower-case header lines.
    pub(in crate::auth) head: String,
    pub(in crate::auth) body: String,
}

pub(in crate::auth) struct FakeIssuer {
    pub(in crate::auth) url: String,
    seen: watch::Receiver<Vec<Seen>>,
}

impl Seen {
    pub(in crate::auth) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl FakeIssuer {
    pub(in crate::auth) async fn start(answer: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, seen) = watch::channel(Vec::new());
        let answer = Arc::new(Mutex::new(answer));
        let tracker = TaskTracker::new();
        let connections = tracker.clone();
        task::spawn(&tracker, "fake issuer", async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, sender) = (Arc::clone(&answer), sender.clone());
                task::spawn(&connections, "fake issuer connection", async move {
                    serve(stream, |seen| {
                        let reply = (answer.lock())(&seen);
                        sender.send_modify(|all| all.push(seen));
                        reply
                    })
                    .await;
                });
            }
        });
        Self { url, seen }
    }

    pub(in crate::auth) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits for the `count`th request.
    pub(in crate::auth) async fn reached(&self, count: usize) {
        self.seen.clone().wait_for(|seen| seen.len() >= count).await.unwrap();
    }
}

async fn serve(mut stream: TcpStream, mut answer: impl FnMut(Seen) -> Reply) {
    let Some(seen) = read(&mut stream).await else { return };
    let (status, body) = match answer(seen) {
        Reply::Now(status, body) => (status, body),
        Reply::When(notify, status, body) => {
            notify.notified().await;
            (status, body)
        }
        Reply::Never => return std::future::pending().await,
        Reply::Cut(bytes) => {
            stream.write_all(bytes.as_bytes()).await.unwrap();
            return;
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nretry-after: 0\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.unwrap();
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|&count| count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if body.len() >= length.parse().unwrap() {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            return Some(Seen { path, head: lower, body: body.to_owned() });
        }
    }
}
