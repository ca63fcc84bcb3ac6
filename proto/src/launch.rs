//! A session with the daemon, which is started first when none is there: many starters at once, one daemon.

mod newest;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::caller::Caller;
use crate::claim;
use crate::connect::{self, ConnectError, Greeting, Session, wait_readable, with_causes};
use crate::dir::{self, DirError};
use crate::endpoint::{Endpoint, EndpointError};
use crate::env::{Env, EnvError, plain};
use crate::hello::{Hello, Role};
use crate::lock::{self, Acquired, FileLock, LockError};
use crate::report::StartupReport;
use crate::spawn::{self, Child, ReportPipe};
use crate::{ErrorCode, NextStep, Nonce, Retry, WireError, stop_point, version};

/// From finding no daemon to a ready one, waiting for another starter included. A start takes 5 ms; five seconds cover a
/// cold disk, and stay below the time that an MCP client waits for its server.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// What a starter gets whose turn came only when its patience was nearly over: a hundred times what a start takes, so that
/// it finds out the reason itself.
const LAST_START: Duration = Duration::from_millis(500);

/// Looks at a daemon that closes connections without a word, before that is what it does and not its death.
const DYING_TRIES: u32 = 10;

/// Nothing announces a socket that begins to listen.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Nothing announces that a daemon has let go of its lock either, and to find out costs a process.
const START_AGAIN: Duration = Duration::from_millis(100);

/// When to ask again while a daemon hands over. It waits for the answer to a refresh at most, which takes 30 s at worst and
/// a second mostly.
const DRAIN_RETRY_SECONDS: u64 = 5;

/// A report is one short line.
const REPORT_BYTES: u64 = 64 * 1024;

/// The daemon's file name.
const DAEMON: &str = if cfg!(windows) { "codex-oauthd.exe" } else { "codex-oauthd" };

/// Where the daemon lies beside an installed command line: `bin/codex-oauth`, `libexec/codex-oauth/codex-oauthd`.
const LIBEXEC: &str = "../libexec/codex-oauth";

/// Why no daemon could be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No place for the socket.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No place for a file.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// There is a daemon, or something in its place, and no session with it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A folder of ours cannot be used.
    #[error("{}", with_causes(error))]
    Dir {
        /// Why.
        error: Box<DirError>,
        /// What to do about it.
        step: NextStep,
    },
    /// `CODEX_OAUTH_NO_SPAWN=1`.
    #[error("no daemon is running, and CODEX_OAUTH_NO_SPAWN=1 forbids starting one")]
    NotAllowed,
    /// No binary to start.
    #[error("could not find `{DAEMON}`: {}", places(looked_at))]
    NoBinary {
        /// The places; none when the folder of this program is gone.
        looked_at: Vec<PathBuf>,
        /// `CODEX_OAUTH_DAEMON` names it.
        is_named: bool,
    },
    /// A binary that others could have changed.
    #[error("could not start `{}`: {reason}", path.display())]
    Untrusted {
        /// The binary.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another starter did not finish.
    #[error("could not start the daemon: another start is under way and has not finished")]
    Lock(#[source] LockError),
    /// The process could not be made.
    #[error("could not start `{}`", path.display())]
    Spawn {
        /// The binary.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("could not start the daemon: it ended before it was ready")]
    Died {
        /// Where it may have said why.
        log: Option<PathBuf>,
    },
    /// It said nothing in time.
    #[error("could not start the daemon: none was ready within {} s", START_PATIENCE.as_secs())]
    Slow,
    /// The one before waits for the answer to a refresh, and answers nobody new.
    #[error(
        "could not start the daemon: the one before has not let go of the login yet{}",
        lock::holder(holder)
    )]
    Draining {
        /// What it wrote about itself.
        holder: String,
    },
    /// It said why.
    #[error("{}", .0.message)]
    Failed(WireError),
}

impl LaunchError {
    /// The folder that `variable` names if somebody has set it.
    pub fn folder(error: DirError, env: &Env, variable: &str) -> Self {
        let step = error.next_step_in(env, variable);
        Self::Dir { error: error.into(), step }
    }

