//! The socket: who listens there, or what lies in its place.

use codex_oauth_proto::Nonce;
use codex_oauth_proto::caller::Caller;
use codex_oauth_proto::connect::{self, ConnectError, Greeting};
use codex_oauth_proto::endpoint::{Endpoint, EndpointError};
use codex_oauth_proto::env::Env;
use codex_oauth_proto::hello::Role;
use codex_oauth_proto::launch;
use codex_oauth_proto::lock::{self, FileLock, LockError};

use super::report::{Finding, Fixer};
use crate::exit::Exit;

/// Connects and says hello: another program may listen there.
pub(super) fn look(env: &Env, endpoint: &Result<Endpoint, EndpointError>, fixer: &mut Fixer) -> Finding {
    let Ok(endpoint) = endpoint else { return Finding::skip("its place is not known: see `folders`") };
    let socket = endpoint.socket();
    let nonce = match Nonce::random() {
        Ok(nonce) => nonce,
        Err(error) => return Finding::skip(format!("not tried: no random number could be had: {error}")),
    };
    let Ok(hello) = launch::hello(env, Role::Api, nonce) else {
        return Finding::skip("not tried: see `credentials`");
    };
    match connect::open(endpoint, env.uid, Greeting::from(&hello), &Caller::unwatched()) {
        Ok(session) => Finding::ok(format!("{}, process {} listens", socket.display(), session.welcome.pid)),
        // It is a daemon; what it has against this program `daemon` tells.
        Err(ConnectError::Refused(_)) => Finding::ok(format!("{}, a daemon listens", socket.display())),
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
