//! The socket: who listens there, or what lies in its place.

use codex_oauth_proto::caller::Caller;
use codex_oauth_proto::connect::{self, ConnectError};
use codex_oauth_proto::endpoint::{Endpoint, EndpointError};
use codex_oauth_proto::env::Env;
use codex_oauth_proto::lock::{self, FileLock, LockError};
use codex_oauth_proto::peer::Peer;

use super::report::{Finding, Fixer};
use crate::exit::Exit;

/// Connects and says nothing.
pub(super) fn look(env: &Env, endpoint: &Result<Endpoint, EndpointError>, fixer: &mut Fixer) -> Finding {
    let Ok(endpoint) = endpoint else { return Finding::skip("its place is not known: see `folders`") };
    let socket = endpoint.socket();
    match connect::connect(endpoint, env.uid, &Caller::unwatched()) {
        Ok(stream) => {
            let pid = Peer::of(&stream).ok().and_then(|peer| peer.pid);
            let who = pid.map_or_else(String::new, |pid| format!(", process {pid} listens"));
            Finding::ok(format!("{}{who}", socket.display()))
        }
        Err(ConnectError::Absent) if cfg!(unix) && socket.exists() => dead(endpoint, fixer),
        Err(ConnectError::Absent) => Finding::ok(format!("{}: nobody listens yet", socket.display())),
        // `folders` tells of it.
        Err(ConnectError::Dir(error)) => Finding::skip(format!("not looked for: {error}")),
        Err(error) => Finding::error(&error.to_wire()),
    }
}

/// A socket that nobody listens at: of a daemon that crashed, or of one that lives and has lost it.
fn dead(endpoint: &Endpoint, fixer: &mut Fixer) -> Finding {
    let socket = endpoint.socket();
    let lock = endpoint.instance_lock();
    let held = lock.exists().then(|| FileLock::try_acquire(&lock));
    if let Some(Err(LockError::Held { .. })) = held {
        let holder = lock::described(&lock);
        let detail = format!(
            "nobody listens at `{}`, and a daemon holds its lock ({})",
            socket.display(),
            holder.trim()
        );
        let remedy = "wait a minute: a daemon that has lost its socket ends by itself; else end that process";
        return Finding::fail(detail, remedy, Exit::Daemon);
    }
    let trouble = Finding::warn(
        format!("a daemon that crashed left `{}` behind; the next one replaces it", socket.display()),
        "",
    );
    // While `held` lives no daemon can begin to listen there.
    fixer.mend(trouble, format!("rm {}", socket.display()), || {
        #[expect(
            clippy::disallowed_methods,
            reason = "our socket, nobody listens, and we hold its daemon's lock"
        )]
        std::fs::remove_file(&socket)
    })
}
