//! Named effects: one constructor for each row of WIRE §5.3 (here), §8.3 (`streams`), §9.1 and §9.2 (`http`).

use serde_json::{Value, json};

use crate::script::{Action, Effect};

mod http;
mod streams;

/// Why the issuer refuses a refresh token for good (WIRE §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshError {
    /// `refresh_token_expired`.
    Expired,
    /// `refresh_token_reused`.
    Reused,
    /// `refresh_token_invalidated`.
    Invalidated,
}

impl RefreshError {
    /// The machine-readable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "refresh_token_expired",
            Self::Reused => "refresh_token_reused",
            Self::Invalidated => "refresh_token_invalidated",
        }
    }

    /// The body that comes with it.
    pub(crate) fn body(self) -> Value {
        let message = match self {
            Self::Expired => "Your refresh token has expired. Please try signing in again.",
            Self::Reused => {
                "Your refresh token has already been used to generate a new access token. \
                 Please try signing in again."
            }
            Self::Invalidated => "Your refresh token has been invalidated. Please try signing in again.",
        };
        error_body(self.code(), message)
    }
}

/// OpenAI's error object.
pub(crate) fn error_body(code: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}})
}

/// The three 401 bodies of WIRE §9.1.
pub(crate) fn unauthorized_body(code: &str) -> Value {
    let message = match code {
        "token_expired" => "Provided authentication token is expired. Please try signing in again.",
        "token_revoked" => "Encountered invalidated oauth token for user, failing request",
        _ => "Your authentication token has been invalidated. Please try signing in again.",
    };
    let mut body = error_body(code, message);
    body["status"] = json!(401);
    body
}

// === gates and transport ===

impl Effect {
    /// The usual answer.
    pub fn normal() -> Self {
        Self::default()
    }

    /// The request is not looked at before [`release`](crate::FakeOpenAi::release) of `name`; then as usual.
    pub fn hold(name: &str) -> Self {
        Self::normal().held_by(name)
    }

    /// The request is served at once (a refresh token is spent), its answer leaves after the release of `name`.
    pub fn hold_answer(name: &str) -> Self {
        Self { hold_answer: Some(name.to_owned()), ..Self::normal() }
    }

    /// The TCP connection is closed before the head.
    pub fn close() -> Self {
        Action::Close.into()
    }

    /// The request is served, and its answer lost with the connection.
    pub fn lose_answer() -> Self {
        Action::LoseAnswer.into()
    }

    /// No answer, ever.
    pub fn hang() -> Self {
        Action::Hang.into()
    }

    /// The usual answer without these fields.
    pub fn without(fields: &[&str]) -> Self {
        Action::OmitFields { fields: fields.iter().map(|&field| field.to_owned()).collect() }.into()
    }

    /// Any status with a JSON body, or a text body if `body` is a string.
    pub fn respond(status: u16, body: Value) -> Self {
        Action::Respond { status, headers: Vec::new(), body }.into()
    }

    /// The same with one more header, if the effect is an answer of its own.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Action::Respond { headers, .. } = &mut self.action {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

// === the issuer: WIRE §5.3 ===

impl Effect {
    /// A permanent refusal of the refresh token; the real issuer uses 401, for reuse also 400.
    pub fn refresh_refused(status: u16, error: RefreshError) -> Self {
        Self::respond(status, error.body())
    }

    /// 401 with any other code.
    pub fn refresh_unauthorized(code: &str) -> Self {
        Self::respond(401, error_body(code, "Could not validate your token."))
    }

    /// 400 `{"error":"invalid_grant"}`.
    pub fn invalid_grant() -> Self {
        Self::respond(400, json!({"error": "invalid_grant"}))
    }
}

impl From<Action> for Effect {
    fn from(action: Action) -> Self {
        Self { action, ..Self::default() }
    }
}
