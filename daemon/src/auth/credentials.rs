//! The login as the daemon thinks of it: what a valid record of the credential file holds.

use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::claims::Claims;
use crate::grant::Grant;
use crate::secret::{Fingerprint, Secret};

/// A token renewed this recently is not renewed again for its `exp`: on a machine with a wrong clock every new token
/// looks expired, and the official client then refreshes in a tight loop (WIRE §5.2).
const SETTLE: Duration = Duration::from_secs(60);
/// A token renewed this recently is not renewed for a 401 either: it is not the token that the backend objects to.
const RECOVERY_SETTLE: Duration = Duration::from_secs(10);
/// A token with no readable expiry is renewed when the last refresh is older (WIRE §5.2).
const SCHEDULE: Duration = Duration::from_secs(8 * 24 * 3600);

/// One login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    /// Bearer token for the backend.
    pub(super) access_token: Secret,
    /// Says who signed in; sent nowhere.
    pub(super) id_token: Option<Secret>,
    /// When the access token ends, if that is known.
    pub(super) expires_at: Option<SystemTime>,
    /// The ChatGPT account that was chosen at login; not derived again later (WIRE §4.1).
    pub(super) account_id: String,
    /// Our own grant; `None` for a record of the original plugin, whose access token alone is adopted.
    pub(super) own: Option<OwnGrant>,
    /// Where the Codex CLI's login belongs; `None` for every other one.
    pub(super) place: Option<Binding>,
}

/// What only a record written by this daemon has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnGrant {
    /// Good for one use.
    pub(super) refresh_token: Secret,
    /// Where it may be sent, and by whom.
    pub(super) bound: Binding,
    /// When the person signed in.
    pub(super) obtained_at: Option<SystemTime>,
    /// When the pair was last renewed; `None` before the first time.
    pub(super) last_refresh: Option<SystemTime>,
    /// How often the pair has been renewed since the person signed in: tells an older copy of this login from a newer one
    /// without asking a clock.
    pub(super) renewals: u64,
}

/// What a grant is bound to. It is never sent to another issuer or backend, nor spent on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    /// Issuer URL without a trailing slash.
    pub(super) issuer: String,
    /// Origin of the backend.
    pub(super) backend_origin: String,
    /// OAuth client id.
    pub(super) client_id: String,
    /// [`machine_hash`] of the machine that signed in, if it has an id.
    pub(super) machine: Option<String>,
}

/// Why a refresh is asked for; the values of `refresh_reason` (WIRE §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The access token ends soon or has ended.
    ProactiveExpiry,
    /// Nobody knows when the access token ends, and it is old.
    Scheduled,
    /// The backend answered 401.
    UnauthorizedRecovery,
}

/// Whether the access token should be renewed before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Use it.
    None,
    /// Renew it, but it can be used if that fails.
    Early(Reason),
    /// It is of no use.
    Needed(Reason),
}

impl Credentials {
    /// The token as `upstream` wants it.
    pub(super) fn grant(&self) -> Grant {
        Grant {
            access_token: self.access_token.clone(),
            account_id: self.account_id.clone(),
            expires_at: self.expires_at,
        }
    }

    /// Who signed in: the id token's claims, completed by the access token's.
    pub(super) fn claims(&self) -> Claims {
        let id = self.id_token.as_ref().map(Claims::of).unwrap_or_default();
        id.or(Claims::of(&self.access_token))
    }

    /// Whether the token should be renewed at `now`, `margin` before its end.
    pub(super) fn need(&self, now: SystemTime, margin: Duration) -> Need {
        let Some(expires_at) = self.expires_at else { return self.scheduled(now) };
        let margin = self.life().map_or(margin, |life| margin.min(life / 2));
        if expires_at > now + margin || self.renewed_within(SETTLE, now) {
            Need::None
        } else if expires_at > now {
            Need::Early(Reason::ProactiveExpiry)
        } else {
            Need::Needed(Reason::ProactiveExpiry)
        }
    }

    /// Whether this token was renewed so recently that a 401 cannot be its age.
    pub(super) fn just_renewed(&self, now: SystemTime) -> bool {
        self.renewed_within(RECOVERY_SETTLE, now)
    }

