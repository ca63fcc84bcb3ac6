//! The first line each way: hello, then welcome or refusal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::claim::Claim;
use crate::{Nonce, ProtocolVersion, VersionRange, WireError};

/// The only names of the session's environment that travel in a hello. Each is about that person's screen or about what
/// is logged for that session; none may decide where a token goes.
pub const SESSION_ENV: &[&str] = &[
    "BROWSER",
    "CLAUDE_CODE_SESSION_ID",
    "CODEX_DEBUG",
    "CODEX_OAUTH_NO_BROWSER",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "SSH_CONNECTION",
    "TZ",
    "WAYLAND_DISPLAY",
    "WSL_DISTRO_NAME",
    "WSL_INTEROP",
    "XAUTHORITY",
];

/// The client's first line: `{"hello":{…}}`, or `{"hand_over":{…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientOpening {
    /// Who calls, and what it wants to speak.
    Hello(Hello),
    /// No session: a newer build asks the daemon to make way. Understood by every version of the conversation, because it is
    /// needed where two have none in common. The answer is a refusal: `draining` if it does.
    HandOver(HandOver),
}

/// Who asks the daemon to make way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// Its build: the daemon makes way only for one that is newer than its own.
    pub build: String,
}

/// The daemon's first line: `{"welcome":{…}}`, or `{"refusal":{…}}` after which it closes the connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerOpening {
    /// The dialect may begin.
    Welcome(Welcome),
    /// It may not.
    Refusal(Refusal),
}

/// Which dialect follows the welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The Model Context Protocol, every revision the daemon's SDK knows.
    Mcp,
    /// JSON-RPC 2.0 with the methods of [`crate::api`].
    Api,
    /// A role of a later version; refused.
    #[serde(other)]
    Unknown,
}

/// Who calls. Everything in it is a claim: the daemon checks the peer's user id itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Versions of the conversation that the client speaks.
    pub protocol: VersionRange,
    /// The client's build, for people.
    pub build: String,
    /// The dialect it wants.
    pub role: Role,
    /// Its process id, for people.
    pub pid: u32,
    /// Its working directory.
    pub cwd: String,
    /// Minted once per client process and kept over reconnects.
    pub nonce: Nonce,
    /// The number that the client's next request will have: requests are counted 1, 2, 3 … per nonce, because JSON-RPC
    /// ids are reused by simple clients.
    pub next: u64,
    /// Requests sent on an earlier connection and still unanswered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resume: Vec<Resume>,
    /// The credential file that the client's environment names; another one is refused.
    pub auth_file: String,
    /// The part of [`SESSION_ENV`] that is set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The proxy that the client's environment names: compared, never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Box<Claim>>,
    /// The exceptions from it that it names: compared, never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_proxy: Option<Box<Claim>>,
    /// The file of roots that it names: compared, never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<Box<Claim>>,
}

/// A request that lost its connection before its answer. Sent again, a question joins its turn or gets its kept answer, and
/// is asked anew only if it was never sent upstream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// Its number.
    pub n: u64,
    /// Its JSON-RPC id, a string or a number.
    pub id: Value,
    /// Whether it may have been sent upstream: false only when the daemon that had it announces that (version 2) and had
    /// not, up to the end of the connection.
    #[serde(default = "unless_told")]
    pub sent: bool,
}

/// Of a request of which nothing is said nobody can tell that it was never sent.
const fn unless_told() -> bool {
    true
}

/// The dialect may begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that both will speak.
    pub protocol: ProtocolVersion,
    /// The daemon's build, for people.
    pub build: String,
    /// Its process id, for people.
    pub pid: u32,
    /// This run of the daemon; another one means that it was restarted in between.
    pub nonce: Nonce,
    /// What the person should know about this session, such as a proxy that the daemon does not use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Why the dialect may not begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// Versions that the daemon speaks, so that a client can say which side is older.
    pub protocol: VersionRange,
    /// What is wrong and what to do.
    pub error: WireError,
}
