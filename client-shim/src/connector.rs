//! How the shim comes by a connection.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use codex_oauth_proto::caller::Caller;
use codex_oauth_proto::connect::{Greeting, Session};
use codex_oauth_proto::env::Env;
use codex_oauth_proto::hello::{Resume, Role};
use codex_oauth_proto::launch::{self, LaunchError};
use codex_oauth_proto::local::Source;
use codex_oauth_proto::{Nonce, WireError};

use crate::debug::DebugLines;

/// What a hello says of the shim's requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// This process, over every reconnect.
    pub nonce: Nonce,
    /// The number of the first request on the new connection that is not in `resume`.
    pub next: u64,
    /// Requests that an earlier connection carried, unanswered. They are the first that the new one carries, in this
    /// order (a replayed `initialize` aside).
    pub resume: Vec<Resume>,
    /// A line, without its newline, that is the first on the connection: an `initialize`, which may be said again.
    pub first: Option<Vec<u8>>,
}

/// Opens connections to the daemon. A test hands out its own.
pub trait Connector {
    /// A welcomed session on which `opening.first` is sent, or why there is none. May block for as long as a daemon takes to start
    /// and the client is there.
    fn open(&mut self, opening: &Opening) -> Result<Session, WireError>;

    /// A connection was lost.
    fn lost(&mut self) {}

    /// The daemon hands over to its successor.
    fn moved(&mut self) {}

    /// The daemon has a line for standard error.
    fn debug_line(&mut self, _line: &[u8]) {}
}

/// The connector of the real shim: the user's daemon, which is started when none is there.
#[derive(Debug)]
pub struct DaemonConnector<'fd> {
    /// The client: no wait for a daemon outlives it by more than its grace.
    caller: Caller<'fd>,
    /// What was said on standard error, so that a reconnect does not say it again.
    warned: Vec<String>,
    debug: DebugLines,
}

impl Connector for DaemonConnector<'_> {
    fn open(&mut self, opening: &Opening) -> Result<Session, WireError> {
        // A daemon of ours that was just lost may not have been over yet when we looked.
        launch::reap_former_children();
        let env = Env::from_process();
        if env.is_on("CODEX_DEBUG") {
            self.debug.begin();
        }
        let Opening { nonce, next, resume, first } = opening.clone();
        let mut hello =
            launch::hello(&env, Role::Mcp, nonce).map_err(|error| LaunchError::from(error).to_wire())?;
        hello.next = next;
        hello.resume = resume;
        let greeting = Greeting { hello: &hello, first: first.as_deref() };
        let began = self.debug.are_wanted().then(Instant::now);
        let opened = launch::open_or_start(&env, greeting, &self.caller).map_err(|error| error.to_wire());
        if let Some(began) = began {
            self.debug.opened(&opened, hello.resume.len(), began);
        }
        let session = opened?;
        self.warn(&session.welcome.warnings);
        Ok(session)
    }

    /// The daemon may have been our child, and would stay a zombie.
    fn lost(&mut self) {
        launch::reap_former_children();
        self.debug.say("The connection to the daemon was lost");
    }

    fn moved(&mut self) {
        self.debug.say("The daemon hands over to its successor");
    }

    fn debug_line(&mut self, line: &[u8]) {
        self.debug.pass_on(line);
    }
}

impl<'fd> DaemonConnector<'fd> {
    /// For the client that writes to `stdin`. Once it has closed its side, waits go on for `grace`
    /// ([`Limits::last_answers`](crate::Limits)), so that what it said last may still be answered.
    pub fn new(stdin: Source<'fd>, grace: Duration) -> Self {
        Self { caller: Caller::watched(stdin, grace), warned: Vec::new(), debug: DebugLines::default() }
    }

    fn warn(&mut self, warnings: &[String]) {
        if self.warned == warnings {
            return;
        }
        for warning in warnings {
            // A client that gave us no standard error has no use for warnings.
            let _unread = writeln!(io::stderr(), "codex-oauth-mcp: {warning}");
        }
        warnings.clone_into(&mut self.warned);
    }
}
