//! When a refresh token may be spent: the state machine, without I/O and without a clock of its own.
//!
//! * One refresh at a time; who comes while it runs joins it.
//! * A refresh token that was spent or refused is never sent again, however often the file brings it back.
//! * After a failure that may pass, not before a backoff has passed.
//! * After a request whose answer never came, the token may be spent already. It is tried again only when the access
//!   token is of no use any more: until then there is something to lose, since issuers are said to revoke the whole
//!   family on a replay (WIRE §5.7).
//! * A new pair that could not be written is written before anything else happens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::credentials::Credentials;
use super::issuer::IssuerError;
use super::journal::Evidence;
use super::store::StoreError;
use crate::limits::Limits;
use crate::secret::Fingerprint;

/// No `Retry-After` of the issuer is honoured beyond this: a person may have repaired things meanwhile.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);
/// Ended tokens that are remembered: as many as the journal can name.
const ENDS_KEPT: usize = 512;

/// The state, and which tokens have ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    state: State,
    /// Oldest first.
    ends: VecDeque<(Fingerprint, End)>,
}

/// How a refresh token ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The issuer gave another one for it.
    Spent {
        /// When.
        at: SystemTime,
    },
    /// The issuer refused it for good.
    Refused(Refusal),
}

/// What the daemon knows about renewing the login.
#[derive(Clone, Debug, Default)]
pub(super) enum State {
    /// Nothing speaks against a refresh.
    #[default]
    Idle,
    /// A refresh (or the writing of its result) is running.
    Running {
        /// Failures in a row before this attempt.
        failures: u32,
        /// An earlier request with this token got no answer.
        doubtful: bool,
    },
    /// The last attempt failed in a way that may pass.
    Waiting {
        /// The refresh token of that attempt.
        token: Fingerprint,
        /// When and why.
        pause: Pause,
    },
    /// The last attempt got no answer: the token may be spent.
    Doubtful {
        /// The refresh token of that attempt.
        token: Fingerprint,
        /// When and why.
        pause: Pause,
    },
    /// The issuer gave a new pair that could not be written; it is in memory and, unless that failed too, in the slot.
    Unsaved {
        /// The pair.
        pair: Pair,
        /// Failures in a row.
        failures: u32,
        /// Not written again before.
        until: Instant,
        /// Why it could not be written.
        cause: Arc<StoreError>,
    },
}

/// How long and why a token is left alone.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    /// Failures in a row.
    pub(super) failures: u32,
    /// Not tried again before.
    pub(super) until: Instant,
    /// The last failure.
    pub(super) cause: Arc<IssuerError>,
}

/// The token that was spent and what came for it.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) spent: Fingerprint,
    pub(super) renewed: Arc<Credentials>,
}

/// The issuer's refusal of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `refresh_token_reused`, `invalid_grant`, ... in lower case, if the answer had one.
    pub code: Option<String>,
    /// The issuer's text, shortened.
    pub message: String,
    /// An earlier refresh with this token got no answer, which is the likely reason: it was spent then.
    pub interrupted: bool,
    /// What the journal proves about the token.
    pub evidence: Evidence,
}

/// What happens to the machine.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Somebody wants a new access token.
    Wanted {
        /// The refresh token in the file.
        token: Fingerprint,
        /// Whether the old access token is still good.
        urgency: Urgency,
        now: Instant,
    },
    /// The running attempt ended.
    Ended {
        outcome: Outcome,
        now: Instant,
        /// Uniform in 0..=1.
        jitter: f64,
    },
}

/// What a caller loses if it is told to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Nothing: its access token is still good.
    Early,
    /// Everything.
    Needed,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Nothing is left to do: the new pair is on disk, or the file changed, or nothing was sent.
    Settled,
    /// Permanent.
    Refused { token: Fingerprint, refusal: Refusal },
    /// May pass; `token` is the one to try next.
    Transient { token: Fingerprint, cause: Arc<IssuerError>, retry_after: Option<Duration> },
    /// Sent, no answer.
    Unknown { token: Fingerprint, cause: Arc<IssuerError> },
    /// Renewed, not written.
    Unsaved { pair: Pair, cause: Arc<StoreError> },
}

/// What the shell has to do.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Nothing.
    None,
    /// Start an attempt, and wait for it.
    Spend,
    /// The token has ended: see whether there is a newer copy of the login, and wait for the outcome.
    Restore,
    /// Write this pair, and wait for it.
    Save(Pair),
    /// Wait for the attempt that runs.
    Join,
    /// Use the old access token.
    KeepOld,
    /// There is no token to be had; [`State`] says why.
    Fail,
}

