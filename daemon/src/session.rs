//! One connection: who is it, what does it want, then its dialect until its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use codex_oauth_proto::hello::{
    ClientOpening, HandOver, Hello, Refusal, Role, SESSION_ENV, ServerOpening, Welcome,
};
use codex_oauth_proto::{ErrorCode, MAX_LINE_BYTES, NextStep, Retry, WireError, version};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::debug::{Hear, Listener, Tag};
use crate::line_io::{LineReader, LineWriter, Read};
use crate::server::Server;
use crate::shutdown::Phase;
use crate::stream::Stream;
use crate::{api, mcp, network, task};

/// Bytes that may wait for a client before further debug lines are dropped. Hundreds of lines: a client that reads never
/// lets so many wait, unless an answer of megabytes is on its way.
const MOST_DEBUG_BYTES: usize = 64 * 1024;

/// A welcomed session, as its dialect sees it.
#[derive(Debug)]
pub(crate) struct Session {
    /// Counts connections of this daemon: never used twice, so that an answer meant for an earlier connection cannot
    /// be taken for one of this.
    pub(crate) incarnation: u64,
    /// The account that the configuration names for the folder of the client's process.
    pub(crate) account: Option<String>,
    /// What the client said of itself.
    pub(crate) hello: Hello,
    /// What the welcome told its person.
    pub(crate) warnings: Vec<String>,
    /// Writes lines to the client.
    pub(crate) writer: LineWriter,
    /// Cancelled when the connection is over, from whichever side.
    pub(crate) over: CancellationToken,
    /// Debug lines for the client, if it asked for them (`CODEX_DEBUG=1`).
    debug: Option<Box<DebugLines>>,
}

/// Debug lines on their way.
#[derive(Debug, Default)]
struct DebugLines {
    /// Something waits to be written.
    news: Notify,
    /// Lines that were dropped because the client did not read, and that it was not told of yet.
    lost: AtomicU64,
}

impl Session {
    /// The part of the session's environment that is about its person's screen.
    pub(crate) const fn env(&self) -> &BTreeMap<String, String> {
        &self.hello.env
    }

    /// Whom to tell of what is done for this session; `None`: it did not ask.
    pub(crate) fn listener(self: &Arc<Self>) -> Option<Listener> {
        self.debug.as_ref()?;
        let session: Arc<dyn Hear> = self.clone();
        Some(Listener::new(self.incarnation, Arc::downgrade(&session)))
    }
}

impl Hear for Session {
    fn hear(&self, line: &str) {
        let Some(debug) = &self.debug else { return };
        let lost = debug.lost.load(Ordering::Relaxed);
        let note = if lost == 0 { String::new() } else { format!("@debug [IPC] {lost} lines were lost\n") };
        if self.writer.offer(format!("{note}@debug {line}").into_bytes(), MOST_DEBUG_BYTES) {
            debug.lost.fetch_sub(lost, Ordering::Relaxed);
        } else {
            debug.lost.fetch_add(1, Ordering::Relaxed);
        }
        debug.news.notify_one();
    }
}

/// Writes a session's debug lines out, where no answer takes them along. Returns when the session is over.
async fn write_debug_lines(session: Arc<Session>) {
    let Some(debug) = session.debug.as_deref() else { return };
    loop {
        tokio::select! {
            () = session.over.cancelled() => return,
            () = debug.news.notified() => {}
        }
        // A session that is over is seen above.
        let _over = session.writer.flush().await;
    }
}

/// Whether the kernel says that the peer is our own user. Nothing is read or written before this: a stranger learns
/// nothing, not even a version.
pub(crate) fn is_ours(server: &Server, stream: &Stream) -> bool {
    let uid = stream.peer_user();
    if uid == Some(server.uid) {
        return true;
    }
    server.count_refused_peer();
    tracing::warn!(?uid, "closed a connection of another user");
    false
}

/// Serves one accepted connection of our own user to its end.
pub(crate) async fn serve(server: Arc<Server>, stream: Stream, opening_place: Option<OwnedSemaphorePermit>) {
    let stream = Arc::new(stream);
    converse(server, Arc::clone(&stream), opening_place).await;
    stream.deliver().await;
}

