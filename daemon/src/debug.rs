//! `CODEX_DEBUG=1`: what happens in each layer, for the session that asked for it, on its screen and in the log.
//!
//! Promises: whoever tells never waits; a line holds names of ours, numbers and the backend's request ids, never a word of a
//! question, an answer, a token or a person; while nobody listens no line is made.
//!
//! Who listens travels with the task ([`scope`], [`crate::task::spawn`]), so that no layer needs to know a session.

pub(crate) mod http;

use std::fmt::{self, Display};
use std::future::Future;
use std::sync::Weak;
use std::time::Duration;

use codex_oauth_proto::ErrorCode;
use tokio::task::futures::TaskLocalFuture;

/// The target of these lines in the log. No usual filter hides them: a session asked for them.
pub(crate) const TARGET: &str = "codex_oauthd::debug";

/// A longer line is cut. Ours have some hundred bytes; a pipe takes this much whole (POSIX, `write`: `PIPE_BUF`, at least 512).
const LINE_BYTES: usize = 480;

tokio::task_local! {
    static LISTENER: Option<Listener>;
}

/// The layer that a line is about. The first three are the original's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tag {
    /// A question and its answer.
    Codex,
    /// A request to backend or issuer.
    Http,
    /// The access token.
    Token,
    /// The MCP client.
    Mcp,
    /// The socket between shim or command line and daemon.
    Ipc,
}

impl Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Codex => "[CODEX]",
            Self::Http => "[HTTP]",
            Self::Token => "[TOKEN]",
            Self::Mcp => "[MCP]",
            Self::Ipc => "[IPC]",
        })
    }
}

/// A session's end of it.
pub(crate) trait Hear: Send + Sync {
    /// Takes a line without waiting, or drops it.
    fn hear(&self, line: &str);
}

/// A session that asked for these lines. It holds nothing of it: what goes on when the session is over is told to the log.
#[derive(Clone)]
pub(crate) struct Listener {
    session: u64,
    hearer: Weak<dyn Hear>,
}

impl Listener {
    /// The session with this number.
    pub(crate) fn new(session: u64, hearer: Weak<dyn Hear>) -> Self {
        Self { session, hearer }
    }

    /// Tells it one line.
    pub(crate) fn tell(&self, tag: Tag, text: impl Display) {
        let line = one_line(&format!("{tag} {text}"));
        tracing::info!(target: TARGET, session = self.session, "{line}");
        if let Some(hearer) = self.hearer.upgrade() {
            hearer.hear(&line);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.session)
    }
}

/// `future`, with everything that it does told to `listener`.
pub(crate) fn scope<F: Future>(
    listener: Option<Listener>,
    future: F,
) -> TaskLocalFuture<Option<Listener>, F> {
    LISTENER.scope(listener, future)
}

/// Who listens to the task that runs.
pub(crate) fn listener() -> Option<Listener> {
    LISTENER.try_with(Clone::clone).ok().flatten()
}

/// Tells whoever listens to this task a line; `text` is made only then.
pub(crate) fn tell<D: Display>(tag: Tag, text: impl FnOnce() -> D) {
    if let Some(listener) = listener() {
        listener.tell(tag, text());
    }
}

/// A duration in whole milliseconds, as all of these lines have it.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// A failure in one word: what others wrote about it is theirs.
pub(crate) fn word(code: ErrorCode) -> String {
    let word = serde_json::to_value(code).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// The name of an error's variant: its message may quote what others wrote.
pub(crate) fn variant(error: &dyn fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// Without line breaks and other control characters, and not too long.
fn one_line(text: &str) -> String {
    let mut line: String = text.chars().filter(|symbol| !symbol.is_control()).collect();
    line.truncate(line.floor_char_boundary(LINE_BYTES));
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Hear for Heard {
        fn hear(&self, line: &str) {
            self.0.lock().push(line.to_owned());
        }
    }

    fn listener_of(heard: &Arc<Heard>) -> Listener {
        let hearer: Arc<dyn Hear> = heard.clone();
        Listener::new(7, Arc::downgrade(&hearer))
    }

    #[tokio::test]
    async fn a_task_tells_whoever_its_starter_told_and_nobody_else() {
        let (one, other) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let tracker = tokio_util::task::TaskTracker::new();
        let deep = |name: &'static str| {
            let tracker = tracker.clone();
            async move {
                let inner = async move { tell(Tag::Http, || name) };
                crate::task::spawn(&tracker, "test", inner).await.unwrap();
            }
        };
        tokio::join!(
            scope(Some(listener_of(&one)), deep("one")),
            scope(Some(listener_of(&other)), deep("other")),
            deep("nobody")
        );
        assert_eq!(
            (&*one.0.lock(), &*other.0.lock()),
            (&vec!["[HTTP] one".to_owned()], &vec!["[HTTP] other".to_owned()])
        );
    }

    #[tokio::test]
    async fn without_a_listener_no_line_is_made() {
        tell(Tag::Codex, || -> String { panic!("it is made") });
        scope(None, async { tell(Tag::Codex, || -> String { panic!("it is made") }) }).await;
    }

    #[test]
    fn a_line_is_one_and_bounded() {
        let heard = Arc::new(Heard::default());
        listener_of(&heard).tell(Tag::Mcp, format!("a\r\n@moved\x1b[2J{}", "é".repeat(1_000)));
        let line = heard.0.lock()[0].clone();
        assert!(line.starts_with("[MCP] a@moved[2Jé") && line.len() <= LINE_BYTES, "{line}");
    }
}