    /// Whether `self` and `other` come from the same signing in, one renewed more often than the other perhaps.
    pub(super) fn same_login(&self, other: &Self) -> bool {
        let begun = |login: &Self| login.own.as_ref().and_then(|own| own.obtained_at);
        self.account_id == other.account_id && begun(self).is_some() && begun(self) == begun(other)
    }

    /// Whether `self` is what replaced `other`: the same login renewed, or a later signing in to the same account. What a
    /// file held before it was put back to an older state.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        let age = |login: &Self| login.own.as_ref().and_then(|own| Some((own.obtained_at?, own.renewals)));
        let both = age(self).zip(age(other));
        self.account_id == other.account_id && both.is_some_and(|(ours, theirs)| ours > theirs)
    }

    /// Names the refresh token, if this login has one.
    pub(super) fn refresh_fingerprint(&self) -> Option<Fingerprint> {
        self.own.as_ref().map(|own| own.refresh_token.fingerprint())
    }

    /// Whether both hold the same tokens.
    pub(super) fn same_tokens(&self, other: &Self) -> bool {
        self.access_token == other.access_token
            && self.own.as_ref().map(|own| &own.refresh_token)
                == other.own.as_ref().map(|own| &own.refresh_token)
    }

    /// How long the Codex CLI's token is good for in all: it is renewed long before its end, but not sooner than it must.
    fn life(&self) -> Option<Duration> {
        self.place.as_ref()?;
        let begun = self.own.as_ref()?.last_refresh?;
        self.expires_at?.duration_since(begun).ok()
    }

    fn scheduled(&self, now: SystemTime) -> Need {
        let since = self.own.as_ref().and_then(|own| own.last_refresh.or(own.obtained_at));
        match since.and_then(|since| now.duration_since(since).ok()) {
            Some(age) if age > SCHEDULE => Need::Early(Reason::Scheduled),
            _ => Need::None,
        }
    }

    /// A `last_refresh` in the future says nothing: the clock was set back.
    fn renewed_within(&self, span: Duration, now: SystemTime) -> bool {
        let last = self.own.as_ref().and_then(|own| own.last_refresh);
        last.and_then(|last| now.duration_since(last).ok()).is_some_and(|age| age < span)
    }
}

impl Reason {
    /// As it goes over the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ProactiveExpiry => "proactive_expiry",
            Self::Scheduled => "scheduled",
            Self::UnauthorizedRecovery => "unauthorized_recovery",
        }
    }
}

/// Names a machine in a record without revealing its id (machine-id(5) asks for a keyed hash): 32 hex digits.
pub(super) fn machine_hash(machine_id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"codex-oauth machine\n");
    hash.update(machine_id.trim().as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    format!("{:032x}", u128::from_be_bytes(half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::{credentials, in_seconds};

    const MARGIN: Duration = Duration::from_secs(300);

    #[test]
    fn the_need_follows_expiry_and_last_refresh() {
        let proactive = Reason::ProactiveExpiry;
        // (seconds to expiry, seconds since the last refresh, need)
        for (left, refreshed, need) in [
            (Some(360), None, Need::None),
            (Some(290), None, Need::Early(proactive)),
            (Some(290), Some(59), Need::None),
            (Some(290), Some(61), Need::Early(proactive)),
            (Some(-1), None, Need::Needed(proactive)),
            (Some(-1), Some(30), Need::None),
            (Some(-1), Some(-3600), Need::Needed(proactive)),
            (Some(86_400), Some(9 * 86_400), Need::None),
            (None, None, Need::None),
            (None, Some(7 * 86_400), Need::None),
            (None, Some(9 * 86_400), Need::Early(Reason::Scheduled)),
        ] {
            let now = in_seconds(0);
            let mut login = credentials("at", "rt");
            login.expires_at = left.map(in_seconds);
            let own = login.own.as_mut().unwrap();
            (own.obtained_at, own.last_refresh) = (None, refreshed.map(|ago: i64| in_seconds(-ago)));
            assert_eq!(login.need(now, MARGIN), need, "{left:?} {refreshed:?}");
        }
    }

    #[test]
    fn machines_have_different_hashes_that_do_not_show_the_id() {
        let hash = machine_hash("4c4c4544\n");
        assert_eq!(hash, machine_hash("4c4c4544"));
        assert_ne!(hash, machine_hash("4c4c4545"));
        assert_eq!(hash.len(), 32);
    }
}