    /// The same for the wire, with its next step.
    pub fn to_wire(&self) -> WireError {
        let unavailable =
            |step| WireError::daemon(ErrorCode::DaemonUnavailable, Retry::Safe, with_causes(self)).next(step);
        let configure = |name: &str| NextStep::FixConfiguration { name: name.to_owned() };
        match self {
            Self::Connect(error) => error.to_wire(),
            Self::Failed(error) => error.clone(),
            Self::Endpoint(_) => unavailable(configure("CODEX_OAUTH_RUNTIME_DIR")),
            Self::Dir { step, .. } => unavailable(step.clone()),
            Self::Env(EnvError::NotAbsolute { variable, .. } | EnvError::NoHome { variable, .. }) => {
                unavailable(configure(variable))
            }
            Self::NotAllowed => unavailable(NextStep::AllowSpawn),
            // What lies beside this program was removed, or never came with it.
            Self::NoBinary { is_named: false, .. } => unavailable(NextStep::Upgrade),
            Self::NoBinary { .. } | Self::Untrusted { .. } => unavailable(configure("CODEX_OAUTH_DAEMON")),
            Self::Died { log: Some(log) } => {
                unavailable(NextStep::ReadLog { path: log.display().to_string() })
            }
            Self::Draining { .. } => WireError::daemon(ErrorCode::Draining, Retry::Safe, self.to_string())
                .next(NextStep::RetryIn { seconds: DRAIN_RETRY_SECONDS }),
            Self::Lock(_) | Self::Slow => unavailable(NextStep::Retry),
            Self::Spawn { .. } | Self::Died { log: None } => unavailable(NextStep::RunDaemon),
        }
    }
}

/// The hello of this process.
pub fn hello(env: &Env, role: Role, nonce: Nonce) -> Result<Hello, EnvError> {
    Ok(Hello {
        protocol: version::protocol(),
        build: version::build().to_owned(),
        role,
        pid: std::process::id(),
        cwd: std::env::current_dir().map_or_else(|_| String::new(), |dir| dir.display().to_string()),
        nonce,
        next: 1,
        resume: Vec::new(),
        auth_file: env.auth_file()?.display().to_string(),
        env: env.session_vars(),
        proxy: claim::proxy(env).map(Box::new),
        no_proxy: claim::no_proxy(env).map(Box::new),
        ca_file: claim::ca_file(env).map(Box::new),
    })
}

/// A session with the running daemon, or with one started now. Waits as long as `caller` does.
pub fn open_or_start<'a>(
    env: &Env,
    greeting: impl Into<Greeting<'a>>,
    caller: &Caller<'_>,
) -> Result<Session, LaunchError> {
    let greeting = greeting.into();
    let endpoint = Endpoint::resolve(env)?;
    let may_start = !env.is_on("CODEX_OAUTH_NO_SPAWN");
    let open = || open_at_living(&endpoint, env, greeting, caller);
    match open() {
        Err(ConnectError::Absent) if !may_start => return Err(LaunchError::NotAllowed),
        Err(error) if may_start && makes_way(&error) => {}
        opened if may_start && is_outdated(&opened) => return replace(env, &endpoint, open, caller),
        other => return Ok(other?),
    }
    // For a client that has gone none is started.
    connect::pause(caller, Duration::ZERO)?;
    let deadline = Instant::now() + START_PATIENCE;
    let own = find_daemon(env);
    dir::ensure_private(&endpoint.dir, env.uid)
        .map_err(|error| LaunchError::folder(error, env, "CODEX_OAUTH_RUNTIME_DIR"))?;
    stop_point::reached("starter waits");
    let waited = FileLock::acquire_between(&endpoint.spawn_lock(), START_PATIENCE, |time| match open() {
        Ok(session) => Some(Ok(session)),
        Err(_) => connect::pause(caller, time).err().map(Err),
    });
    let _starting = match waited.map_err(LaunchError::Lock)? {
        Acquired::Instead(opened) => return Ok(opened?),
        Acquired::Lock(lock) => lock,
    };
    stop_point::reached("starter starts");
    let daemon = match own {
        Ok(own) => newest::choose(env, own),
        // An upgrade has replaced or removed this program and what lay beside it, and the session lives on.
        Err(error) => newest::usable(env).ok_or(error)?,
    };
    start_and_open(env, &daemon, open, deadline.max(Instant::now() + LAST_START), caller)
}

/// Whether the daemon is of an older build than this program, or speaks only older versions. An older program lets a newer
/// daemon be.
fn is_outdated(opened: &Result<Session, ConnectError>) -> bool {
    match opened {
        Ok(session) => version::is_newer(version::build(), &session.welcome.build),
        Err(ConnectError::Refused(refusal)) => {
            refusal.error.code == ErrorCode::UnsupportedVersion
                && refusal.protocol.max < version::protocol().min
        }
        Err(_) => false,
    }
}

