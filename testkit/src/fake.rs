//! The fake as a value: started, asked, scripted, and stopped when it is dropped.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::browse::{Page, browse, submit};
use crate::config::{Behaviour, Config, Identity, ReusePolicy};
use crate::issuer::{Decision, decide_device};
use crate::journal::{Entry, WAIT_DEADLINE, WaitError};
use crate::script::{Effect, Endpoint, Script};
use crate::server;
use crate::shared::Shared;
use crate::tls::Authority;
use crate::tokens::{MintRequest, MintedLogin};

/// A running issuer and backend, on a thread and a runtime of its own, so that blocking and asynchronous tests can
/// both use it. It stops when it is dropped; open connections then close.
#[derive(Debug)]
pub struct FakeOpenAi {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeOpenAi {
    /// Binds, then serves; when it returns, connections are accepted.
    ///
    /// # Errors
    /// If an address cannot be bound, or the runtime or the certificates cannot be made.
    pub fn start(config: Config) -> io::Result<Self> {
        let plain = TcpListener::bind(config.listen)?;
        let tls = config.tls_listen.map(TcpListener::bind).transpose()?;
        let tls_address = tls.as_ref().map(TcpListener::local_addr).transpose()?;
        let authority = Authority::generate()?;
        let shared = Arc::new(Shared::new(plain.local_addr()?, tls_address, authority, config.behaviour));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (plain, tls) = {
            let _inside = runtime.enter();
            (register(plain)?, tls.map(register).transpose()?)
        };
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("fake-openai".to_owned()).spawn(move || {
            runtime.block_on(async {
                if let Some(listener) = tls {
                    let acceptor = serving.authority.acceptor();
                    crate::task::spawn(server::listen(Arc::clone(&serving), listener, Some(acceptor)));
                }
                crate::task::spawn(server::listen(serving, plain, None));
                // A dropped sender stops it as well.
                let _ = stopped.await;
            });
        })?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn issuer_url(&self) -> String {
        self.shared.issuer_url()
    }

    /// `http://127.0.0.1:PORT/backend-api`.
    pub fn backend_url(&self) -> String {
        format!("{}/backend-api", self.issuer_url())
    }

    /// `https://localhost:PORT`, if there is a TLS listener.
    pub fn tls_issuer_url(&self) -> Option<String> {
        self.shared.tls_address.map(|address| format!("https://localhost:{}", address.port()))
    }

    /// `https://localhost:PORT/backend-api`, if there is a TLS listener.
    pub fn tls_backend_url(&self) -> Option<String> {
        self.tls_issuer_url().map(|url| format!("{url}/backend-api"))
    }

    /// Address of the plain listener.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Address of the TLS listener, if there is one.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.shared.tls_address
    }

    /// PEM of the authority that signed the TLS certificate.
    pub fn ca_pem(&self) -> &str {
        &self.shared.authority.pem
    }

    /// Queues a script.
    ///
    /// # Panics
    /// If 10 000 scripts are waiting already.
    pub fn script(&self, script: Script) {
        assert!(self.shared.push_script(script), "could not queue the script: too many are waiting");
    }

    /// Queues an effect for the next request to this endpoint.
    ///
    /// # Panics
    /// As [`FakeOpenAi::script`].
    pub fn next(&self, on: Endpoint, effect: Effect) {
        self.script(Script::once(on, effect));
    }

    /// Forgets all scripts that wait.
    pub fn clear_scripts(&self) {
        self.shared.clear_scripts();
    }

    /// Opens a gate for good: whoever waits at it goes on, and later ones do not wait.
    ///
    /// # Panics
    /// If 10 000 gates are open already.
    pub fn release(&self, gate: &str) {
        assert!(self.shared.release(gate), "could not open the gate: too many are open");
    }

    /// Changes how it behaves, for requests that come after.
    pub fn configure(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.lock());
    }

    /// What a second use of a refresh token does.
    pub fn set_reuse_policy(&self, policy: ReusePolicy) {
        self.configure(|behaviour| behaviour.reuse_policy = policy);
    }

    /// Makes a login without a browser.
    pub fn mint(&self, request: &MintRequest) -> MintedLogin {
        let behaviour = self.shared.behaviour();
        self.shared.tokens.lock().mint(&behaviour, &self.issuer_url(), request)
    }

    /// The backend answers `token_expired` to every access token made so far, whatever its `exp` says.
    pub fn expire_access_tokens(&self) {
        self.shared.tokens.lock().end_all_access("token_expired");
    }

    /// The backend answers `token_invalidated` to every access token made so far.
    pub fn invalidate_access_tokens(&self) {
        self.shared.tokens.lock().end_all_access("token_invalidated");
    }

