//! Grants and tokens: families, rotation, reuse, revocation. Pure state; time comes in as unix seconds.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::config::{Behaviour, Identity, ReusePolicy};
use crate::effects::RefreshError;
use crate::jwt::Claims;
use crate::text::{random_base64url, short_hash, unix_now};

mod redact;
mod seen;

/// Most tokens (of each kind) and codes remembered; the oldest are forgotten, and then count as never made.
const MAX_TOKENS: usize = 50_000;

/// Scope of logins that were minted instead of signed in.
const DEFAULT_SCOPE: &str = "openid profile email offline_access";

/// A login to make without a browser; absent fields follow [`Behaviour`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MintRequest {
    /// E-mail address.
    pub email: Option<String>,
    /// Plan.
    pub plan: Option<String>,
    /// Account id.
    pub account_id: Option<String>,
    /// Lifetime of the first access token in seconds, may be negative; later ones follow [`Behaviour`].
    pub access_token_life_secs: Option<i64>,
}

/// A login that was made: its tokens, in clear, because it is a fake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MintedLogin {
    /// Bearer for the backend.
    pub access_token: String,
    /// Absent only if the scope of the login lacked `offline_access`.
    pub refresh_token: Option<String>,
    /// Id token.
    pub id_token: String,
    /// Account id, the value of the `chatgpt-account-id` header.
    pub account_id: String,
    /// Number of the token family; the first half of journal labels.
    pub family: u64,
    /// Scope that was granted.
    pub scope: String,
    /// Seconds until the access token expires.
    pub expires_in: i64,
}

impl MintedLogin {
    /// The refresh token.
    ///
    /// # Panics
    /// If the scope lacked `offline_access`, which a minted login never does.
    pub fn refresh(&self) -> &str {
        self.refresh_token.as_deref().expect("a minted login has offline_access")
    }
}

/// Whether an access token opens the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessCheck {
    Live(Identity),
    /// The error code of the 401.
    Refused(&'static str),
}

/// How a refresh was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A token of ours in a state that refuses.
    Known(RefreshError),
    /// Not a token of ours: `invalid_grant`.
    Unknown,
}

/// All grants of one fake.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    families: u64,
    refresh: Bounded<RefreshRecord>,
    access: Bounded<AccessRecord>,
    id: Bounded<Named>,
    /// Secrets in requests, ours or not.
    received: Bounded<()>,
}

#[derive(Debug, Clone)]
struct RefreshRecord {
    name: Named,
    who: Identity,
    scope: String,
    state: RefreshState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefreshState {
    Live,
    Used,
    Revoked,
}

#[derive(Debug, Clone)]
struct AccessRecord {
    name: Named,
    who: Identity,
    expires_at: i64,
    /// The error code, once it was ended before its time.
    ended: Option<&'static str>,
}

/// What labels are made of.
#[derive(Debug, Clone, Copy)]
struct Named {
    family: u64,
    generation: u64,
}

impl Tokens {
    /// A new family with its first tokens.
    pub(crate) fn mint(&mut self, behaviour: &Behaviour, issuer: &str, request: &MintRequest) -> MintedLogin {
        let default = &behaviour.identity;
        let who = Identity {
            email: request.email.clone().unwrap_or_else(|| default.email.clone()),
            plan: request.plan.clone().unwrap_or_else(|| default.plan.clone()),
            account_id: request.account_id.clone().unwrap_or_else(|| default.account_id.clone()),
        };
        let life = request.access_token_life_secs.unwrap_or(behaviour.access_token_life_secs);
        self.sign_in(behaviour, issuer, &who, DEFAULT_SCOPE, life)
    }

    /// A new family for somebody with a scope; access token lifetime in seconds.
    pub(crate) fn sign_in(
        &mut self,
        behaviour: &Behaviour,
        issuer: &str,
        who: &Identity,
        scope: &str,
        life: i64,
    ) -> MintedLogin {
        self.families += 1;
        let name = Named { family: self.families, generation: 1 };
        self.issue(behaviour, issuer, name, who, scope, life)
    }

    /// Spends a refresh token for the next generation of its family (WIRE §5.1, §5.7).
    pub(crate) fn refresh(
        &mut self,
        behaviour: &Behaviour,
        issuer: &str,
        token: &str,
    ) -> Result<MintedLogin, Refused> {
        let record = self.refresh.get_mut(token).ok_or(Refused::Unknown)?;
        match record.state {
            RefreshState::Live => record.state = RefreshState::Used,
            RefreshState::Revoked => return Err(Refused::Known(RefreshError::Invalidated)),
            RefreshState::Used => {
                let family = record.name.family;
                self.punish(family, behaviour.reuse_policy);
                return Err(Refused::Known(RefreshError::Reused));
            }
        }
        let RefreshRecord { name, who, scope, .. } = record.clone();
        let next = Named { generation: name.generation + 1, ..name };
        Ok(self.issue(behaviour, issuer, next, &who, &scope, behaviour.access_token_life_secs))
    }

