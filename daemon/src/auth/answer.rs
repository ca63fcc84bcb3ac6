//! What an answer of the token endpoint means (WIRE §2.3 for the text, §5.3 for the classes).

use serde_json::Value;

use super::issuer::IssuerError;
use crate::secret::Secret;

/// Codes after which a refresh token is of no use any more.
const PERMANENT: [&str; 4] =
    ["refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated", "invalid_grant"];
/// A message is for a person; an HTML page is not one.
const MAX_MESSAGE_CHARS: usize = 300;
/// Codes are short words.
const MAX_CODE_CHARS: usize = 64;

/// The class of an answer to a refresh.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 2xx.
    Success,
    /// Permanent: 401, or a permanent code in another 4xx but 429.
    Refused { code: Option<String>, message: String },
    /// May pass.
    Failed { code: Option<String>, message: String },
}

/// Judges an answer to a refresh. `secrets` are removed from its text, should the issuer have echoed them.
pub(super) fn judge(status: u16, body: &[u8], secrets: &[&Secret]) -> Verdict {
    if (200..300).contains(&status) {
        return Verdict::Success;
    }
    let json = serde_json::from_slice(body).unwrap_or(Value::Null);
    let code = code(&json, secrets);
    let message = message(&json, body, secrets);
    let permanent_code = code.as_deref().is_some_and(|code| PERMANENT.contains(&code));
    match status {
        401 => Verdict::Refused { code, message },
        400..500 if permanent_code && status != 429 => Verdict::Refused { code, message },
        _ => Verdict::Failed { code, message },
    }
}

/// Turns every status but 2xx into an error.
pub(super) fn success(status: u16, body: &[u8], secrets: &[&Secret]) -> Result<(), IssuerError> {
    match judge(status, body, secrets) {
        Verdict::Success => Ok(()),
        Verdict::Refused { code, message } | Verdict::Failed { code, message } => {
            Err(IssuerError::Status { status, code, message })
        }
    }
}

/// One line for a person: control characters are spaces, and it is not long.
pub(super) fn tidy(text: &str, max_chars: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// `error.code`, or `error` if a string, or top-level `code`; lower case.
fn code(json: &Value, secrets: &[&Secret]) -> Option<String> {
    let code = json["error"]["code"].as_str().or(json["error"].as_str()).or(json["code"].as_str())?;
    Some(tidy(&scrub(code, secrets), MAX_CODE_CHARS).to_lowercase()).filter(|code| !code.is_empty())
}

/// `error_description`, else `error.message`, else `error` or `error.code`, else `detail`, else the raw body.
fn message(json: &Value, body: &[u8], secrets: &[&Secret]) -> String {
    let error = &json["error"];
    let texts = [&json["error_description"], &error["message"], error, &error["code"], &json["detail"]];
    let named = texts.into_iter().filter_map(Value::as_str).find(|text| !text.trim().is_empty());
    if body.trim_ascii_start().starts_with(b"<") {
        return "a web page in place of an answer".to_owned();
    }
    let raw = String::from_utf8_lossy(body);
    let text = tidy(&scrub(named.unwrap_or(&raw), secrets), MAX_MESSAGE_CHARS);
    // It stands in the middle of a message of ours.
    let text = text.trim_end_matches('.');
    if text.is_empty() { "empty answer".to_owned() } else { text.to_owned() }
}

fn scrub(text: &str, secrets: &[&Secret]) -> String {
    secrets
        .iter()
        .filter(|secret| !secret.expose().is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "[removed]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_the_wire_has_its_class() {
        const HTML: &str = "<html><title>Attention Required!</title></html>";
        // (status, body, permanent, code)
        for (status, body, permanent, expected) in [
            (401, r#"{"error":{"code":"refresh_token_expired"}}"#, true, Some("refresh_token_expired")),
            (401, r#"{"error":{"code":"refresh_token_reused"}}"#, true, Some("refresh_token_reused")),
            (400, r#"{"error":{"code":"refresh_token_reused"}}"#, true, Some("refresh_token_reused")),
            (400, r#"{"error":{"code":"Refresh_Token_REUSED"}}"#, true, Some("refresh_token_reused")),
            (401, r#"{"code":"refresh_token_invalidated"}"#, true, Some("refresh_token_invalidated")),
            (400, r#"{"error":"invalid_grant"}"#, true, Some("invalid_grant")),
            (400, r#"{"error":"INVALID_GRANT"}"#, true, Some("invalid_grant")),
            (403, r#"{"error":"invalid_grant"}"#, true, Some("invalid_grant")),
            (401, r#"{"error":{"code":"something_else"}}"#, true, Some("something_else")),
            (401, "", true, None),
            (401, HTML, true, None),
            (400, r#"{"error":"invalid_request"}"#, false, Some("invalid_request")),
            (400, "", false, None),
            (403, HTML, false, None),
            (429, r#"{"error":"invalid_grant"}"#, false, Some("invalid_grant")),
            (429, "", false, None),
            (500, r#"{"error":{"code":"refresh_token_reused"}}"#, false, Some("refresh_token_reused")),
            (502, HTML, false, None),
            (302, "", false, None),
        ] {
            let (code, is_permanent) = match judge(status, body.as_bytes(), &[]) {
                Verdict::Refused { code, .. } => (code, true),
                Verdict::Failed { code, .. } => (code, false),
                Verdict::Success => panic!("{status} is no success"),
            };
            assert_eq!((code.as_deref(), is_permanent), (expected, permanent), "{status} {body}");
        }
        assert_eq!(judge(200, b"", &[]), Verdict::Success);
    }

    #[test]
    fn the_text_is_found_in_the_order_of_the_wire() {
        for (body, expected) in [
            (r#"{"error_description":"d","error":{"message":"m"}}"#, "d"),
            (r#"{"error":{"message":"m","code":"c"}}"#, "m"),
            (r#"{"error":"e"}"#, "e"),
            (r#"{"error":{"code":"c"}}"#, "c"),
            (r#"{"detail":"x"}"#, "x"),
            (r#"{"other":"x"}"#, r#"{"other":"x"}"#),
            (" <html><body>x", "a web page in place of an answer"),
            ("  plain \n text. ", "plain text"),
            ("", "empty answer"),
        ] {
            let Verdict::Failed { message, .. } = judge(500, body.as_bytes(), &[]) else { panic!("{body}") };
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn an_echoed_token_and_a_long_page_do_not_get_through() {
        let token = Secret::new("rt_FAKE");
        let body = format!(r#"{{"error":{{"code":"rt_FAKE","message":"bad rt_FAKE {}"}}}}"#, "x".repeat(900));
        let verdict = format!("{:?}", judge(400, body.as_bytes(), &[&token]));
        assert!(verdict.contains("[removed]") && !verdict.contains("rt_FAKE"), "{verdict}");
        assert!(verdict.len() < 500, "{}", verdict.len());
    }
}
