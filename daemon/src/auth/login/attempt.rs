//! The task of one login: its ways race, the first one that leads to tokens ends it.
//!
//! Every wait can be called off but the write: what has begun to be written is written.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::device::{self, DeviceEnd, DeviceGrant};
use super::{Device, Inner, LoginError, PasteError, Proof, Prover, Step, Who, paste};
use crate::auth::callback::{self, Listeners, Page, Redirect};
use crate::auth::claims::Claims;
use crate::auth::credentials::{Binding, Credentials, OwnGrant};
use crate::auth::issuer::{IssuerError, Tokens};
use crate::auth::pkce::Pkce;
use crate::secret::Secret;
use crate::task;

/// What only the task of a login knows.
pub(super) struct Attempt {
    pub(super) login_id: String,
    pub(super) pkce: Pkce,
    pub(super) state: Secret,
    pub(super) redirect_uri: String,
    pub(super) cancel: CancellationToken,
    pub(super) prove: Prover,
}

/// What is asked of a pending login.
#[derive(Debug)]
pub(super) enum Ask {
    /// Open the way of the device code.
    Device,
    /// Sign in with this text.
    Paste {
        /// As the person pasted it.
        text: Secret,
        /// How it ended.
        reply: oneshot::Sender<Result<(), PasteError>>,
    },
}

/// What happened to a pending login.
enum Event {
    Redirected(Redirect),
    Asked(Ask),
    Device(DeviceEnd),
    LinkOver,
    /// The callback server ended by itself.
    Lost,
}

/// A code and what belongs to its exchange (RFC 6749 §4.1.3).
struct Exchange<'a> {
    code: &'a Secret,
    redirect_uri: &'a str,
    verifier: &'a Secret,
}

/// The ways that are open in a pending login.
struct Ways<'a> {
    /// The one redirect; none when nobody listens for it, or when it has come.
    redirect: Option<oneshot::Receiver<Redirect>>,
    /// Ends the link, for browser and paste.
    link: Option<Pin<Box<tokio::time::Sleep>>>,
    device: Option<Pin<Box<dyn Future<Output = DeviceEnd> + Send + 'a>>>,
}

impl Inner {
    /// Runs a login to its end; the port is free when this returns.
    pub(super) async fn run(
        &self,
        attempt: &Attempt,
        listeners: Option<Listeners>,
        asks: mpsc::Receiver<Ask>,
    ) -> Result<Who, LoginError> {
        let stop = CancellationToken::new();
        // Also when this future is dropped or panics: a port must not stay bound.
        let _stop_at_end = stop.clone().drop_guard();
        let (server, redirect) = listeners
            .map(|listeners| {
                let (first, redirect) = oneshot::channel();
                let expected = callback::Expected {
                    port: listeners.port(),
                    state: attempt.state.clone(),
                    issuer: self.config.issuer.clone(),
                };
                let server = callback::serve(listeners, expected, first, stop.clone());
                (task::spawn(&self.tracker, "login callback", server), redirect)
            })
            .unzip();
        let link = Some(Box::pin(tokio::time::sleep(self.limits.login)));
        let ways = Ways { redirect, link, device: None };
        let result = self.race(attempt, ways, asks, &stop).await;
        stop.cancel();
        if let Some(server) = server
            && server.await.is_err()
        {
            tracing::error!("the callback server was cut off");
        }
        result
    }

