//! Every secret that was issued or received, in clear: what a test looks for where no secret may be.

use serde_json::Value;

use super::Tokens;
use super::redact::SECRET_FIELDS;
use crate::received::Received;

/// Bodies above this are prompts: no request about tokens comes near it.
const MAX_FORM_BYTES: usize = 64 * 1024;

impl Tokens {
    /// Notes the bearer and the secret fields of a request.
    pub(crate) fn receive(&mut self, received: &Received) {
        let mut fields = received.query.clone();
        if received.wire_len <= MAX_FORM_BYTES {
            fields.extend(received.form().unwrap_or_default());
            if let Some(Value::Object(body)) = received.json() {
                fields.extend(body.into_iter().filter_map(|(name, value)| match value {
                    Value::String(value) => Some((name, value)),
                    _ => None,
                }));
            }
        }
        fields.retain(|(name, _)| SECRET_FIELDS.contains(&name.as_str()));
        let bearer = received.bearer().map(str::to_owned);
        for secret in fields.into_iter().map(|(_, value)| value).chain(bearer) {
            if !secret.is_empty() && self.received.get(&secret).is_none() {
                self.received.insert(secret, ());
            }
        }
    }

    /// Tokens issued, and everything that [`Tokens::receive`] noted; each once.
    pub(crate) fn seen(&self) -> impl Iterator<Item = &str> {
        let issued = self.refresh.keys().chain(self.access.keys()).chain(self.id.keys());
        let foreign = |secret: &&str| {
            self.refresh.get(secret).is_none()
                && self.access.get(secret).is_none()
                && self.id.get(secret).is_none()
        };
        issued.chain(self.received.keys().filter(foreign))
    }
}
