//! `daemon/probe`: the way to the issuer and to the backend, tried step by step.

use serde::{Deserialize, Serialize};

use super::{Empty, method};
use crate::WireError;

method! {
    /// Tries the way to the issuer and to the backend, as the daemon goes it. Carries no token and spends nothing.
    DaemonProbe = "daemon/probe", Empty => ProbeResult
}

/// See [`DaemonProbe`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeResult {
    /// The issuer first, then the backend.
    pub ways: Vec<Way>,
}

/// The way to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    /// Which one.
    pub service: Service,
    /// The address that was asked.
    pub url: String,
    /// The proxy on the way, without user name and password; `null` for none.
    pub proxy: Option<Chosen>,
    /// Why there is no proxy on the way, if there is none.
    pub direct: Option<String>,
    /// The file of roots beside the system's; `null` for none.
    pub ca_file: Option<Chosen>,
    /// What was done, in order. The last one is the one that failed, if there is an error.
    pub steps: Vec<Step>,
    /// Who issued the server's certificate, as it says itself; `null` without TLS, or when none came.
    pub certificate_issuer: Option<String>,
    /// The HTTP status. Any is an answer: without a token most are refusals.
    pub http_status: Option<u16>,
    /// This machine's clock minus the server's `Date`, in seconds; `null` without one.
    pub clock_ahead_seconds: Option<i64>,
    /// Milliseconds for all of it.
    pub took_ms: u64,
    /// Why the way leads nowhere, with the next step; `null` when the service answered.
    pub error: Option<WireError>,
}

/// A setting, and who chose it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    /// What was chosen.
    pub value: String,
    /// The variable of the daemon's own environment, or the key with its file.
    pub by: String,
}

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Which one.
    pub name: StepName,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What came of it, for people, such as the address that was connected to.
    pub detail: Option<String>,
}

/// A service that the daemon talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Signs in and renews.
    Issuer,
    /// Answers questions.
    Backend,
    /// A service that this build does not know.
    #[serde(other)]
    Unknown,
}

/// The steps, in their order. Those that a way does not need are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// The name of the server, or of the proxy, to its addresses.
    Dns,
    /// TCP to one of them.
    Connect,
    /// The proxy connects on to the server (RFC 9110 §9.3.6).
    Tunnel,
    /// The server's certificate is checked and the connection encrypted.
    Tls,
    /// A request is answered.
    Http,
    /// A step that this build does not know.
    #[serde(other)]
    Unknown,
}