    /// The issuer answers `refresh_token_invalidated` to every unused refresh token made so far.
    pub fn revoke_refresh_tokens(&self) {
        self.shared.tokens.lock().end_all_refresh();
    }

    /// The backend answers `token_revoked`, the issuer `refresh_token_invalidated` to everything made so far.
    pub fn revoke_everything(&self) {
        let mut tokens = self.shared.tokens.lock();
        tokens.end_all_access("token_revoked");
        tokens.end_all_refresh();
    }

    /// How the journal names this token.
    pub fn label(&self, token: &str) -> String {
        self.shared.tokens.lock().label(token)
    }

    /// Every code, verifier and token that was issued or received, in clear and each once: a test looks for them where
    /// no secret may be. Those beyond the fake's own memory of tokens (50 000 of a kind) are forgotten, oldest first.
    pub fn secrets_seen(&self) -> Vec<String> {
        let mut seen: Vec<String> = self.shared.tokens.lock().seen().map(str::to_owned).collect();
        let logins = self.shared.logins.lock();
        let unspent = logins.codes().filter(|code| !seen.iter().any(|secret| secret == code));
        let unspent: Vec<String> = unspent.map(str::to_owned).collect();
        drop(logins);
        seen.extend(unspent);
        seen
    }

    /// Approves a device code for somebody; false if it is not waiting.
    pub fn approve_device(&self, user_code: &str, who: Identity) -> bool {
        decide_device(&self.shared, user_code, Decision::Approve(who))
    }

    /// Denies a device code; false if it is not waiting.
    pub fn deny_device(&self, user_code: &str) -> bool {
        decide_device(&self.shared, user_code, Decision::Deny)
    }

    /// Opens an authorize URL as a browser does, presses Approve if asked, and follows the redirects to the end.
    /// Blocks; the client's callback listener has to be served by another thread or process.
    ///
    /// # Errors
    /// As [`browse`].
    pub fn authorize(&self, url: &str) -> io::Result<Page> {
        let page = browse(url)?;
        let id = page.body.split_once("name=\"id\" value=\"").and_then(|(_, after)| after.split_once('"'));
        match id {
            Some((id, _)) => submit(
                &format!("{}/oauth/authorize", self.issuer_url()),
                &[("id", id), ("decision", "approve")],
            ),
            None => Ok(page),
        }
    }

    /// All requests that the journal holds, in order of arrival.
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.journal.entries()
    }

    /// Those to one endpoint.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Entry> {
        self.journal().into_iter().filter(|entry| entry.endpoint == endpoint).collect()
    }

    /// Empties the journal; the numbering goes on.
    pub fn clear_journal(&self) {
        self.shared.journal.clear();
    }

    /// Blocks until the journal is as wanted, at most [`WAIT_DEADLINE`]. The predicate must not call the fake.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub fn wait_for(&self, seen: impl FnMut(&[Entry]) -> bool) -> Result<(), WaitError> {
        self.wait_for_within(WAIT_DEADLINE, seen)
    }

    /// The same with another deadline.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub fn wait_for_within(
        &self,
        within: Duration,
        seen: impl FnMut(&[Entry]) -> bool,
    ) -> Result<(), WaitError> {
        self.shared.journal.wait_for(within, seen)
    }

    /// The same for asynchronous tests.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn wait_for_async(&self, seen: impl FnMut(&[Entry]) -> bool) -> Result<(), WaitError> {
        self.shared.journal.wait_for_async(WAIT_DEADLINE, seen).await
    }

    /// Blocks until `count` requests to this endpoint have arrived (answered or not), and returns them.
    ///
    /// # Errors
    /// If that does not happen within [`WAIT_DEADLINE`].
    pub fn wait_for_request(&self, endpoint: Endpoint, count: usize) -> Result<Vec<Entry>, WaitError> {
        self.wait_for(|entries| arrived(entries, endpoint) >= count)?;
        Ok(self.requests(endpoint))
    }

    /// The same for asynchronous tests.
    ///
    /// # Errors
    /// If that does not happen within [`WAIT_DEADLINE`].
    pub async fn wait_for_request_async(
        &self,
        endpoint: Endpoint,
        count: usize,
    ) -> Result<Vec<Entry>, WaitError> {
        self.wait_for_async(|entries| arrived(entries, endpoint) >= count).await?;
        Ok(self.requests(endpoint))
    }
}

impl Drop for FakeOpenAi {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed there; a second one from drop would abort the test process.
            let _ = thread.join();
        }
    }
}

fn arrived(entries: &[Entry], endpoint: Endpoint) -> usize {
    entries.iter().filter(|entry| entry.endpoint == endpoint).count()
}

fn register(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}
