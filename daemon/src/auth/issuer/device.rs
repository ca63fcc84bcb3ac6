//! The exchanges of a device login (WIRE §3). Its headers are those of the official client there: no name of ours.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Answer, Issuer, IssuerError, json};
use crate::auth::answer;
use crate::secret::Secret;

/// When the issuer names none (RFC 8628 §3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// A person types it.
const MAX_USER_CODE_CHARS: usize = 32;

/// A device code that the issuer has given.
#[derive(Debug)]
pub(in crate::auth) struct DeviceAuth {
    /// Who has this and the user code gets the tokens.
    id: Secret,
    /// For the person.
    pub(in crate::auth) user_code: String,
    /// Between two questions.
    pub(in crate::auth) interval: Duration,
}

/// What the issuer says of a device code.
#[derive(Debug)]
pub(in crate::auth) enum Poll {
    /// Nobody has decided.
    Pending,
    /// As `Pending`, and asked too often (RFC 8628 §3.5).
    SlowDown,
    /// Approved.
    Granted { code: Secret, verifier: Secret },
}

#[derive(Serialize)]
struct CodeBody<'a> {
    client_id: &'a str,
}

#[derive(Serialize)]
struct PollBody<'a> {
    device_auth_id: &'a str,
    user_code: &'a str,
}

#[derive(Deserialize)]
struct WireCode {
    device_auth_id: Option<String>,
    #[serde(alias = "usercode")]
    user_code: Option<String>,
    #[serde(default)]
    interval: Value,
}

#[derive(Deserialize)]
struct WireGrant {
    authorization_code: Option<String>,
    code_verifier: Option<String>,
}

impl Issuer {
    /// Asks for a device code.
    pub(in crate::auth) async fn device_code(&self) -> Result<DeviceAuth, IssuerError> {
        let body = json(&CodeBody { client_id: &self.config.client_id });
        let answer = self.device("usercode", body).await?;
        answer::success(answer.status.as_u16(), &answer.body, &[])?;
        parse_code(&answer.body)
    }

    /// Asks once whether it is approved.
    pub(in crate::auth) async fn device_poll(&self, auth: &DeviceAuth) -> Result<Poll, IssuerError> {
        let body = json(&PollBody { device_auth_id: auth.id.expose(), user_code: &auth.user_code });
        let answer = self.device("token", body).await?;
        match answer::success(answer.status.as_u16(), &answer.body, &[&auth.id]) {
            Ok(()) => parse_grant(&answer.body),
            Err(error) => waiting(error),
        }
    }

    /// The page where a person enters the code.
    pub(in crate::auth) fn device_page(&self) -> String {
        format!("{}/codex/device", self.config.issuer)
    }

    /// The redirect URI that the exchange of a device code names.
    pub(in crate::auth) fn device_redirect_uri(&self) -> String {
        format!("{}/deviceauth/callback", self.config.issuer)
    }

    async fn device(&self, endpoint: &str, body: Vec<u8>) -> Result<Answer, IssuerError> {
        let url = format!("{}/api/accounts/deviceauth/{endpoint}", self.config.issuer);
        let request = |client: &Client| {
            client.post(url).header(CONTENT_TYPE, "application/json").header(ACCEPT, "*/*").body(body)
        };
        self.send(self.request, request).await
    }
}

/// 403 and 404 mean that nobody has decided (WIRE §3), unless they say more.
fn waiting(error: IssuerError) -> Result<Poll, IssuerError> {
    let IssuerError::Status { status, code, .. } = &error else { return Err(error) };
    match (status, code.as_deref()) {
        (_, Some("slow_down")) | (429, _) => Ok(Poll::SlowDown),
        (_, Some("access_denied" | "deviceauth_expired" | "expired_token")) => Err(error),
        (_, Some("authorization_pending")) | (403 | 404, _) => Ok(Poll::Pending),
        _ => Err(error),
    }
}

fn parse_code(body: &[u8]) -> Result<DeviceAuth, IssuerError> {
    let missing = |missing| IssuerError::Incomplete { missing };
    let wire: WireCode = serde_json::from_slice(body).map_err(|_| missing("device_auth_id"))?;
    let id = wire.device_auth_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("device_auth_id"))?;
    let fits = |code: &String| {
        (1..=MAX_USER_CODE_CHARS).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let user_code = wire.user_code.filter(fits).ok_or_else(|| missing("user_code"))?;
    let interval = wire.interval.as_u64().or_else(|| wire.interval.as_str()?.trim().parse().ok());
    let interval = interval.map_or(DEFAULT_INTERVAL, Duration::from_secs);
    Ok(DeviceAuth { id: Secret::new(id), user_code, interval })
}

fn parse_grant(body: &[u8]) -> Result<Poll, IssuerError> {
    let missing = |missing| IssuerError::Incomplete { missing };
    let wire: WireGrant = serde_json::from_slice(body).map_err(|_| missing("authorization_code"))?;
    let secret = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::new);
    Ok(Poll::Granted {
        code: secret(wire.authorization_code).ok_or_else(|| missing("authorization_code"))?,
        verifier: secret(wire.code_verifier).ok_or_else(|| missing("code_verifier"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, code: &str) -> IssuerError {
        let code = Some(code.to_owned()).filter(|code| !code.is_empty());
        IssuerError::Status { status, code, message: "m".to_owned() }
    }

    #[test]
    fn each_answer_to_a_question_about_a_code_has_its_meaning() {
        for (answer, pending) in [
            (status(403, "deviceauth_authorization_unknown"), true),
            (status(403, ""), true),
            (status(404, ""), true),
            (status(400, "authorization_pending"), true),
            (status(403, "access_denied"), false),
            (status(400, "deviceauth_expired"), false),
            (status(400, ""), false),
            (status(500, ""), false),
        ] {
            let text = answer.to_string();
            assert_eq!(matches!(waiting(answer), Ok(Poll::Pending)), pending, "{text}");
        }
        for answer in [status(400, "slow_down"), status(429, "")] {
            assert!(matches!(waiting(answer), Ok(Poll::SlowDown)));
        }
    }

    #[test]
    fn the_code_is_read_with_a_text_a_number_or_no_interval() {
        for (body, seconds) in [
            (r#"{"device_auth_id":"d","user_code":"A-1","interval":"7"}"#, 7),
            (r#"{"device_auth_id":"d","usercode":"A-1","interval":7}"#, 7),
            (r#"{"device_auth_id":"d","user_code":"A-1","interval":"soon"}"#, 5),
            (r#"{"device_auth_id":"d","user_code":"A-1","expires_at":"x"}"#, 5),
        ] {
            let auth = parse_code(body.as_bytes()).unwrap();
            assert_eq!((auth.user_code.as_str(), auth.interval.as_secs()), ("A-1", seconds), "{body}");
            assert!(!format!("{auth:?}").contains("\"d\""));
        }
        for body in [
            "",
            "[]",
            r#"{"user_code":"A"}"#,
            r#"{"device_auth_id":"d"}"#,
            r#"{"device_auth_id":"d","user_code":"a\u001b[2J"}"#,
            r#"{"device_auth_id":"d","user_code":""}"#,
        ] {
            assert!(matches!(parse_code(body.as_bytes()), Err(IssuerError::Incomplete { .. })), "{body}");
        }
    }

    #[test]
    fn an_approved_code_without_its_verifier_is_of_no_use() {
        for body in
            ["{}", r#"{"authorization_code":"c"}"#, r#"{"authorization_code":"","code_verifier":"v"}"#]
        {
            assert!(matches!(parse_grant(body.as_bytes()), Err(IssuerError::Incomplete { .. })), "{body}");
        }
    }
}
