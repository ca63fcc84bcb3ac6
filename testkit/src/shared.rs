//! The state that all connections of one fake share.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::Behaviour;
use crate::issuer::Logins;
use crate::journal::Journal;
use crate::script::{Effect, Endpoint, MAX_SCRIPTS, Script};
use crate::tls::Authority;
use crate::tokens::Tokens;

/// Most gates that may be open: far above any test, and a loop that opens for ever is noticed.
const MAX_GATES: usize = 10_000;

/// One fake, seen from a connection. No lock of it is held across a wait.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) tls_address: Option<SocketAddr>,
    pub(crate) authority: Authority,
    pub(crate) behaviour: Mutex<Behaviour>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) logins: Mutex<Logins>,
    pub(crate) journal: Journal,
    pub(crate) connections: AtomicU64,
    scripts: Mutex<VecDeque<Script>>,
    open_gates: watch::Sender<BTreeSet<String>>,
}

impl Shared {
    pub(crate) fn new(
        address: SocketAddr,
        tls_address: Option<SocketAddr>,
        authority: Authority,
        behaviour: Behaviour,
    ) -> Self {
        Self {
            address,
            tls_address,
            authority,
            behaviour: Mutex::new(behaviour),
            tokens: Mutex::default(),
            logins: Mutex::default(),
            journal: Journal::new(),
            connections: AtomicU64::new(0),
            scripts: Mutex::default(),
            open_gates: watch::Sender::default(),
        }
    }

    /// A snapshot of the knobs.
    pub(crate) fn behaviour(&self) -> Behaviour {
        self.behaviour.lock().clone()
    }

    /// `http://127.0.0.1:PORT`, also the `iss` of tokens.
    pub(crate) fn issuer_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Queues a script; false if the queue is full.
    pub(crate) fn push_script(&self, script: Script) -> bool {
        let mut scripts = self.scripts.lock();
        let fits = scripts.len() < MAX_SCRIPTS;
        if fits && script.times > 0 {
            scripts.push_back(script);
        }
        fits
    }

    pub(crate) fn clear_scripts(&self) {
        self.scripts.lock().clear();
    }

    /// Takes the effect for one request: of the oldest script that names its endpoint.
    pub(crate) fn next_effect(&self, endpoint: Endpoint) -> Effect {
        let mut scripts = self.scripts.lock();
        let matches = |script: &Script| script.on == endpoint || script.on == Endpoint::Any;
        let Some(index) = scripts.iter().position(matches) else { return Effect::default() };
        let script = &mut scripts[index];
        let effect = script.effect.clone();
        script.times -= 1;
        if script.times == 0 {
            scripts.remove(index);
        }
        effect
    }

    /// Opens a gate for good; false if too many are open.
    pub(crate) fn release(&self, gate: &str) -> bool {
        let mut fits = true;
        self.open_gates.send_modify(|open| {
            fits = open.len() < MAX_GATES;
            if fits {
                open.insert(gate.to_owned());
            }
        });
        fits
    }

    /// Waits until the gate is open.
    pub(crate) async fn pass(&self, gate: &str) {
        // The sender lives in `self`, so it cannot have gone.
        let _ = self.open_gates.subscribe().wait_for(|open| open.contains(gate)).await;
    }
}