async fn converse(server: Arc<Server>, stream: Arc<Stream>, opening_place: Option<OwnedSemaphorePermit>) {
    let opening_use = server.idle.busy();
    let account = server.folders.account_of(&stream);
    let over = server.sessions_over.child_token();
    let mut reader = LineReader::new(Arc::clone(&stream));
    let writer = LineWriter::new(stream, server.limits.write_stall, over.clone());
    let mut hello = match opening(&server, &mut reader).await {
        Ok(Some(hello)) => hello,
        Ok(None) => return,
        Err(error) => return refuse(&writer, error).await,
    };
    let (welcome, place) = match welcome(&server, &hello).and_then(|welcome| Ok((welcome, server.place()?))) {
        Ok(welcomed) => welcomed,
        Err(error) => return refuse(&writer, error).await,
    };
    // Welcomed: from here on an end waits until it has moved.
    let cable = (hello.role == Role::Mcp).then(|| server.cables.token());
    drop(opening_place);
    drop(opening_use);
    keep_known_env(&mut hello);
    let warnings = welcome.warnings.clone();
    if queue_opening(&writer, &ServerOpening::Welcome(welcome)).is_err() {
        return;
    }
    let incarnation = server.next_incarnation();
    let role = hello.role;
    // What the session's tasks log names it, and the turn if it is about one.
    let span = tracing::info_span!("session", n = incarnation);
    let debug = (hello.env.get("CODEX_DEBUG").map(String::as_str) == Some("1")).then(Box::default);
    let session =
        Arc::new(Session { incarnation, account, hello, warnings, writer, over: over.clone(), debug });
    if let Some(listener) = session.listener() {
        let Hello { pid, resume, .. } = &session.hello;
        let resumed = resume.len();
        listener.tell(
            Tag::Ipc,
            format_args!("Session {incarnation} opened: {role:?}, process {pid}, {resumed} requests resumed"),
        );
        let _detached = task::spawn(&server.tracker, "debug lines", write_debug_lines(Arc::clone(&session)));
    }
    let dialect = async {
        match role {
            Role::Mcp => {
                let _fresh = server.service.keep_login_fresh();
                mcp::serve(Arc::clone(&server), Arc::clone(&session), reader).await;
            }
            Role::Api | Role::Unknown => api::serve(Arc::clone(&server), Arc::clone(&session), reader).await,
        }
    };
    // What came along with the hello is answered first, and the welcome goes out in that write: for a second one the client
    // would wake up twice. Nobody waits for the log.
    tokio::join!(biased; dialect.instrument(span), opened(&session));
    over.cancel();
    drop(cable);
    drop(place);
    tracing::info!(session = incarnation, "session closed");
}

/// The client sends only names that it should; a longer list or value would be held for the session's whole life.
fn keep_known_env(hello: &mut Hello) {
    /// The longest of them is a list of sockets or a command; none comes near this.
    const MOST_BYTES: usize = 4 * 1024;
    hello.env.retain(|name, value| SESSION_ENV.contains(&name.as_str()) && value.len() <= MOST_BYTES);
}

/// The hello; `None` when the peer left without a word.
async fn opening(server: &Server, reader: &mut LineReader) -> Result<Option<Hello>, WireError> {
    let patience = server.limits.hello;
    let malformed = |message: String| WireError::caller(ErrorCode::Malformed, message);
    let read = tokio::time::timeout(patience, reader.next()).await.map_err(|_| {
        malformed(format!("could not open a session: no hello within {} ms", patience.as_millis()))
    })?;
    match read {
        Read::Line(line) => match serde_json::from_slice(&line) {
            Ok(ClientOpening::Hello(hello)) => Ok(Some(hello)),
            Ok(ClientOpening::HandOver(asker)) => Err(hand_over(server, &asker)),
            // Where it went wrong, never what was there: it may be a prompt that went astray.
            Err(error) => Err(malformed(format!(
                "could not open a session: the first line is not a hello (line {}, column {})",
                error.line(),
                error.column()
            ))),
        },
        Read::TooLong => Err(WireError::caller(
            ErrorCode::LineTooLong,
            format!("could not open a session: the first line is longer than {MAX_LINE_BYTES} bytes"),
        )),
        Read::End { half_line: true } => Err(malformed(
            "could not open a session: the connection ended in the middle of a line".to_owned(),
        )),
        Read::End { half_line: false } => Ok(None),
    }
}