    /// Whether this bearer opens the backend now.
    pub(crate) fn check(&self, bearer: &str, now: i64) -> AccessCheck {
        match self.access.get(bearer) {
            None => AccessCheck::Refused("token_invalidated"),
            Some(AccessRecord { ended: Some(code), .. }) => AccessCheck::Refused(code),
            Some(record) if record.expires_at <= now => AccessCheck::Refused("token_expired"),
            Some(record) => AccessCheck::Live(record.who.clone()),
        }
    }

    /// Whether this is an id token made here.
    pub(crate) fn knows_id_token(&self, token: &str) -> bool {
        self.id.get(token).is_some()
    }

    /// RFC 7009: a refresh token takes its family along, an access token goes alone, an unknown one is no error.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        if let Some(record) = self.refresh.get(token) {
            let family = record.name.family;
            self.end_refresh(family);
            self.end_access(|access| access.name.family == family, "token_revoked");
            return true;
        }
        let Some(record) = self.access.get_mut(token) else { return false };
        record.ended.get_or_insert("token_revoked");
        true
    }

    /// Ends every access token with this error code, whatever its `exp` says.
    pub(crate) fn end_all_access(&mut self, code: &'static str) {
        self.end_access(|_| true, code);
    }

    /// Ends every refresh token, as an administrator or a password change does.
    pub(crate) fn end_all_refresh(&mut self) {
        for record in self.refresh.values_mut().filter(|record| record.state == RefreshState::Live) {
            record.state = RefreshState::Revoked;
        }
    }

    /// How the journal names this token: tells tokens apart and gives none away.
    pub(crate) fn label(&self, token: &str) -> String {
        let known = |kind: &str, Named { family, generation }: Named| format!("{kind}:{family}.{generation}");
        if let Some(record) = self.refresh.get(token) {
            known("refresh", record.name)
        } else if let Some(record) = self.access.get(token) {
            known("access", record.name)
        } else if let Some(&name) = self.id.get(token) {
            known("id", name)
        } else {
            format!("unknown:{}", short_hash(token))
        }
    }

    fn issue(
        &mut self,
        behaviour: &Behaviour,
        issuer: &str,
        name: Named,
        who: &Identity,
        scope: &str,
        life: i64,
    ) -> MintedLogin {
        let now = unix_now();
        let claims = Claims { who, issuer, scope, issued_at: now.min(now + life), expires_at: now + life };
        let access_token = claims.access_token();
        let id_token = Claims { expires_at: now + behaviour.id_token_life_secs, ..claims }.id_token();
        let offline = scope.split(' ').any(|word| word == "offline_access");
        let refresh_token =
            offline.then(|| format!("rt_FAKE_{}_{}_{}", name.family, name.generation, random_base64url(24)));
        let record = AccessRecord { name, who: who.clone(), expires_at: now + life, ended: None };
        self.access.insert(access_token.clone(), record);
        self.id.insert(id_token.clone(), name);
        if let Some(token) = &refresh_token {
            let (who, scope) = (who.clone(), scope.to_owned());
            self.refresh.insert(token.clone(), RefreshRecord { name, who, scope, state: RefreshState::Live });
        }
        let (account_id, scope) = (who.account_id.clone(), scope.to_owned());
        MintedLogin {
            access_token,
            refresh_token,
            id_token,
            account_id,
            family: name.family,
            scope,
            expires_in: life,
        }
    }

    fn punish(&mut self, family: u64, policy: ReusePolicy) {
        match policy {
            ReusePolicy::ErrorOnly => {}
            ReusePolicy::KillRefreshFamily => self.end_refresh(family),
            ReusePolicy::KillFamilyAndAccess => {
                self.end_refresh(family);
                self.end_access(|access| access.name.family == family, "token_invalidated");
            }
        }
    }

    fn end_refresh(&mut self, family: u64) {
        for record in self.refresh.values_mut().filter(|record| record.name.family == family) {
            if record.state == RefreshState::Live {
                record.state = RefreshState::Revoked;
            }
        }
    }

    fn end_access(&mut self, which: impl Fn(&AccessRecord) -> bool, code: &'static str) {
        for record in self.access.values_mut().filter(|record| which(record)) {
            record.ended.get_or_insert(code);
        }
    }
}

/// A map that forgets its oldest entries beyond [`MAX_TOKENS`].
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    order: VecDeque<String>,
    map: HashMap<String, V>,
}

impl<V> Bounded<V> {
    pub(crate) fn insert(&mut self, key: String, value: V) {
        if self.order.len() == MAX_TOKENS
            && let Some(oldest) = self.order.pop_front()
        {
            self.map.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.map.insert(key, value);
    }

    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.map.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    /// Oldest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.map.values_mut()
    }
}

impl<V> Default for Bounded<V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), map: HashMap::new() }
    }
}
