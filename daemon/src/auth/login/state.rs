//! How a login stands: what a client may know of it. Nothing here is secret but for the person who signs in: a link
//! without its verifier and a user code without its device id lead to no token.

use std::time::SystemTime;

use super::LoginError;

/// A login that waits for its person, or is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogin {
    /// Names this login in `login_cancel` and in [`LoginState`].
    pub login_id: String,
    /// To be opened in a browser; on this machine, unless what it ends at is pasted.
    pub authorize_url: String,
    /// Where the browser comes back to, on loopback. Over SSH this port has to be forwarded. `None`: no port could be had,
    /// and the address that the browser ends at has to be pasted.
    pub redirect_port: Option<u16>,
    /// Why no port could be had.
    pub port_note: Option<String>,
    /// When the link stops working.
    pub link_until: SystemTime,
    /// The way that needs no browser on this machine.
    pub device: Device,
    /// How far it is.
    pub step: Step,
    /// Why the last code led to no tokens, until another one is tried.
    pub last_failure: Option<String>,
}

/// The way of the device code (WIRE §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// Nobody has asked for it.
    #[default]
    Absent,
    /// The issuer is being asked for a code.
    Asking,
    /// The code waits for its person.
    Open(DeviceCode),
    /// There is no code, or no longer: why.
    Closed(String),
}

/// What a person enters where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// The page that asks for the code, in any browser.
    pub verification_url: String,
    /// The code.
    pub user_code: String,
    /// When it stops working.
    pub expires_at: SystemTime,
}

/// How far a login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// For its person.
    Waiting,
    /// The code is being exchanged for tokens.
    Exchanging,
    /// The backend is asked whether it accepts them.
    Proving,
    /// They are being written.
    Saving,
}

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// From the id token.
    pub email: Option<String>,
    /// `plus`, `pro`, ... as the issuer spells it.
    pub plan: Option<String>,
    /// The ChatGPT account, which is the workspace.
    pub account_id: String,
    /// Why the new login could not be proven, if it could not and was kept all the same.
    pub note: Option<String>,
}

/// How the latest login of this process stands.
#[derive(Clone, Debug, Default)]
pub enum LoginState {
    /// None was started.
    #[default]
    Idle,
    /// It waits for its person, or is at work.
    Pending(PendingLogin),
    /// The new login is on disk.
    Succeeded {
        /// Which login.
        login_id: String,
        /// Who signed in.
        who: Who,
    },
    /// The old login, if any, is still in force.
    Failed {
        /// Which login.
        login_id: String,
        /// Why.
        reason: LoginError,
    },
}

impl PendingLogin {
    /// When the last way ends that is open now.
    pub fn expires_at(&self) -> SystemTime {
        match &self.device {
            Device::Open(code) => self.link_until.max(code.expires_at),
            _ => self.link_until,
        }
    }
}

impl Device {
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Asking | Self::Open(_))
    }
}

impl LoginState {
    /// The latest login's name, if there was one.
    pub(in crate::auth) fn login_id(&self) -> Option<&str> {
        match self {
            Self::Idle => None,
            Self::Pending(pending) => Some(&pending.login_id),
            Self::Succeeded { login_id, .. } | Self::Failed { login_id, .. } => Some(login_id),
        }
    }

    pub(super) fn is_pending(&self, login_id: &str) -> bool {
        matches!(self, Self::Pending(pending) if pending.login_id == login_id)
    }
}
