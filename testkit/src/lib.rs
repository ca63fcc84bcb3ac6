//! A strict stand-in for the OAuth issuer and the Codex backend, on loopback.
//!
//! Promises: it refuses what the real servers are known to refuse, with their words; every token it makes says
//! `FAKE`; every request is in the [journal](Entry) without a raw token; whatever a [`Script`] asks for happens to
//! exactly the requests it names; and it makes no outgoing connection.
//!
//! Protocol facts are cited as `WIRE §n`: the project's notes on what the real client and servers do.

mod admin;
mod answer;
mod backend;
mod browse;
mod config;
mod effects;
mod fake;
mod issuer;
mod journal;
mod jwt;
mod proxy;
mod received;
mod reply;
mod router;
mod script;
mod server;
mod shared;
mod sse;
mod task;
mod text;
mod tls;
mod tokens;

pub use browse::{Page, browse, submit};
pub use config::{Behaviour, Config, Identity, RateLimits, ReusePolicy};
pub use effects::RefreshError;
pub use fake::FakeOpenAi;
pub use journal::{Entry, JOURNAL_CAPACITY, Outcome, WAIT_DEADLINE, WaitError};
pub use proxy::{FakeProxy, ProxyBehaviour};
pub use script::{Action, Effect, Endpoint, Pace, Script, StreamError, StreamFault};
pub use tls::Validity;
pub use tokens::{MintRequest, MintedLogin};
