//! What the issuer sends the browser back with: a code or a reason, and the state of the login.

use std::fmt;

use subtle::ConstantTimeEq as _;

use super::request::Refusal;
use crate::auth::answer::tidy;
use crate::auth::form;
use crate::secret::Secret;

/// The issuer may add this to the state (WIRE §2.2).
const STATE_SUFFIX: &str = ".onboarding_entrypoint=life_sciences";
/// What an account without Codex is told by (WIRE §2.2).
const NO_ENTITLEMENT: &str = "missing_codex_entitlement";
/// The issuer's words reach a person's screen; a page does not.
const MAX_TEXT_CHARS: usize = 300;

/// The issuer gave no code. Its words are shortened and free of control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// `access_denied`, ... (RFC 6749 §4.1.2.1); `missing_code` if the redirect had neither code nor error.
    pub error: String,
    /// `error_description`.
    pub description: Option<String>,
}

/// The fields of a redirect that count (RFC 6749 §4.1.2).
#[derive(Debug, Default)]
pub(in crate::auth) struct Query {
    pub(in crate::auth) state: Option<Secret>,
    code: Option<Secret>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Query {
    /// A field that comes twice is refused: two readers could take different ones.
    pub(in crate::auth) fn parse(query: &str) -> Result<Self, Refusal> {
        let mut parsed = Self::default();
        for (name, value) in form::decode(query) {
            let again = match name.as_str() {
                "code" if value.is_empty() => false,
                "code" => parsed.code.replace(Secret::new(value)).is_some(),
                "state" => parsed.state.replace(Secret::new(value)).is_some(),
                "error" => parsed.error.replace(value).is_some(),
                "error_description" => parsed.error_description.replace(value).is_some(),
                _ => false,
            };
            if again {
                return Err(Refusal::Malformed);
            }
        }
        Ok(parsed)
    }

    /// The code; an error beside it wins (WIRE §2.2).
    pub(in crate::auth) fn outcome(self) -> Result<Secret, Denial> {
        match (self.error, self.code) {
            (Some(error), _) => Err(Denial::new(&error, self.error_description.as_deref())),
            (None, Some(code)) => Ok(code),
            (None, None) => Err(Denial::new("missing_code", Some("the redirect has no authorization code"))),
        }
    }
}

impl Denial {
    /// As the issuer words it.
    pub(in crate::auth) fn new(error: &str, description: Option<&str>) -> Self {
        let error = tidy(error, MAX_TEXT_CHARS);
        let description = description.map(|text| tidy(text, MAX_TEXT_CHARS)).filter(|text| !text.is_empty());
        Self { error, description }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(text) if text.contains(NO_ENTITLEMENT) => {
                f.write_str("Codex is not enabled for this workspace; its administrator can enable it")
            }
            Some(text) => write!(f, "{text} ({})", self.error),
            None => f.write_str(&self.error),
        }
    }
}

/// Whether `given` is our state, in constant time.
pub(in crate::auth) fn is_state(given: &Secret, expected: &Secret) -> bool {
    let given = given.expose();
    let given = given.strip_suffix(STATE_SUFFIX).unwrap_or(given);
    given.as_bytes().ct_eq(expected.expose().as_bytes()).into()
}
