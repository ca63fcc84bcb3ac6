//! The start, in the order that keeps it safe: harden, log, directory, locks, socket, report, serve. And the end.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use codex_oauth_proto::connect::with_causes;
use codex_oauth_proto::dir::DirError;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::local::UserId;
use codex_oauth_proto::lock::LockError;
use codex_oauth_proto::report::StartupReport;
use codex_oauth_proto::{ErrorCode, NextStep, Nonce, Retry, WireError, dir, stop_point, version};
use tokio_util::task::TaskTracker;

use crate::activation::Passed;
use crate::auth::{Accounts, AuthConfig, Workspaces};
use crate::config::{CLIENT_ID, Config};
use crate::instance::{Instance, InstanceError};
use crate::listen::Bound;
use crate::log::Log;
use crate::network::Network;
use crate::notify::{Notifier, Word};
use crate::server::Server;
use crate::service::{CodexService, Names, Ways};
use crate::shutdown::{Phase, Shutdown};
use crate::state::State;
use crate::upstream::{Upstream, UpstreamConfig};
use crate::{activation, harden, machine, process, signals};

/// The catalogue's schema that this build reads: the backend serves models by the version of the official client that
/// first understood them (WIRE §9.5).
const CATALOGUE_VERSION: &str = "0.169.0";

/// While the daemon drains, the service manager is told every ten seconds that the end comes within twenty: it then knows
/// an end that takes its time from one that hangs.
const STILL_ENDING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(20));

/// The database's name in the state folder.
const DATABASE: &str = "state.sqlite";

/// How the end of `run` is told to whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporting {
    /// A starter reads one line from standard output.
    Pipe,
    /// A person or a service manager reads the log.
    Log,
}

/// Why the daemon did not start.
#[derive(Debug)]
pub enum StartError {
    /// Another daemon is there; this is no failure for a starter.
    AlreadyRunning(String),
    /// Everything else.
    Failed(WireError),
}

/// Runs the daemon to its end.
pub fn run(reporting: Reporting) -> Result<(), StartError> {
    let mut log = None;
    let result = serve_to_the_end(reporting, &mut log);
    if let Some(log) = log {
        log.flush();
    }
    result
}

fn serve_to_the_end(reporting: Reporting, log: &mut Option<Log>) -> Result<(), StartError> {
    let result = prepare(log);
    let ready = match result {
        Ok(ready) => ready,
        Err(error) => {
            report_failure(reporting, &error);
            return Err(error);
        }
    };
    // One thread: the work is waiting, and every lock in this process is then short by construction.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(ErrorCode::Internal, &error, NextStep::Retry))?;
    let result = runtime.block_on(serve(ready, reporting));
    // Everything that must not be cut was waited for. What may still run is a look-up of a name, and nobody waits for it.
    runtime.shutdown_background();
    result
}

struct Ready {
    config: Config,
    instance: Instance,
    /// What the service manager passed, if it did.
    socket: Option<Passed>,
    notifier: Notifier,
    log: Log,
    uid: UserId,
}

