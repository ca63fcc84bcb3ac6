//! What a service has to be told, taken from this program and the person's shell: a manager starts the daemon with neither.

use std::path::PathBuf;

use codex_oauth_proto::dir;
use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::launch::{self, LaunchError, find_daemon};

use crate::failure::Failure;

/// Paths and variables of one person's service.
#[derive(Debug)]
pub(super) struct Facts {
    /// The daemon's program.
    pub(super) daemon: PathBuf,
    /// This program.
    pub(super) command: PathBuf,
    /// The person as Windows names them, `DOMAIN\\ada`; empty elsewhere.
    pub(super) user: String,
    /// Where clients connect.
    pub(super) socket: PathBuf,
    /// Whether that is where every client looks without being told.
    pub(super) is_usual_socket: bool,
    /// Where a daemon writes that no manager listens to.
    pub(super) log: PathBuf,
    /// Folders that the daemon replaces files in, other than the usual ones.
    pub(super) folders: Vec<PathBuf>,
    /// Variables of the shell that would pass to a daemon started from it.
    pub(super) variables: Vec<(String, String)>,
}

impl Facts {
    pub(super) fn of(env: &Env) -> Result<Self, Failure> {
        let wire = |error: LaunchError| error.to_wire();
        let endpoint = Endpoint::resolve(env).map_err(|error| wire(error.into()))?;
        let daemon = find_daemon(env).map_err(wire)?;
        let place = |found: Result<PathBuf, _>| found.map_err(|error| wire(LaunchError::Env(error)));
        let state = place(env.state_dir())?;
        let auth = place(env.auth_file())?;
        let named =
            ["CODEX_OAUTH_STATE_DIR", "CODEX_OAUTH_RUNTIME_DIR", "CODEX_OAUTH_CONFIG_DIR", "XDG_STATE_HOME"];
        let mut folders: Vec<PathBuf> =
            named.iter().filter_map(|name| env.get(name)).map(PathBuf::from).collect();
        if env.get("CODEX_OAUTH_AUTH_FILE").is_some() {
            folders.extend(auth.parent().map(PathBuf::from));
        }
        // launchd makes neither the folder of a socket nor that of a log.
        for (folder, variable) in
            [(&endpoint.dir, "CODEX_OAUTH_RUNTIME_DIR"), (&state, "CODEX_OAUTH_STATE_DIR")]
        {
            dir::ensure_private(folder, env.uid)
                .map_err(|error| wire(LaunchError::folder(error, env, variable)))?;
        }
        let usual = env.run_user.as_ref().map(|run| run.join(codex_oauth_proto::env::APP));
        Ok(Self {
            daemon,
            // Windows' codex-oauth.cmd starts it by way of a `..`.
            command: std::env::current_exe()
                .and_then(std::path::absolute)
                .unwrap_or_else(|_| "codex-oauth".into()),
            user: ["USERDOMAIN", "USERNAME"].map(|name| env.get(name).unwrap_or_default()).join("\\"),
            socket: endpoint.socket(),
            is_usual_socket: usual.as_ref() == Some(&endpoint.dir),
            log: state.join("daemon.log"),
            folders,
            // What of them is a proxy may hold a password, and is in config.toml.
            variables: launch::service_variables(env)
                .into_iter()
                .filter(|(name, _)| name != "CODEX_OAUTH_PROXY")
                .collect(),
        })
    }
}
