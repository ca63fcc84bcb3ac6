//! What a fake listens on and how it behaves; everything has a default that is faithful to the real servers.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// How to start a [`FakeOpenAi`](crate::FakeOpenAi).
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the plain HTTP listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the TLS listener, if there is to be one; port 0 takes a free one.
    pub tls_listen: Option<SocketAddr>,
    /// What can also be changed while it runs.
    pub behaviour: Behaviour,
}

impl Config {
    /// The default with a TLS listener on a free port beside the plain one.
    pub fn with_tls() -> Self {
        Self { tls_listen: Some(loopback()), ..Self::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: loopback(), tls_listen: None, behaviour: Behaviour::default() }
    }
}

/// The knobs; also the JSON of the admin endpoint's `config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Who signs in when a browser or a device code is approved.
    pub identity: Identity,
    /// What a second use of a refresh token does (WIRE §5.7, §11).
    pub reuse_policy: ReusePolicy,
    /// Lifetime of access tokens in seconds; zero or less makes tokens that are expired at birth. The real one is
    /// about ten days (WIRE §5.6).
    pub access_token_life_secs: i64,
    /// Lifetime of id tokens in seconds.
    pub id_token_life_secs: i64,
    /// Lifetime of authorization codes in seconds.
    pub code_life_secs: u64,
    /// Wait before the head of every answer, admin excluded, in milliseconds.
    pub latency_ms: u64,
    /// Further wait before a successful refresh is answered, in milliseconds; the token is spent before it.
    pub refresh_success_latency_ms: u64,
    /// Further wait before a refused refresh is answered, in milliseconds.
    pub refresh_failure_latency_ms: u64,
    /// Show a page with Approve and Deny instead of approving at once.
    pub require_approval: bool,
    /// Whether device-code login is on; off answers 404 (WIRE §3).
    pub device_enabled: bool,
    /// Poll interval told to device clients, in seconds.
    pub device_interval_secs: u64,
    /// Lifetime of a device code in seconds (WIRE §3: 15 minutes).
    pub device_life_secs: u64,
    /// Refuse `Instructions are required` when a non-lite model gets neither a non-empty `instructions` nor a
    /// developer message in `input`. The second half lets the real CLI pass, which sends no `instructions`
    /// (WIRE §7.2, §7.5).
    pub instructions_required: bool,
    /// `workspace_backend_origin` of accounts/check. `NO_CONSTRAINT` fails closed; `https://chatgpt.com` may send a
    /// real CLI to the real server (WIRE §6).
    pub workspace_backend_origin: String,
    /// `account_routing_override` of accounts/check.
    pub account_routing_override: String,
    /// Slugs that are neither listed nor served; changing it changes the models `ETag`.
    pub retired_models: Vec<String>,
    /// What the rate-limit headers and the usage endpoint say.
    pub rate_limits: RateLimits,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            identity: Identity::default(),
            reuse_policy: ReusePolicy::default(),
            access_token_life_secs: 10 * 24 * 3600,
            id_token_life_secs: 3600,
            code_life_secs: 300,
            latency_ms: 0,
            refresh_success_latency_ms: 0,
            refresh_failure_latency_ms: 0,
            require_approval: false,
            device_enabled: true,
            device_interval_secs: 1,
            device_life_secs: 15 * 60,
            instructions_required: true,
            workspace_backend_origin: "NO_CONSTRAINT".to_owned(),
            account_routing_override: "NO_CONSTRAINT".to_owned(),
            retired_models: Vec::new(),
            rate_limits: RateLimits::default(),
        }
    }
}

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// E-mail address, in the id token and the access token's profile.
    pub email: String,
    /// `chatgpt_plan_type`: `free`, `plus`, `pro`, `team`, … (WIRE §5.6).
    pub plan: String,
    /// `chatgpt_account_id`, which clients must send as `chatgpt-account-id`.
    pub account_id: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            email: "ada@example.com".to_owned(),
            plan: "plus".to_owned(),
            account_id: "11111111-2222-4333-8444-555555555555".to_owned(),
        }
    }
}

/// What happens when a spent refresh token is presented again (WIRE §11).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReusePolicy {
    /// `refresh_token_reused`, and nothing else changes.
    #[default]
    ErrorOnly,
    /// Also every refresh token of the family dies; access tokens live on.
    KillRefreshFamily,
    /// Also every access token of the family dies.
    KillFamilyAndAccess,
}

/// The two windows of a subscription (WIRE §9.3, §9.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Used share of the 5-hour window, percent.
    pub primary_used_percent: f64,
    /// Seconds from each answer to the end of the 5-hour window.
    pub primary_reset_after_secs: u64,
    /// Used share of the weekly window, percent.
    pub secondary_used_percent: f64,
    /// Seconds from each answer to the end of the weekly window.
    pub secondary_reset_after_secs: u64,
    /// Whether `wham/usage` says that a limit is reached. Turns are refused only by a script.
    pub limit_reached: bool,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            primary_used_percent: 12.5,
            primary_reset_after_secs: 7_200,
            secondary_used_percent: 40.0,
            secondary_reset_after_secs: 400_000,
            limit_reached: false,
        }
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
