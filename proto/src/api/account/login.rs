//! `account/login/*`: signing in.

use serde::{Deserialize, Serialize};

use super::Account;
use crate::WireError;
use crate::api::{Empty, method};

method! {
    /// Starts a login, or joins the one that is pending: all callers share it.
    LoginStart = "account/login/start", LoginStartParams => LoginStartResult
}
method! {
    /// Ends a pending login. The stored login stays as it is.
    LoginCancel = "account/login/cancel", LoginCancelParams => Empty
}
method! {
    /// Signs in with what a person copied out of a browser on another machine: the address that it ended at, or the code
    /// in it. Answered at the end of the login; a text that leads to nothing leaves it pending.
    LoginPaste = "account/login/paste", LoginPasteParams => Empty
}

/// Notification: a way into a login that this session started or joined has opened or ended, or the login is a step
/// further; see [`LoginUpdated`].
pub const LOGIN_UPDATED: &str = "account/login/updated";
/// Notification: a login that this session started or joined has ended; see [`LoginCompleted`].
pub const LOGIN_COMPLETED: &str = "account/login/completed";

/// See [`LoginStart`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginStartParams {
    /// Let the daemon open a browser on the asking session's screen.
    pub open_browser: bool,
    /// Whether to offer a device code too. Absent: where the person's browser does not reach this machine.
    pub device: Option<bool>,
    /// Which account to sign in to, a new one too; the chosen or default one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// A login that waits for its person, and the ways through it that are open: the first one that is used ends the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginStartResult {
    /// Names this login.
    pub login_id: String,
    /// The account that it signs in to; absent from a daemon of an older build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The link to open in a browser on this machine, or anywhere if its last address is then pasted.
    pub auth_url: String,
    /// Unix seconds at which the last way ends that is open now.
    pub expires_at: u64,
    /// Whether a browser was opened; false when none was asked for or none could be.
    pub browser_opened: bool,
    /// Why none was opened although one was asked for.
    #[serde(default)]
    pub browser_note: Option<String>,
    /// The loopback port that the link comes back to; `null` when none could be had or the link is over.
    #[serde(default)]
    pub redirect_port: Option<u16>,
    /// Why no port could be had: the link's last address has to be pasted.
    #[serde(default)]
    pub port_note: Option<String>,
    /// Unix seconds at which the link stops working.
    #[serde(default)]
    pub link_expires_at: u64,
    /// The device code, once there is one.
    #[serde(default)]
    pub device: Option<DeviceCode>,
    /// Why there is none, or no longer.
    #[serde(default)]
    pub device_note: Option<String>,
    /// Where the asking session's person sits.
    #[serde(default)]
    pub place: Place,
    /// How far the login is.
    #[serde(default)]
    pub step: LoginStep,
    /// Why the last code led to no tokens; absent once another one is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}

/// What a person enters where, in a browser anywhere (WIRE §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceCode {
    /// The page that asks for the code.
    pub verification_url: String,
    /// The code.
    pub user_code: String,
    /// Unix seconds at which it stops working.
    pub expires_at: u64,
}

/// Where a person sits, as far as the session's environment tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At the screen of this machine.
    Desktop,
    /// Elsewhere, over SSH.
    Ssh,
    /// At the Windows side of a WSL.
    Wsl,
    /// Outside the container that the daemon runs in.
    Container,
    /// Nobody knows; there is no screen.
    Headless,
    /// Nobody asked, or a place that this build does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// How far a login is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginStep {
    /// It waits for its person.
    #[default]
    Waiting,
    /// The issuer is asked for tokens.
    Exchanging,
    /// The backend is asked whether it accepts them.
    Proving,
    /// They are being written.
    Saving,
    /// A step that this build does not know.
    #[serde(other)]
    Unknown,
}

/// See [`LoginPaste`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginPasteParams {
    /// Which login.
    pub login_id: String,
    /// What was copied.
    pub text: Pasted,
}

/// A text with an authorization code in it. Without this daemon's verifier the code leads to no token (RFC 7636); it is
/// shown nowhere all the same.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pasted(pub String);

impl std::fmt::Debug for Pasted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pasted({} bytes)", self.0.len())
    }
}

/// See [`LoginCancel`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginCancelParams {
    /// Which login.
    pub login_id: String,
}

/// See [`LOGIN_UPDATED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginUpdated {
    /// How it stands now.
    pub login: LoginStartResult,
}

/// See [`LOGIN_COMPLETED`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginCompleted {
    /// Which login.
    pub login_id: String,
    /// Whether it led to a stored login.
    pub success: bool,
    /// Who signed in.
    pub account: Option<Account>,
    /// Why the new login could not be tried, if it could not and was kept all the same.
    #[serde(default)]
    pub note: Option<String>,
    /// Why it failed; the login from before, if any, is still in force.
    pub error: Option<WireError>,
}
