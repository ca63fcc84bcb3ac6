//! Where the socket is: a pure answer, the same for every program of one user.

use std::path::{Path, PathBuf};

use crate::env::{APP, Env, EnvError};

/// Bytes that fit `sun_path` without its closing NUL: 108 on Linux, 104 on macOS. A pipe's name may have 256 characters
/// (`CreateNamedPipe`).
pub const MAX_SOCKET_PATH: usize = if cfg!(windows) {
    256
} else if cfg!(target_os = "linux") {
    107
} else {
    103
};

/// The runtime directory and what lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Belongs to the user, mode 0700 (see [`crate::dir`]).
    pub dir: PathBuf,
    socket: PathBuf,
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
    ///
    /// Windows: `CODEX_OAUTH_RUNTIME_DIR`, else `%LOCALAPPDATA%\codex-oauth\run`; the pipe is named after user and folder.
    pub fn resolve(env: &Env) -> Result<Self, EndpointError> {
        if let Some(dir) = env.absolute("CODEX_OAUTH_RUNTIME_DIR")? {
            return Self::within(dir, env);
        }
        if cfg!(windows) {
            return Self::within(
                env.local_app_data("the runtime folder", "CODEX_OAUTH_RUNTIME_DIR")?.join("run"),
                env,
            );
        }
        if let Some(run) = &env.run_user {
            return Self::within(run.join(APP), env);
        }
        if let (true, Some(home)) = (cfg!(target_os = "macos"), &env.home)
            && let Ok(own) = Self::within(home.join("Library").join("Caches").join(APP), env)
        {
            return Ok(own);
        }
        Self::within(PathBuf::from(format!("/tmp/{APP}-{}", env.uid)), env)
    }

    /// The socket of the local dialects; on Windows the name of a pipe, which lies in no folder.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Held by the daemon for as long as it owns the socket.
    pub fn instance_lock(&self) -> PathBuf {
        self.dir.join("instance.lock")
    }

    /// Held by a daemon that has handed over and still finishes answers.
    pub fn ending_lock(&self) -> PathBuf {
        self.dir.join("ending.lock")
    }

    /// Held by whoever is starting a daemon.
    pub fn spawn_lock(&self) -> PathBuf {
        self.dir.join("spawn.lock")
    }

    fn within(dir: PathBuf, env: &Env) -> Result<Self, EndpointError> {
        let socket = socket_of(&dir, env);
        let len = socket.as_os_str().len();
        if len > MAX_SOCKET_PATH {
            return Err(EndpointError::TooLong { path: socket, len });
        }
        Ok(Self { dir, socket })
    }
}

#[cfg(unix)]
fn socket_of(dir: &Path, _: &Env) -> PathBuf {
    dir.join("daemon.sock")
}

/// `\\.\pipe\codex-oauth-<SID>-<hash of the folder>`: pipes share one flat name space on a machine.
#[cfg(windows)]
fn socket_of(dir: &Path, env: &Env) -> PathBuf {
    // FNV-1a: it tells a user's own folders apart and guards nothing. Windows does not tell case apart.
    let text = dir.to_string_lossy().to_lowercase();
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    PathBuf::from(format!(r"\\.\pipe\{APP}-{}-{hash:016x}", env.uid))
}

#[cfg(unix)]
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
