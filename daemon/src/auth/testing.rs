//! What the tests of this module share.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::claims::unix_seconds;
use super::config::{AuthConfig, Workspaces};
use super::credentials::{Binding, Credentials, OwnGrant};
use super::manager::TokenManager;
use super::record;
use super::seams::Seams;
use super::shelf::Shelf;
use super::store::Changes;
use crate::limits::Limits;
use crate::network::Network;
use crate::secret::Secret;

pub(super) mod issuer;
pub(super) mod memory;

pub(super) const ACCOUNT: &str = "11111111-2222-4333-8444-555555555555";

/// A JWT with this payload and no valid signature.
pub(super) fn jwt(payload: &Value) -> Secret {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    Secret::new(format!("{}.{}.c2ln", part(&json!({"alg": "RS256", "typ": "JWT"})), part(payload)))
}

/// An access token of [`ACCOUNT`] that ends in so many seconds.
pub(super) fn access_token(seconds_left: i64, jti: &str) -> Secret {
    jwt(&json!({
        "exp": unix_seconds(in_seconds(seconds_left)), "jti": jti,
        "https://api.openai.com/auth": {"chatgpt_account_id": ACCOUNT, "chatgpt_plan_type": "plus"},
        "https://api.openai.com/profile": {"email": "ada@example.com"},
    }))
}

/// Counted from the start of the test process, so that equal calls give equal tokens; whole seconds, as records hold
/// them.
pub(super) fn in_seconds(seconds: i64) -> SystemTime {
    static START: LazyLock<u64> = LazyLock::new(|| unix_seconds(SystemTime::now()));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(*START);
    let span = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { now - span } else { now + span }
}

/// An own login at the public pair with opaque tokens.
pub(super) fn credentials(access_token: &str, refresh_token: &str) -> Credentials {
    Credentials {
        access_token: Secret::new(access_token),
        id_token: None,
        expires_at: Some(in_seconds(86_400)),
        account_id: ACCOUNT.to_owned(),
        own: Some(OwnGrant {
            refresh_token: Secret::new(refresh_token),
            bound: Binding::public(),
            obtained_at: Some(in_seconds(-86_400)),
            last_refresh: None,
            renewals: 0,
        }),
        place: None,
    }
}

/// A configuration whose issuer is also its backend.
pub(super) fn config(issuer: &str, file: PathBuf) -> AuthConfig {
    AuthConfig {
        history: file.with_file_name("history.jsonl"),
        file,
        issuer: issuer.to_owned(),
        backend_origin: issuer.to_owned(),
        client_id: "app_TEST".to_owned(),
        callback_ports: vec![0],
        workspaces: Workspaces::default(),
        originator: "codex_oauth".to_owned(),
        user_agent: "codex-oauth/test".to_owned(),
        network: Network::default(),
        machine_id: Some("machine-a".to_owned()),
    }
}

/// The manager of the first login of this configuration.
pub(super) fn manager(
    config: AuthConfig,
    limits: Limits,
    tracker: TaskTracker,
    seams: Seams,
) -> TokenManager {
    let place = (config.file.clone(), Shelf::First, Changes::default());
    TokenManager::at(place, config.normalized().unwrap(), limits, tracker, seams)
}

/// Puts this text into the file, as a program without care would.
pub(super) fn put(path: &Path, text: &str) {
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The credential file with `login` as our record between foreign ones.
pub(super) fn put_login(path: &Path, login: &Credentials) {
    let document =
        json!({"zed": {"k": 1}, "openai_codex": record::render(login), "alpha": [1, 2], "beta": null});
    put(path, &document.to_string());
}

/// Another name for the file, which forbids replacing it. Windows does not tell how many a file has.
#[cfg(unix)]
pub(super) fn hard_link(file: &Path) -> PathBuf {
    let link = file.with_extension("link");
    std::fs::hard_link(file, &link).unwrap();
    link
}

/// Removes a file of the test's own directory.
#[allow(clippy::disallowed_methods, reason = "nobody else knows the directory")]
pub(super) fn remove(file: &Path) {
    std::fs::remove_file(file).unwrap();
}

/// The credential file as JSON.
pub(super) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
