//! Where the socket is: a pure answer, the same for every program of one user.

use std::path::PathBuf;

use crate::env::{APP, Env, EnvError};

/// Bytes that fit `sun_path` without its closing NUL: 108 on Linux, 104 on macOS.
pub const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The runtime directory and what lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Belongs to the user, mode 0700 (see [`crate::dir`]).
    pub dir: PathBuf,
}

/// The endpoint could not be worked out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EndpointError {
    /// A variable cannot be used.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The system would cut the path off.
    #[error(
        "could not use the socket path `{}`: it has {len} bytes and the system allows {MAX_SOCKET_PATH}",
        path.display()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        len: usize,
    },
}

impl Endpoint {
    /// `CODEX_OAUTH_RUNTIME_DIR`; else `/run/user/<uid>/codex-oauth` where the system keeps such a folder; on macOS
    /// `~/Library/Caches/codex-oauth` if the path fits; else `/tmp/codex-oauth-<uid>`.
    pub fn resolve(env: &Env) -> Result<Self, EndpointError> {
        let shared = PathBuf::from(format!("/tmp/{APP}-{}", env.uid));
        let endpoint = if let Some(dir) = env.absolute("CODEX_OAUTH_RUNTIME_DIR")? {
            Self { dir }
        } else if let Some(run) = &env.run_user {
            Self { dir: run.join(APP) }
        } else if let (true, Some(home)) = (cfg!(target_os = "macos"), &env.home) {
            let own = Self { dir: home.join("Library").join("Caches").join(APP) };
            if own.fits().is_ok() { own } else { Self { dir: shared } }
        } else {
            Self { dir: shared }
        };
        endpoint.fits()?;
        Ok(endpoint)
    }

    /// The socket of the local dialects.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("daemon.sock")
    }

    /// Held by the daemon for as long as it owns the socket.
    pub fn instance_lock(&self) -> PathBuf {
        self.dir.join("instance.lock")
    }

    /// Held by whoever is starting a daemon.
    pub fn spawn_lock(&self) -> PathBuf {
        self.dir.join("spawn.lock")
    }

    fn fits(&self) -> Result<(), EndpointError> {
        let path = self.socket();
        let len = path.as_os_str().len();
        if len > MAX_SOCKET_PATH { Err(EndpointError::TooLong { path, len }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(run_user: Option<&str>) -> Env {
        Env::new(1000, Some("/home/ada".into()), run_user.map(Into::into))
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_place_depends_on_the_user_alone() {
        for (env, dir) in [
            (env(Some("/run/user/1000")), "/run/user/1000/codex-oauth"),
            (env(None), "/tmp/codex-oauth-1000"),
            (env(None).with("XDG_RUNTIME_DIR", "/elsewhere"), "/tmp/codex-oauth-1000"),
            (env(Some("/run/user/1000")).with("CODEX_OAUTH_RUNTIME_DIR", "/r"), "/r"),
        ] {
            assert_eq!(Endpoint::resolve(&env).unwrap().dir, PathBuf::from(dir));
        }
    }

    #[test]
    fn a_path_that_the_system_would_cut_is_refused_with_both_lengths() {
        let long = format!("/{}", "d".repeat(200));
        let refused =
            Endpoint::resolve(&env(None).with("CODEX_OAUTH_RUNTIME_DIR", long)).unwrap_err().to_string();
        assert!(refused.contains("213") && refused.contains(&MAX_SOCKET_PATH.to_string()), "{refused}");
    }
}