/// Makes way for a newer build, and for no other: two builds would replace each other for ever. Under a service manager the next
/// daemon is the manager's, of the program that lies where this one lay: if it is the same, nothing would be won.
fn hand_over(server: &Server, asker: &HandOver) -> WireError {
    let build = version::build();
    if !version::is_newer(&asker.build, build) {
        let message =
            format!("could not hand over: build {} is not newer than {build}", printable(&asker.build));
        return WireError::caller(ErrorCode::UnsupportedVersion, message).next(NextStep::Upgrade);
    }
    if server.alone.load(Ordering::Relaxed) && !server.program.is_replaced() {
        let message = format!("could not hand over: the service would start build {build} again");
        return WireError::caller(ErrorCode::UnsupportedVersion, message).next(NextStep::Upgrade);
    }
    tracing::info!(newer = printable(&asker.build), build, "a newer build asks to hand over");
    server.shutdown.advance(Phase::HandingOver);
    draining()
}

fn welcome(server: &Server, hello: &Hello) -> Result<Welcome, WireError> {
    let (ours, build) = (version::protocol(), version::build());
    let Some(protocol) = ours.common(hello.protocol) else {
        let older = if hello.protocol.max < ours.min { "the client is older" } else { "the daemon is older" };
        let message = format!(
            "could not open a session: client {} and daemon {build} have no protocol version in common ({older})",
            printable(&hello.build)
        );
        return Err(WireError::caller(ErrorCode::UnsupportedVersion, message).next(NextStep::Upgrade));
    };
    if hello.role == Role::Unknown {
        let message =
            format!("could not open a session: daemon {build} does not know the role that was asked for");
        return Err(WireError::caller(ErrorCode::UnsupportedVersion, message).next(NextStep::Upgrade));
    }
    if hello.auth_file != server.auth_file {
        let message = format!(
            "could not open a session: the running daemon keeps the login in `{}`, and this program expects `{}`",
            server.auth_file,
            printable(&hello.auth_file)
        );
        return Err(WireError::daemon(ErrorCode::OtherCredentialStore, Retry::Never, message)
            .next(NextStep::FixConfiguration { name: "CODEX_OAUTH_AUTH_FILE".to_owned() }));
    }
    if !server.takes_new() {
        return Err(draining());
    }
    Ok(Welcome {
        protocol,
        build: build.to_owned(),
        pid: std::process::id(),
        nonce: server.nonce.clone(),
        warnings: network::warnings(server.network(), hello),
    })
}

/// The daemon is going away.
pub(crate) fn draining() -> WireError {
    WireError::daemon(ErrorCode::Draining, Retry::Safe, "could not take this on: the daemon is shutting down")
        .next(NextStep::Retry)
}

/// The welcome is out, with the first answer or by itself.
async fn opened(session: &Session) {
    // A session that is over has nobody to welcome.
    let _over = session.writer.flush().await;
    let Session { incarnation, hello, .. } = session;
    let build = printable(&hello.build);
    tracing::info!(session = incarnation, role = ?hello.role, pid = hello.pid, build, "session opened");
}

async fn refuse(writer: &LineWriter, error: WireError) {
    tracing::info!(code = ?error.code, "refused a session: {}", error.message);
    let refusal = ServerOpening::Refusal(Refusal { protocol: version::protocol(), error });
    // The peer may be gone; there is nobody else to tell.
    if queue_opening(writer, &refusal).is_ok() {
        let _gone = writer.flush().await;
    }
}

fn queue_opening(writer: &LineWriter, opening: &ServerOpening) -> serde_json::Result<()> {
    writer.queue(serde_json::to_vec(opening)?);
    Ok(())
}

/// A claim of the client's in a message or a log: short and without control characters.
pub(crate) fn printable(text: &str) -> String {
    const MOST: usize = 200;
    text.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what a call of `run` leaves to be waited for.
    fn state_bytes<A, B, C, F>(_run: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_session_that_waits_holds_little() {
        // All that the session's own task keeps for as long as its client lives. The SDK's handshake alone is three times this.
        let bytes = state_bytes(serve);
        assert!(bytes <= 4096, "{bytes}");
    }
}