fn prepare(started: &mut Option<Log>) -> Result<Ready, StartError> {
    let passed = activation::take();
    let notifier = Notifier::take();
    let hardened = harden::harden(passed.as_ref().ok().and_then(Option::as_ref));
    let env = Env::from_process();
    let config = Config::load(&env).map_err(|error| StartError::Failed(error.to_wire()))?;
    let log = Log::start(&config.log, &config.state_dir.join("daemon.log")).map_err(|error| {
        let error = WireError::daemon(ErrorCode::Configuration, Retry::Never, error);
        StartError::Failed(error.next(config.to_correct("log")))
    })?;
    *started = Some(log.clone());
    if let Err((step, error)) = hardened {
        let message = format!("could not {step}: {error}");
        return Err(StartError::Failed(WireError::daemon(ErrorCode::Internal, Retry::Never, message)));
    }
    let directory = |path, name: &str| {
        dir::ensure_private(path, env.uid)
            .map_err(|error| failed(ErrorCode::Configuration, &error, error.next_step_in(&env, name)))
    };
    directory(&config.endpoint.dir, "CODEX_OAUTH_RUNTIME_DIR")?;
    directory(&config.state_dir, "CODEX_OAUTH_STATE_DIR")?;
    if let Some(parent) = config.auth_file.parent()
        && !parent.is_dir()
    {
        dir::ensure_private(parent, env.uid).map_err(|error| {
            let step = match &error {
                // The person's own: nobody has set a variable for it.
                DirError::NotADirectory { path } => NextStep::FixFile { path: path.display().to_string() },
                error => error.next_step_in(&env, "CODEX_OAUTH_AUTH_FILE"),
            };
            failed(ErrorCode::Configuration, &error, step)
        })?;
    }
    let unfit = |error: activation::ActivationError| {
        failed(
            ErrorCode::Configuration,
            &error,
            NextStep::FixConfiguration { name: "the socket unit".to_owned() },
        )
    };
    let socket = passed.map_err(unfit)?;
    stop_point::reached("daemon claims");
    let claimed = match &socket {
        Some(socket) => {
            activation::check(socket, &config.endpoint.socket()).map_err(unfit)?;
            Instance::claim_from_predecessor(&config)
        }
        None => Instance::claim(&config),
    };
    let instance = claimed.map_err(|error| match error {
        InstanceError::Socket(LockError::Held { text, .. }) => StartError::AlreadyRunning(text),
        InstanceError::Unreachable { within, .. } => {
            let step = NextStep::RetryIn { seconds: within.as_secs() };
            failed(ErrorCode::DaemonUnavailable, &error, step)
        }
        InstanceError::Socket(_) | InstanceError::Credentials(_) => failed(
            ErrorCode::OtherCredentialStore,
            &error,
            NextStep::FixConfiguration { name: "CODEX_OAUTH_RUNTIME_DIR".to_owned() },
        ),
    })?;
    Ok(Ready { config, instance, socket, notifier, log, uid: env.uid })
}

async fn serve(ready: Ready, reporting: Reporting) -> Result<(), StartError> {
    let Ready { config, instance, socket, notifier, log, uid } = ready;
    let started = start(&config, &instance, socket, log, uid);
    let (server, bound) = match started {
        Ok(started) => started,
        Err(error) => {
            // Whoever hears of it may start another at once, which would take this one for a daemon that serves.
            drop(instance);
            report_failure(reporting, &error);
            return Err(error);
        }
    };
    // Before anybody asks: the file may hold a token that is spent.
    server.service.begin().await;
    tracing::info!(
        build = version::build(),
        pid = std::process::id(),
        socket = %config.endpoint.socket().display(),
        credentials = %config.auth_file.display(),
        issuer = config.issuer,
        backend = config.backend,
        activated = bound.is_inherited(),
        started_by = process::parent(),
        "ready"
    );
    stop_point::reached("daemon reports");
    report(reporting, &StartupReport::Ready { pid: std::process::id(), nonce: server.nonce.clone() });
    if reporting == Reporting::Pipe {
        harden::stdout_to_null().map_err(|error| failed(ErrorCode::Internal, &error, NextStep::Retry))?;
    }
    notifier.tell(&[Word::Ready, Word::Status("serving")]);
    let ending = async {
        let _shown = server.clone().run(bound, instance).await;
        stop_point::reached("daemon writes its last");
        server.service.close().await;
    };
    tokio::select! {
        () = ending => {}
        () = tell_of_the_end(&notifier, &server) => {}
    }
    notifier.tell(&[Word::Stopping]);
    tracing::info!("ended");
    Ok(())
}

