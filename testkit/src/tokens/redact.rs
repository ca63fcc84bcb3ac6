//! Replaces tokens by labels, so that the journal can be printed anywhere.

use serde_json::Value;

use super::Tokens;

/// Fields whose value is a secret whatever it looks like.
pub(super) const SECRET_FIELDS: [&str; 9] = [
    "access_token",
    "authorization_code",
    "code",
    "code_verifier",
    "device_auth_id",
    "id_token",
    "refresh_token",
    "subject_token",
    "token",
];

/// What only a token of this fake contains, wherever in a word it stands.
const FAKE_MARKS: [&str; 3] = ["rt_FAKE_", "ac_FAKE_", "sk-FAKE"];

/// How words start that may be tokens of others: refresh tokens, JWTs (`{"` in base64).
const TOKEN_PREFIXES: [&str; 2] = ["rt_", "eyJ"];

impl Tokens {
    /// The pairs of a query or form with secrets as labels.
    pub(crate) fn redact_pairs(&self, pairs: &[(String, String)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.clone(), self.redact_field(name, value))).collect()
    }

    /// The JSON value with secrets as labels.
    pub(crate) fn redact_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact_text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.redact_json(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| {
                    let value = match value {
                        Value::String(text) => Value::String(self.redact_field(&name, &text)),
                        other => self.redact_json(other),
                    };
                    (self.redact_text(&name), value)
                })
                .collect(),
            other => other,
        }
    }

    /// The text with everything that looks like a token as labels.
    pub(crate) fn redact_text(&self, text: &str) -> String {
        if !FAKE_MARKS.iter().chain(&TOKEN_PREFIXES).any(|mark| text.contains(mark)) {
            return text.to_owned();
        }
        let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_token) {
            let (before, run) = rest.split_at(start);
            let (word, after) = run.split_at(run.find(|c| !is_token(c)).unwrap_or(run.len()));
            out.push_str(before);
            match token_start(word) {
                Some(at) => {
                    out.push_str(&word[..at]);
                    out.push_str(&self.label(&word[at..]));
                }
                None => out.push_str(word),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn redact_field(&self, name: &str, value: &str) -> String {
        if SECRET_FIELDS.contains(&name) { self.label(value) } else { self.redact_text(value) }
    }
}

fn token_start(word: &str) -> Option<usize> {
    if TOKEN_PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
        return Some(0);
    }
    FAKE_MARKS.iter().filter_map(|mark| word.find(mark)).min()
}