    async fn race<'a>(
        &'a self,
        attempt: &'a Attempt,
        mut ways: Ways<'a>,
        mut asks: mpsc::Receiver<Ask>,
        stop: &CancellationToken,
    ) -> Result<Who, LoginError> {
        let mut last = LoginError::TimedOut;
        while ways.link.is_some() || ways.device.is_some() {
            let event = tokio::select! {
                biased;
                () = attempt.cancel.cancelled() => return Err(LoginError::Cancelled),
                event = ways.next() => event,
                Some(ask) = asks.recv() => Event::Asked(ask),
            };
            let ended = match event {
                Event::Redirected(redirect) => {
                    ways.close_link();
                    self.redirected(attempt, redirect).await
                }
                Event::Asked(Ask::Device) => {
                    if ways.device.is_none() {
                        ways.device = Some(Box::pin(self.device()));
                    }
                    continue;
                }
                Event::Asked(Ask::Paste { text, reply }) => {
                    match self.pasted(attempt, &text, reply, ways.link.is_some()).await {
                        Some(ended) => ended,
                        None => continue,
                    }
                }
                Event::Device(Ok(granted)) => self.granted(attempt, &granted).await,
                Event::Device(Err(error)) => {
                    tracing::info!(error = &error as &dyn Error, "the device code led to nothing");
                    match error.into_denial() {
                        Ok(denial) => return Err(LoginError::Denied(denial)),
                        Err(error) => Err(LoginError::Device(Arc::new(error))),
                    }
                }
                Event::LinkOver => {
                    ways.close_link();
                    Err(LoginError::TimedOut)
                }
                Event::Lost => Err(LoginError::Internal),
            };
            match ended {
                Err(error) if error.ends_one_way() || matches!(error, LoginError::TimedOut) => {
                    self.one_way_ended(&ways, &error, stop);
                    last = error;
                }
                ended => return ended,
            }
        }
        Err(last)
    }

    /// Tells what is left of the login, and frees the port when the browser's way is over.
    fn one_way_ended(&self, ways: &Ways<'_>, error: &LoginError, stop: &CancellationToken) {
        if ways.link.is_none() {
            stop.cancel();
        }
        self.change(|pending| {
            pending.step = Step::Waiting;
            if matches!(error, LoginError::Exchange(_)) {
                pending.last_failure = Some(chain(error));
            }
            if ways.link.is_none() {
                pending.link_until = pending.link_until.min(SystemTime::now());
                pending.redirect_port = None;
            }
            if ways.device.is_none() && pending.device.is_open() {
                let why: &dyn Error = match error {
                    LoginError::Device(error) => error.as_ref(),
                    error => error,
                };
                pending.device = Device::Closed(chain(why));
            }
        });
    }

    async fn device(&self) -> DeviceEnd {
        device::sign_in(&self.issuer, &self.limits, |code| {
            self.change(|pending| pending.device = Device::Open(code));
        })
        .await
    }

    async fn redirected(&self, attempt: &Attempt, redirect: Redirect) -> Result<Who, LoginError> {
        let result = match redirect.code {
            Ok(code) => self.link(attempt, &code).await,
            Err(denial) => Err(LoginError::Denied(denial)),
        };
        let page = match &result {
            Ok(who) => Page::SignedIn { email: who.email.clone() },
            Err(error) => Page::Failed { reason: chain(error) },
        };
        if redirect.reply.send(page).is_err() {
            tracing::debug!("the browser did not wait for the end of the login");
        }
        result
    }

    /// `None`: the text led nowhere and the link may still be used.
    async fn pasted(
        &self,
        attempt: &Attempt,
        text: &Secret,
        reply: oneshot::Sender<Result<(), PasteError>>,
        link_is_open: bool,
    ) -> Option<Result<Who, LoginError>> {
        let read = if link_is_open { paste::read(text, &attempt.state) } else { Err(PasteError::LinkOver) };
        let ended = match read {
            Ok(Ok(code)) => Ok(self.link(attempt, &code).await),
            Ok(Err(denial)) => Ok(Err(LoginError::Denied(denial))),
            Err(error) => Err(error),
        };
        let told = match &ended {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(PasteError::Login(error.clone())),
            Err(error) => Err(error.clone()),
        };
        let ended = match ended {
            // A code can be mistyped, and the browser may still come by itself. First the change: whoever has the answer finds it.
            Ok(Err(error)) if error.ends_one_way() => {
                self.change(|pending| {
                    pending.step = Step::Waiting;
                    pending.last_failure = Some(chain(&error));
                });
                None
            }
            Ok(ended) => Some(ended),
            Err(_) => None,
        };
        if reply.send(told).is_err() {
            tracing::debug!("whoever pasted did not wait for the end of the login");
        }
        ended
    }

    /// With the code that the link led to.
    async fn link(&self, attempt: &Attempt, code: &Secret) -> Result<Who, LoginError> {
        let (redirect_uri, verifier) = (&*attempt.redirect_uri, &attempt.pkce.verifier);
        self.sign_in(attempt, Exchange { code, redirect_uri, verifier }).await
    }

    /// With the code and the verifier that the issuer itself made (WIRE §3).
    async fn granted(&self, attempt: &Attempt, granted: &DeviceGrant) -> Result<Who, LoginError> {
        let redirect_uri = self.issuer.device_redirect_uri();
        let DeviceGrant { code, verifier } = granted;
        self.sign_in(attempt, Exchange { code, redirect_uri: &redirect_uri, verifier }).await
    }

    async fn sign_in(&self, attempt: &Attempt, exchange: Exchange<'_>) -> Result<Who, LoginError> {
        let step = |step| self.change(|pending| pending.step = step);
        let Exchange { code, redirect_uri, verifier } = exchange;
        self.change(|pending| {
            pending.step = Step::Exchanging;
            pending.last_failure = None;
        });
        let tokens = tokio::select! {
            biased;
            () = attempt.cancel.cancelled() => return Err(LoginError::Cancelled),
            tokens = self.issuer.exchange(code, redirect_uri, verifier) => {
                tokens.map_err(|error| LoginError::Exchange(Arc::new(error)))?
            }
        };
        let login = credentials(tokens, self.ours.clone(), SystemTime::now())?;
        let wanted = &self.config.workspaces;
        if !wanted.allowed.is_empty() && !wanted.allowed.contains(&login.account_id) {
            return Err(LoginError::Workspace { wanted: wanted.clone(), found: login.account_id });
        }
        step(Step::Proving);
        // Tokens that are refused here, or called off, are forgotten and not revoked: nobody has them, and whether revoking
        // them would touch the login from before is the issuer's affair.
        let note = tokio::select! {
            biased;
            () = attempt.cancel.cancelled() => return Err(LoginError::Cancelled),
            proof = (attempt.prove)(login.grant()) => match proof {
                Proof::Proven => None,
                Proof::Unknown(note) => Some(note),
                Proof::Refused(why) => return Err(LoginError::Unproven(why)),
            },
        };
        step(Step::Saving);
        self.store.replace(&login).await.map_err(|error| LoginError::Store(Arc::new(error)))?;
        let Claims { email, plan, .. } = login.claims();
        Ok(Who { email, plan, account_id: login.account_id, note })
    }
}

