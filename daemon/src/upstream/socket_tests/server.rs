//! An HTTP/1.1 responder of a few lines: reads requests, writes what the test's function says.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::task;

/// What the responder does with a request, in order. After the last step the connection stays open for the next request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(Vec<u8>),
    /// Closes the connection.
    Cut,
    /// Says nothing until the client closes, then tells the test.
    Hold,
}

#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) path: String,
    /// Lower-case names, as `name: value`.
    pub(super) headers: Vec<String>,
    pub(super) body: String,
    /// Number of the TCP connection.
    pub(super) connection: usize,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    journal: Arc<Mutex<Vec<Received>>>,
    /// One message per held connection that the client has closed.
    pub(super) closed: mpsc::Receiver<()>,
    _tasks: TaskTracker,
}

/// What to do with the n-th (from 0) request to a path.
type Script = dyn Fn(&Received, usize) -> Vec<Step> + Send + Sync;

impl Server {
    /// Answers turns by `script`, and the account check with "no constraint".
    pub(super) async fn of_turns(
        script: impl Fn(&Received, usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::of(move |request, n| match request.path.as_str() {
            "/backend-api/wham/accounts/check" => json(200, &check_reply("NO_CONSTRAINT")),
            "/backend-api/codex/responses" => script(request, n),
            _ => json(404, r#"{"detail":"Not Found"}"#),
        })
        .await
    }

    pub(super) async fn of(script: impl Fn(&Received, usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let journal = Arc::new(Mutex::new(Vec::new()));
        let (tell_closed, closed) = mpsc::channel(8);
        let script: Arc<Script> = Arc::new(script);
        let tasks = TaskTracker::new();
        let serve = {
            let (journal, tasks) = (Arc::clone(&journal), tasks.clone());
            async move {
                for connection in 0.. {
                    let Ok((stream, _)) = listener.accept().await else { return };
                    let client = Client {
                        stream,
                        connection,
                        journal: Arc::clone(&journal),
                        script: Arc::clone(&script),
                        tell_closed: tell_closed.clone(),
                    };
                    task::spawn(&tasks, "responder", client.serve());
                }
            }
        };
        task::spawn(&tasks, "listener", serve);
        Self { address, journal, closed, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/backend-api", self.address)
    }

    /// Requests to a path that ends like this, so far.
    pub(super) fn requests(&self, path: &str) -> Vec<Received> {
        self.journal.lock().iter().filter(|request| request.path.contains(path)).cloned().collect()
    }
}

struct Client {
    stream: TcpStream,
    connection: usize,
    journal: Arc<Mutex<Vec<Received>>>,
    script: Arc<Script>,
    tell_closed: mpsc::Sender<()>,
}

impl Client {
    async fn serve(mut self) {
        while let Some(request) = self.read().await {
            let n = {
                let mut journal = self.journal.lock();
                let n = journal.iter().filter(|earlier| earlier.path == request.path).count();
                journal.push(request.clone());
                n
            };
            for step in (self.script)(&request, n) {
                match step {
                    Step::Write(bytes) => {
                        if self.stream.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                    Step::Cut => return,
                    Step::Hold => {
                        let mut rest = [0; 64];
                        while self.stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
                        let _test_is_over = self.tell_closed.send(()).await;
                        return;
                    }
                }
            }
        }
    }

    async fn read(&mut self) -> Option<Received> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            self.read_more(&mut bytes).await?;
        };
        let head = String::from_utf8(bytes[..head_end].to_vec()).expect("a text head");
        let mut lines = head.split("\r\n");
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let headers: Vec<String> = lines.map(str::to_owned).collect();
        let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let end = head_end + 4 + length.unwrap_or(0_usize);
        while bytes.len() < end {
            self.read_more(&mut bytes).await?;
        }
        let body = String::from_utf8(bytes[head_end + 4..end].to_vec()).expect("a text body");
        Some(Received { path, headers, body, connection: self.connection })
    }

    async fn read_more(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let count = self.stream.read_buf(bytes).await.ok()?;
        (count > 0).then_some(())
    }
}

pub(super) fn json(status: u16, body: &str) -> Vec<Step> {
    with_headers(status, &[("content-type", "application/json")], body)
}

pub(super) fn with_headers(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{}", body.len(), lines(headers));
    vec![Step::Write(format!("{head}\r\n{body}").into_bytes())]
}

/// The head of an event stream of chunks.
pub(super) fn stream_head(headers: &[(&str, &str)]) -> Step {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
    Step::Write(format!("{head}{}\r\n", lines(headers)).into_bytes())
}

fn lines(headers: &[(&str, &str)]) -> String {
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    lines.concat()
}

pub(super) fn chunk(text: &str) -> Step {
    Step::Write(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
}

pub(super) fn stream_end() -> Step {
    Step::Write(b"0\r\n\r\n".to_vec())
}

/// A whole good stream with one answer.
pub(super) fn good(answer: &str) -> Vec<Step> {
    vec![
        stream_head(&[]),
        chunk(&format!("{CREATED}{}{}{COMPLETED}", delta(answer), done(answer))),
        stream_end(),
    ]
}

pub(super) const CREATED: &str = "event: response.created\ndata: {\"response\":{\"id\":\"r1\"}}\n\n";
pub(super) const COMPLETED: &str = "event: response.completed\ndata: {\"response\":{\"id\":\"r1\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3}}}\n\n";

pub(super) fn delta(text: &str) -> String {
    format!("event: response.output_text.delta\ndata: {{\"delta\":\"{text}\"}}\n\n")
}

pub(super) fn done(text: &str) -> String {
    let item =
        format!(r#"{{"item":{{"type":"message","content":[{{"type":"output_text","text":"{text}"}}]}}}}"#);
    format!("event: response.output_item.done\ndata: {item}\n\n")
}

pub(super) fn failed(code: &str) -> String {
    let error = format!(r#"{{"response":{{"error":{{"code":"{code}","message":"m"}}}}}}"#);
    format!("event: response.failed\ndata: {error}\n\n")
}

pub(super) fn check_reply(routing: &str) -> String {
    let account = super::ACCOUNT;
    format!(
        r#"{{"accounts":[{{"id":"{account}","workspace_backend_origin":"NO_CONSTRAINT","account_routing_override":"{routing}"}}]}}"#
    )
}
