//! `GET /oauth/authorize` (WIRE §2.1, RFC 6749 §4.1, RFC 7636 §4.3), and its page with Approve and Deny.

use hyper::Method;

use super::code::{CodeGrant, Redirect};
use super::{CLIENT_ID, field, page};
use crate::received::Received;
use crate::reply::Reply;
use crate::shared::Shared;
use crate::text::{encode_form, escape_html, random_hex};

/// Length of a base64url SHA-256.
const CHALLENGE_LEN: usize = 43;

/// What a valid authorize request asks for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    redirect_uri: String,
    state: String,
    challenge: String,
    scope: String,
}

pub(super) fn handle(shared: &Shared, received: &Received) -> Reply {
    if received.method == Method::POST { decision(shared, received) } else { request(shared, received) }
}

fn request(shared: &Shared, received: &Received) -> Reply {
    let wish = match check(&received.query) {
        Ok(wish) => wish,
        // Nothing is ever sent to a redirect_uri that is not known to be the client's (RFC 6749 §4.1.2.1).
        Err(Fault { redirect: None, error, reason }) => {
            return page(400, "Authentication error", &escape_html(&reason)).noted(error);
        }
        Err(Fault { redirect: Some((uri, state)), error, reason }) => {
            return back(&uri, &[("error", error), ("error_description", &reason), ("state", &state)])
                .noted(error);
        }
    };
    if !shared.behaviour.lock().require_approval {
        return approve(shared, wish);
    }
    let id = random_hex(16);
    let form = format!(
        "<p>Sign in to Codex with this FAKE account?</p>\
         <form method=\"post\" action=\"/oauth/authorize\"><input type=\"hidden\" name=\"id\" value=\"{id}\">\
         <button name=\"decision\" value=\"approve\">Approve</button> \
         <button name=\"decision\" value=\"deny\">Deny</button></form>"
    );
    shared.logins.lock().pages.insert(id, wish);
    page(200, "Sign in", &form)
}

fn decision(shared: &Shared, received: &Received) -> Reply {
    let form = received.form().unwrap_or_default();
    let wish = field(&form, "id").and_then(|id| shared.logins.lock().pages.get(id).cloned());
    match (wish, field(&form, "decision")) {
        (Some(wish), Some("approve")) => approve(shared, wish),
        (Some(wish), Some("deny")) => back(
            &wish.redirect_uri,
            &[
                ("error", "access_denied"),
                ("error_description", "The user denied the request"),
                ("state", &wish.state),
            ],
        )
        .noted("access_denied"),
        _ => page(400, "Authentication error", "unknown request or decision"),
    }
}

fn approve(shared: &Shared, wish: Wish) -> Reply {
    let who = shared.behaviour.lock().identity.clone();
    let grant = CodeGrant::new(Redirect::Exactly(wish.redirect_uri.clone()), wish.challenge, wish.scope, who);
    let code = shared.logins.lock().issue_code(grant);
    back(&wish.redirect_uri, &[("code", &code), ("state", &wish.state)])
}

fn back(redirect_uri: &str, pairs: &[(&str, &str)]) -> Reply {
    Reply::redirect(format!("{redirect_uri}?{}", encode_form(pairs)))
}

struct Fault {
    redirect: Option<(String, String)>,
    error: &'static str,
    reason: String,
}

fn check(query: &[(String, String)]) -> Result<Wish, Fault> {
    let get = |name: &str| field(query, name).filter(|value| !value.is_empty());
    let page = |reason: &str| Fault { redirect: None, error: "invalid_request", reason: reason.to_owned() };
    if let Some((name, _)) =
        query.iter().enumerate().find_map(|(i, pair)| query[..i].iter().find(|earlier| earlier.0 == pair.0))
    {
        return Err(page(&format!("parameter {name} is repeated")));
    }
    if get("client_id") != Some(CLIENT_ID) {
        return Err(page("unknown client_id"));
    }
    let redirect_uri = get("redirect_uri").filter(|uri| is_loopback_callback(uri));
    let redirect_uri =
        redirect_uri.ok_or_else(|| page("redirect_uri is not registered for this client"))?.to_owned();
    let state = get("state").ok_or_else(|| page("state is missing"))?.to_owned();
    let fault = |error: &'static str, reason: &str| Fault {
        redirect: Some((redirect_uri.clone(), state.clone())),
        error,
        reason: reason.to_owned(),
    };
    if get("response_type") != Some("code") {
        return Err(fault("unsupported_response_type", "response_type must be code"));
    }
    if get("code_challenge_method") != Some("S256") {
        return Err(fault("invalid_request", "code_challenge_method must be S256"));
    }
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let challenge =
        get("code_challenge").filter(|text| text.len() == CHALLENGE_LEN && text.chars().all(is_base64url));
    let challenge = challenge
        .ok_or_else(|| fault("invalid_request", "code_challenge must be 43 characters of base64url"))?;
    let scope = get("scope").filter(|scope| scope.split(' ').any(|word| word == "openid"));
    let scope = scope.ok_or_else(|| fault("invalid_scope", "scope must contain openid"))?;
    Ok(Wish { challenge: challenge.to_owned(), scope: scope.to_owned(), redirect_uri, state })
}

/// `http://127.0.0.1:PORT/auth/callback` or the same on `localhost`, any port (WIRE §2.1, RFC 8252 §7.3).
fn is_loopback_callback(uri: &str) -> bool {
    ["http://127.0.0.1:", "http://localhost:"]
        .iter()
        .filter_map(|origin| uri.strip_prefix(origin)?.strip_suffix("/auth/callback"))
        .any(|port| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port))
}

#[cfg(test)]
mod tests {
    use super::is_loopback_callback;

    #[test]
    fn only_the_loopback_callback_is_registered() {
        assert!(is_loopback_callback("http://127.0.0.1:1455/auth/callback"));
        assert!(is_loopback_callback("http://localhost:40000/auth/callback"));
        for other in [
            "http://127.0.0.1:1455/auth/callback/",
            "http://127.0.0.1:1455/auth/callback?x=1",
            "http://127.0.0.1/auth/callback",
            "http://127.0.0.1:0/auth/callback",
            "http://127.0.0.1:+80/auth/callback",
            "https://127.0.0.1:1455/auth/callback",
            "http://127.0.0.1:1455@evil.example/auth/callback",
            "http://evil.example:1455/auth/callback",
        ] {
            assert!(!is_loopback_callback(other), "{other}");
        }
    }
}