/// Has an outdated daemon hand over, and opens a session with the newest one. Where that is not to be, what the outdated one
/// says holds: a build difference alone is no failure.
fn replace(
    env: &Env,
    endpoint: &Endpoint,
    open: impl Fn() -> Result<Session, ConnectError>,
    caller: &Caller<'_>,
) -> Result<Session, LaunchError> {
    let Ok(own) = find_daemon(env) else { return Ok(open()?) };
    let waited = FileLock::acquire_between(&endpoint.spawn_lock(), START_PATIENCE, |time| {
        connect::pause(caller, time).err().map(Err::<Session, _>)
    });
    let _starting = match waited {
        Ok(Acquired::Lock(lock)) => lock,
        Ok(Acquired::Instead(gone)) => return Ok(gone?),
        Err(_) => return Ok(open()?),
    };
    // Another starter may have replaced it meanwhile.
    let opened = open();
    if !is_outdated(&opened) {
        return Ok(opened?);
    }
    let daemon = newest::choose(env, own);
    if !newest::may_ask(env) || !connect::ask_to_hand_over(endpoint, env.uid, caller)? {
        return Ok(opened?);
    }
    drop(opened);
    start_and_open(env, &daemon, open, Instant::now() + START_PATIENCE, caller)
}

/// Starts daemons until one is ready or another one answers. The caller holds the spawn lock.
fn start_and_open(
    env: &Env,
    daemon: &Path,
    open: impl Fn() -> Result<Session, ConnectError>,
    deadline: Instant,
    caller: &Caller<'_>,
) -> Result<Session, LaunchError> {
    let mut former: Option<(String, Child)> = None;
    let mut start_at = Instant::now();
    loop {
        // Another starter may have finished between our look and our lock.
        match open() {
            Err(ConnectError::Busy) if Instant::now() >= deadline => return Err(ConnectError::Busy.into()),
            Err(error) if makes_way(&error) => {}
            other => return Ok(other?),
        }
        let now = Instant::now();
        match &mut former {
            Some((holder, _)) if now >= deadline => {
                return Err(LaunchError::Draining { holder: std::mem::take(holder) });
            }
            // So that at most one of many is a zombie; an error here is no news of the daemon.
            Some((_, child)) if now >= start_at => spawn::take_leave(child),
            _ => {}
        }
        if now >= start_at {
            match start(env, daemon, deadline, caller) {
                Ok(Started::Ready) => match open() {
                    // With a very short idle time it may have ended already.
                    Err(error) if makes_way(&error) && Instant::now() < deadline => continue,
                    other => return Ok(Session { started: true, ..other? }),
                },
                // It drains, or it was just started by somebody else and listens in a moment.
                Ok(Started::AlreadyRunning { holder, child }) => former = Some((holder, child)),
                // The deadline came first; what is known of the one before is the better reason.
                Err(LaunchError::Slow) if former.is_some() => {}
                Err(error) => return Err(error),
            }
            start_at = now + START_AGAIN;
        }
        connect::pause(caller, LOOK_AGAIN)?;
    }
}

/// Opens a session; a daemon that dies meanwhile is none. While the system takes its descriptors apart it still accepts, and
/// a moment later nobody does.
fn open_at_living(
    endpoint: &Endpoint,
    env: &Env,
    greeting: Greeting<'_>,
    caller: &Caller<'_>,
) -> Result<Session, ConnectError> {
    let mut tries = 0;
    loop {
        match connect::open(endpoint, env.uid, greeting, caller) {
            Err(error) if tries < DYING_TRIES && is_cut_off(&error) => tries += 1,
            other => return other,
        }
        connect::pause(caller, LOOK_AGAIN)?;
    }
}

/// Whether the daemon left in the middle of the opening.
fn is_cut_off(error: &ConnectError) -> bool {
    match error {
        ConnectError::Closed { .. } => true,
        ConnectError::Io(error) => {
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
        }
        _ => false,
    }
}

/// Whether another daemon may serve instead: none is there, or the one that is there is about to end.
fn makes_way(error: &ConnectError) -> bool {
    match error {
        ConnectError::Absent => true,
        // The last sessions of a daemon that has handed over keep its pipe, at which nobody listens.
        ConnectError::Busy => cfg!(windows),
        ConnectError::Refused(refusal) => refusal.error.code == ErrorCode::Draining,
        _ => false,
    }
}

/// How a start went well.
enum Started {
    /// It accepts connections.
    Ready,
    /// Another one holds the instance lock.
    AlreadyRunning {
        /// What it wrote about itself.
        holder: String,
        /// The one that came too late, on its way out.
        child: Child,
    },
}