/// Doubles from `first` to `max`, ±20 %.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
}

impl Machine {
    /// A machine that knows of `ends` already, as an earlier process left them.
    pub(super) fn after(ends: impl IntoIterator<Item = (Fingerprint, End)>) -> Self {
        let mut machine = Self::default();
        for (token, end) in ends {
            machine.remember(token, end);
        }
        machine
    }

    /// The state.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// An earlier process left the machine in `state`.
    pub(super) fn resume(&mut self, state: State) {
        self.state = state;
    }

    /// How `token` ended, if it did.
    pub(super) fn end(&self, token: &Fingerprint) -> Option<&End> {
        self.ends.iter().rev().find(|(ended, _)| ended == token).map(|(_, end)| end)
    }

    /// The transition. An event that does not fit changes nothing.
    pub(super) fn on(&mut self, event: Event, backoff: Backoff) -> Action {
        match event {
            Event::Wanted { token, urgency, now } => {
                let ended = self.end(&token).is_some();
                let (state, action) = std::mem::take(&mut self.state).wanted(&token, ended, urgency, now);
                self.state = state;
                action
            }
            Event::Ended { outcome, now, jitter } => {
                if matches!(self.state, State::Running { .. }) {
                    self.ended(outcome, now, jitter, backoff);
                }
                Action::None
            }
        }
    }

    fn ended(&mut self, outcome: Outcome, now: Instant, jitter: f64, backoff: Backoff) {
        let State::Running { failures, doubtful } = self.state else { return };
        // A network that is down, as it is when a computer wakes, says nothing about the issuer: the pause does not grow.
        let offline = matches!(&outcome, Outcome::Transient { cause, .. } if matches!(**cause, IssuerError::Connect(_)));
        let failures = if offline { failures.max(1) } else { failures.saturating_add(1) };
        let until = now + backoff.pause(failures, jitter);
        self.state = match outcome {
            Outcome::Settled => State::Idle,
            Outcome::Refused { token, mut refusal } => {
                refusal.interrupted |= doubtful;
                self.remember(token, End::Refused(refusal));
                State::Idle
            }
            Outcome::Transient { token, cause, retry_after } => {
                let named = now + retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
                let pause = Pause { failures, until: until.max(named), cause };
                // The doubt about a token does not pass because a later attempt failed to reach the issuer.
                if doubtful { State::Doubtful { token, pause } } else { State::Waiting { token, pause } }
            }
            Outcome::Unknown { token, cause } => {
                State::Doubtful { token, pause: Pause { failures, until, cause } }
            }
            Outcome::Unsaved { pair, cause } => State::Unsaved { pair, failures, until, cause },
        };
    }

    /// `token` has ended.
    pub(super) fn remember(&mut self, token: Fingerprint, end: End) {
        // The first end is the true one: what is refused after it was spent is refused for that.
        if self.end(&token).is_some() {
            return;
        }
        self.ends.push_back((token, end));
        while self.ends.len() > ENDS_KEPT {
            self.ends.pop_front();
        }
    }
}

impl State {
    fn wanted(self, wanted: &Fingerprint, ended: bool, urgency: Urgency, now: Instant) -> (Self, Action) {
        let early = urgency == Urgency::Early;
        match self {
            Self::Running { .. } => (self, Action::Join),
            Self::Unsaved { until, .. } if now < until => {
                (self, if early { Action::KeepOld } else { Action::Fail })
            }
            Self::Unsaved { pair, failures, .. } => {
                (Self::Running { failures, doubtful: false }, Action::Save(pair))
            }
            _ if ended => (Self::Running { failures: 0, doubtful: false }, Action::Restore),
            Self::Doubtful { ref token, .. } if token == wanted && early => (self, Action::KeepOld),
            Self::Waiting { ref token, ref pause } | Self::Doubtful { ref token, ref pause }
                if token == wanted =>
            {
                if now < pause.until {
                    return (self, if early { Action::KeepOld } else { Action::Fail });
                }
                let doubtful = matches!(self, Self::Doubtful { .. });
                (Self::Running { failures: pause.failures, doubtful }, Action::Spend)
            }
            Self::Idle | Self::Doubtful { .. } | Self::Waiting { .. } => {
                (Self::Running { failures: 0, doubtful: false }, Action::Spend)
            }
        }
    }
}

impl Backoff {
    /// As configured.
    pub(super) fn new(limits: &Limits) -> Self {
        Self { first: limits.refresh_backoff_first, max: limits.refresh_backoff_max }
    }

    fn pause(self, failures: u32, jitter: f64) -> Duration {
        // 2^20 s is beyond any maximum; more would only overflow.
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.max).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)).min(self.max)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