impl Ways<'_> {
    /// The next thing that happens on one of the ways; pending for ever when none is open. May be dropped and called again.
    async fn next(&mut self) -> Event {
        tokio::select! {
            redirected = of(self.redirect.as_mut()) => {
                self.redirect = None;
                redirected.map_or(Event::Lost, Event::Redirected)
            }
            ended = of(self.device.as_mut()) => {
                self.device = None;
                Event::Device(ended)
            }
            () = of(self.link.as_mut()) => Event::LinkOver,
        }
    }

    fn close_link(&mut self) {
        (self.link, self.redirect) = (None, None);
    }
}

/// The end of what is there; of nothing there is none.
async fn of<F: Future + Unpin>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn credentials(tokens: Tokens, bound: Binding, now: SystemTime) -> Result<Credentials, LoginError> {
    let incomplete = |missing| LoginError::Exchange(Arc::new(IssuerError::Incomplete { missing }));
    let access_token = tokens.access.ok_or_else(|| incomplete("access_token"))?;
    let refresh_token = tokens.refresh.ok_or_else(|| incomplete("refresh_token"))?;
    let id_token = tokens.id.ok_or_else(|| incomplete("id_token"))?;
    let access = Claims::of(&access_token);
    let ends = tokens.expires_in.and_then(|lifetime| now.checked_add(lifetime));
    let expires_at = access.expires_at.or(ends);
    let account_id = Claims::of(&id_token).or(access).account_id.ok_or(LoginError::NoAccount)?;
    let own = OwnGrant { refresh_token, bound, obtained_at: Some(now), last_refresh: None, renewals: 0 };
    Ok(Credentials {
        access_token,
        id_token: Some(id_token),
        expires_at,
        account_id,
        own: Some(own),
        place: None,
    })
}

/// The error with its causes, in a line.
pub(in crate::auth) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