fn start(
    config: &Config,
    instance: &Instance,
    socket: Option<Passed>,
    log: Log,
    uid: UserId,
) -> Result<(Arc<Server>, Bound), StartError> {
    let network = Network::new(config.network.clone()).map_err(|error| {
        let by = config.network.ca_file.as_ref().map_or(&config.network.ca_key, |file| &file.by);
        failed(ErrorCode::Configuration, &error, NextStep::FixConfiguration { name: by.clone() })
    })?;
    let shutdown = Shutdown::default();
    let auth = AuthConfig {
        file: config.auth_file.clone(),
        history: config.state_dir.join("refresh-history.jsonl"),
        issuer: config.issuer.clone(),
        backend_origin: config.backend_origin(),
        client_id: CLIENT_ID.to_owned(),
        callback_ports: config.callback_ports.clone(),
        workspaces: Workspaces { allowed: config.workspaces.clone(), by: config.named_by("workspace") },
        originator: config.originator.clone(),
        user_agent: config.user_agent(),
        network: network.clone(),
        machine_id: machine::id(),
    };
    let upstream = UpstreamConfig {
        backend: config.backend.clone(),
        originator: config.originator.clone(),
        user_agent: config.user_agent(),
        client_version: CATALOGUE_VERSION.to_owned(),
        network: network.clone(),
    };
    let accounts = Accounts::new(auth, config.limits.clone(), TaskTracker::new())
        .map_err(|error| failed(ErrorCode::Configuration, &error, config.to_correct("issuer_url")))?;
    let upstream = Upstream::new(upstream, config.limits.clone())
        .map_err(|error| failed(ErrorCode::Configuration, &error, config.to_correct("backend_url")))?;
    let ways = Ways {
        network,
        issuer: config.issuer.clone(),
        backend: config.backend.clone(),
        user_agent: config.user_agent(),
    };
    let unnamed = |error| failed(ErrorCode::Internal, &error, NextStep::Retry);
    let nonce = Nonce::random().map_err(unnamed)?;
    let names = Names::new(Nonce::random_bits().map_err(unnamed)?);
    let state = State::open(config.state_dir.join(DATABASE))
        .map_err(|error| failed(ErrorCode::Internal, &error, NextStep::Retry))?;
    let limits = config.limits.clone();
    let service = CodexService::new(accounts, upstream, ways, limits, shutdown.clone(), state, names);
    let path = config.endpoint.socket();
    stop_point::reached("daemon binds");
    let bound = match socket {
        Some(socket) => Bound::inherited(socket, &path, instance),
        None => Bound::bind(&path, uid, instance),
    }
    .map_err(|error| {
        let step = if error.is_managed() {
            NextStep::UseService
        } else {
            NextStep::FixFile { path: path.display().to_string() }
        };
        failed(ErrorCode::DaemonUnavailable, &error, step)
    })?;
    let server = Arc::new(Server::new(config.clone(), service, shutdown, log, nonce, uid));
    signals::watch(&server).map_err(|error| failed(ErrorCode::Internal, &error, NextStep::Retry))?;
    Ok((server, bound))
}

/// Says that the daemon ends, and again and again that it still does. Never returns.
async fn tell_of_the_end(notifier: &Notifier, server: &Server) {
    server.shutdown.reached(Phase::HandingOver).await;
    let (every, within) = STILL_ENDING;
    let mut tick = tokio::time::interval(every);
    while notifier.is_heard() {
        tick.tick().await;
        let status = format!("finishing {} answers", server.service.turns_running());
        notifier.tell(&[Word::Stopping, Word::Extend(within), Word::Status(&status)]);
    }
    std::future::pending::<()>().await;
}

fn failed(code: ErrorCode, error: &dyn std::error::Error, step: NextStep) -> StartError {
    StartError::Failed(WireError::daemon(code, Retry::Never, with_causes(error)).next(step))
}

fn report_failure(reporting: Reporting, error: &StartError) {
    let failure = match error {
        StartError::AlreadyRunning(holder) => StartupReport::AlreadyRunning { holder: holder.clone() },
        StartError::Failed(error) => StartupReport::Failed(error.clone()),
    };
    report(reporting, &failure);
}

fn report(reporting: Reporting, report: &StartupReport) {
    if reporting == Reporting::Log {
        return;
    }
    let line = serde_json::to_vec(report).and_then(|mut line| {
        line.push(b'\n');
        std::io::stdout().write_all(&line).map_err(serde_json::Error::io)
    });
    // The starter has gone: this daemon is for whoever comes next.
    if let Err(error) = line {
        tracing::info!(%error, "nobody read the start-up report");
    }
}