fn start(env: &Env, daemon: &Path, deadline: Instant, caller: &Caller<'_>) -> Result<Started, LaunchError> {
    let log = log_file(env);
    let (child, pipe) = spawn::spawn(daemon, log.as_deref(), env)
        .map_err(|source| LaunchError::Spawn { path: daemon.to_owned(), source })?;
    stop_point::reached("starter reads");
    match read_report(pipe, deadline, caller)? {
        Some(StartupReport::Ready { .. }) => Ok(Started::Ready),
        Some(StartupReport::AlreadyRunning { holder }) => Ok(Started::AlreadyRunning { holder, child }),
        Some(StartupReport::Failed(error)) => Err(LaunchError::Failed(error)),
        None => Err(LaunchError::Died { log }),
    }
}

/// The report; `None` when the pipe ended without one that can be read.
fn read_report(
    pipe: ReportPipe,
    deadline: Instant,
    caller: &Caller<'_>,
) -> Result<Option<StartupReport>, LaunchError> {
    let mut pipe = pipe.take(REPORT_BYTES);
    let mut text = Vec::new();
    let mut bytes = [0_u8; 1024];
    while !text.contains(&b'\n') {
        if !wait_readable(caller, pipe.get_ref(), deadline)? {
            return Err(LaunchError::Slow);
        }
        match pipe.read(&mut bytes).map_err(ConnectError::Io)? {
            0 => return Ok(None),
            read => text.extend_from_slice(&bytes[..read]),
        }
    }
    Ok(serde_json::from_slice(&text).ok())
}

/// Where a daemon that nobody supervises writes; its folder is made, since the daemon itself may fail before that.
fn log_file(env: &Env) -> Option<PathBuf> {
    let dir = env.state_dir().ok()?;
    dir::ensure_private(&dir, env.uid).ok()?;
    Some(dir.join("daemon.log"))
}

/// Variables of `env` that a service has to set for its daemon: those that pass to a daemon started from here, without
/// what every service manager sets itself.
pub fn service_variables(env: &Env) -> Vec<(String, String)> {
    spawn::service_variables(env)
}

/// The daemon's binary: `CODEX_OAUTH_DAEMON`, else beside this program, else in libexec beside its folder. Refused when
/// somebody else could have written it.
pub fn find_daemon(env: &Env) -> Result<PathBuf, LaunchError> {
    let named = env.absolute("CODEX_OAUTH_DAEMON")?;
    let is_named = named.is_some();
    let candidates = if let Some(named) = named {
        vec![named]
    } else {
        let own = std::env::current_exe().ok().and_then(|exe| exe.canonicalize().ok());
        let folder = own.as_deref().and_then(Path::parent).map(Path::to_owned);
        folder.iter().flat_map(|dir| [dir.join(DAEMON), dir.join(LIBEXEC).join(DAEMON)]).collect()
    };
    let found =
        candidates.iter().find_map(|path| path.canonicalize().ok().filter(|path| path.is_file()).map(plain));
    let path = found.ok_or(LaunchError::NoBinary { looked_at: candidates, is_named })?;
    let checked = dir::trusted(&path, env.uid)
        .and_then(|()| path.parent().map_or(Ok(()), |folder| dir::trusted(folder, env.uid)));
    match checked {
        Ok(()) => Ok(path),
        Err(reason) => Err(LaunchError::Untrusted { path, reason }),
    }
}

/// The daemon that the state folder remembers as the newest installed one, as it was written down: unchecked, and perhaps gone.
pub fn newest_daemon(env: &Env) -> Option<PathBuf> {
    newest::remembered(env)
}

/// Takes leave of daemons that this process started and that have ended since: they stay zombies until their parent
/// asks. Only for a process that waits for no other children.
pub fn reap_former_children() {
    spawn::reap_all();
}

fn places(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "the folder of this program is gone".to_owned();
    }
    let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    format!("looked at {}", paths.join(", "))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_binary_that_others_may_write_is_not_started() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DAEMON);
        std::fs::File::create(&path).unwrap();
        let env = Env::from_process().with("CODEX_OAUTH_DAEMON", &path);
        for (mode, trusted) in [(0o755, true), (0o700, true), (0o757, false), (0o777, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(find_daemon(&env).is_ok(), trusted, "{mode:o}");
        }
    }

    #[test]
    fn a_missing_binary_is_named_with_every_place() {
        let env = Env::from_process().with("CODEX_OAUTH_DAEMON", "/nonexistent/codex-oauthd");
        let refused = find_daemon(&env).unwrap_err().to_string();
        assert!(refused.contains("/nonexistent/codex-oauthd"), "{refused}");
    }
}
