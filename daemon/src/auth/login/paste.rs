//! What a person copies out of the browser, when the browser is on another machine: the address that it ended at, or the
//! code in it.

use super::PasteError;
use crate::auth::callback::{self, Denial, Query};
use crate::secret::Secret;

/// As long as the head of a request that a browser could have sent here.
const MAX_BYTES: usize = 16 << 10;
/// A code is one word; a person who pastes two lines has copied something else.
const MAX_CODE_BYTES: usize = 2 << 10;
/// A code cannot be guessed (RFC 6749 §10.10: at most once in 2^128), which takes so many letters of base64url. A shorter word
/// is a command or a password for somebody else, and nothing to tell the issuer.
const FEWEST_CODE_BYTES: usize = 22;

/// The code in `text`, or why the issuer gave none.
///
/// An address must carry our `state`. A bare code carries none: it is bound to this login by the challenge in its link
/// (RFC 7636), so a code that somebody else slipped to the person is refused by the issuer.
pub(super) fn read(text: &Secret, state: &Secret) -> Result<Result<Secret, Denial>, PasteError> {
    let text = text.expose().trim().trim_matches(['"', '\'', '<', '>']);
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err(PasteError::Unreadable);
    }
    let Some(query) = query_of(text) else {
        return if is_code(text) { Ok(Ok(Secret::new(text))) } else { Err(PasteError::Unreadable) };
    };
    let query = Query::parse(query).map_err(|_| PasteError::Unreadable)?;
    match &query.state {
        Some(given) if callback::is_state(given, state) => Ok(query.outcome()),
        Some(_) => Err(PasteError::OtherLogin),
        None => Err(PasteError::Unreadable),
    }
}

/// The query of an address, whichever way the browser shows it; nothing for what is no address.
fn query_of(text: &str) -> Option<&str> {
    if let Some((_, query)) = text.split_once('?') {
        return Some(query.split('#').next().unwrap_or_default());
    }
    (text.starts_with("code=") || text.starts_with("state=")).then_some(text)
}

fn is_code(text: &str) -> bool {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    (FEWEST_CODE_BYTES..=MAX_CODE_BYTES).contains(&text.len()) && text.bytes().all(is_bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Result<Result<Secret, Denial>, PasteError> {
        read(&Secret::new(text), &Secret::new("the-state"))
    }

    #[test]
    fn the_whole_address_its_query_and_the_bare_code_are_read() {
        for text in [
            "http://127.0.0.1:1455/auth/callback?code=ac_1-2.3~4&state=the-state",
            "http://localhost:1455/auth/callback?scope=openid+email&state=the-state&code=ac_1-2.3~4#x",
            "127.0.0.1:1455/auth/callback?code=ac_1-2.3%7E4&state=the-state",
            "  \"http://127.0.0.1:1455/auth/callback?code=ac_1-2.3~4&state=the-state\"\r\n",
            "http://x/auth/callback?code=ac_1-2.3~4&state=the-state.onboarding_entrypoint=life_sciences",
            "code=ac_1-2.3~4&state=the-state",
        ] {
            assert_eq!(outcome(text).unwrap().unwrap().expose(), "ac_1-2.3~4", "{text}");
        }
        let code = "ac_1-2.3~4-and-twelve-m";
        assert_eq!(outcome(code).unwrap().unwrap().expose(), code);
    }

    #[test]
    fn what_is_of_another_login_or_no_code_is_told_apart() {
        for text in ["http://x/?code=c&state=the-stat", "code=c&state=other"] {
            assert!(matches!(outcome(text), Err(PasteError::OtherLogin)), "{text}");
        }
        let long = "a".repeat(MAX_BYTES + 1);
        for text in [
            "",
            "\n",
            "two words",
            "clear",
            &long[..FEWEST_CODE_BYTES - 1],
            "https://chatgpt.com/",
            "http://x/?code=c",
            "http://x/?code=a&code=b&state=the-state",
            "-----BEGIN KEY-----\nabc",
            &long,
            &long[..=MAX_CODE_BYTES],
        ] {
            assert!(matches!(outcome(text), Err(PasteError::Unreadable)), "{text:.80}");
        }
        let denial = outcome("http://x/?error=access_denied&state=the-state").unwrap().unwrap_err();
        assert_eq!(denial.error, "access_denied");
    }
}
