//! Where an account's model requests go: `GET wham/accounts/check` (WIRE §6). The reply is believed only as far as it cannot
//! send a grant to a stranger.

use reqwest::Url;
use serde_json::Value;

/// "No constraint" for both routing fields.
const NO_CONSTRAINT: &str = "NO_CONSTRAINT";

/// The overrides that the official client accepts (WIRE §6, §15).
const OVERRIDES: [&str; 2] = ["us", "us_cr"];

/// The domain whose hosts may receive a grant of the public backend.
const CHATGPT_HOST: &str = "chatgpt.com";

/// How model requests of an account are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Another origin than the configured backend's, e.g. `https://gov.chatgpt.com`, without a slash at its end.
    pub origin: Option<String>,
    /// Value of `x-openai-account-routing-override`.
    pub override_value: Option<String>,
}

/// Why `accounts/check` names no usable route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoutingProblem {
    /// No JSON, or no list of accounts.
    #[error("the reply holds no account list")]
    Malformed,
    /// The login's account is not among them, e.g. an `org-…` id.
    #[error("the selected account is not in the list")]
    AccountMissing,
    /// The account is there twice, with different routes.
    #[error("the selected account is in the list twice, with different routes")]
    Duplicate,
    /// No `workspace_backend_origin`; the older map form has none.
    #[error("the account has no backend origin")]
    OriginMissing,
    /// An origin that must not receive the grant.
    #[error("the origin `{origin}` is not one that this login may be sent to")]
    OriginNotAllowed {
        /// As it came, clipped.
        origin: String,
    },
    /// An override that is missing or unknown.
    #[error("the routing override `{value}` is not known")]
    OverrideUnknown {
        /// As it came, clipped; empty when missing.
        value: String,
    },
}

impl Routing {
    /// Reads the route of `account_id`; `backend` is the configured one.
    pub(super) fn parse(body: &[u8], account_id: &str, backend: &Url) -> Result<Self, RoutingProblem> {
        let json: Value = serde_json::from_slice(body).map_err(|_| RoutingProblem::Malformed)?;
        let routes = match json.get("accounts") {
            Some(Value::Array(list)) => routes_of(list, account_id, backend),
            Some(Value::Object(map)) => routes_of(map.values(), account_id, backend),
            _ => return Err(RoutingProblem::Malformed),
        };
        let mut routes = routes.into_iter();
        let first = routes.next().ok_or(RoutingProblem::AccountMissing)?;
        // The backend is known to list an account twice; only a contradiction is a problem.
        if routes.any(|other| other != first) { Err(RoutingProblem::Duplicate) } else { first }
    }
}

fn routes_of<'a>(
    entries: impl IntoIterator<Item = &'a Value>,
    account_id: &str,
    backend: &Url,
) -> Vec<Result<Routing, RoutingProblem>> {
    // The older form wraps each entry as {"account": {"account_id": …}}.
    let id = |entry: &'a Value| entry.get("id").or_else(|| entry.pointer("/account/account_id"))?.as_str();
    entries
        .into_iter()
        .filter(|entry| id(entry) == Some(account_id))
        .map(|entry| route_of(entry, backend))
        .collect()
}

fn route_of(entry: &Value, backend: &Url) -> Result<Routing, RoutingProblem> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let origin = text("workspace_backend_origin").ok_or(RoutingProblem::OriginMissing)?;
    let origin = match origin {
        NO_CONSTRAINT => None,
        named => allowed_origin(named, backend)?,
    };
    let override_value = match text("account_routing_override").unwrap_or_default() {
        NO_CONSTRAINT => None,
        known if OVERRIDES.contains(&known) => Some(known.to_owned()),
        other => return Err(RoutingProblem::OverrideUnknown { value: super::error::clip(other, 64) }),
    };
    Ok(Routing { origin, override_value })
}

/// `None` when the configured backend is meant. A grant of another backend than the public one stays with its backend, even if
/// the reply names the public one: a copied reply must not move a test login to chatgpt.com (WIRE §6, trap for fakes).
fn allowed_origin(named: &str, backend: &Url) -> Result<Option<String>, RoutingProblem> {
    let refuse = || RoutingProblem::OriginNotAllowed { origin: super::error::clip(named, 200) };
    let url = Url::parse(named).map_err(|_| refuse())?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_bare {
        return Err(refuse());
    }
    if url.origin() == backend.origin() {
        return Ok(None);
    }
    if !is_chatgpt(&url) {
        return Err(refuse());
    }
    Ok(is_chatgpt(backend).then(|| url.origin().ascii_serialization()))
}

/// https on chatgpt.com or a subdomain, on the usual port.
pub(super) fn is_chatgpt(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.strip_suffix(CHATGPT_HOST);
    url.scheme() == "https"
        && url.port().is_none()
        && host.is_some_and(|subdomain| subdomain.is_empty() || subdomain.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    fn public() -> Url {
        "https://chatgpt.com/backend-api".parse().expect("a URL")
    }

    fn entry(origin: &str, routing: &str) -> String {
        format!(
            r#"{{"id":"{ID}","workspace_backend_origin":"{origin}","account_routing_override":"{routing}"}}"#
        )
    }

    fn parse(entries: &str) -> Result<Routing, RoutingProblem> {
        Routing::parse(format!(r#"{{"accounts":[{entries}]}}"#).as_bytes(), ID, &public())
    }

    #[test]
    fn accepted_origins_and_overrides_make_a_route() {
        let plain = Routing::default();
        assert_eq!(parse(&entry("NO_CONSTRAINT", "NO_CONSTRAINT")), Ok(plain.clone()));
        assert_eq!(parse(&entry("https://chatgpt.com", "NO_CONSTRAINT")), Ok(plain.clone()));
        for value in ["us", "us_cr"] {
            let route = Routing { origin: None, override_value: Some(value.into()) };
            assert_eq!(parse(&entry("NO_CONSTRAINT", value)), Ok(route));
        }
        let gov = Routing { origin: Some("https://gov.chatgpt.com".into()), override_value: None };
        assert_eq!(parse(&entry("https://gov.chatgpt.com", "NO_CONSTRAINT")), Ok(gov));
    }

    #[test]
    fn no_reply_can_send_a_grant_to_a_stranger() {
        for origin in [
            "https://evil.example",
            "https://chatgpt.com.evil.example",
            "https://evilchatgpt.com",
            "http://chatgpt.com",
            "https://user@chatgpt.com",
            "https://chatgpt.com:8443",
            "https://chatgpt.com/path",
            "http://127.0.0.1:1",
            "file:///x",
            "chatgpt.com",
            "",
        ] {
            let refused = parse(&entry(origin, "NO_CONSTRAINT"));
            assert!(matches!(refused, Err(RoutingProblem::OriginNotAllowed { .. })), "{origin}: {refused:?}");
        }
    }

    #[test]
    fn a_grant_of_another_backend_stays_there() {
        let backend: Url = "http://127.0.0.1:8080/backend-api".parse().expect("a URL");
        for origin in
            ["https://chatgpt.com", "https://gov.chatgpt.com", "http://127.0.0.1:8080", "NO_CONSTRAINT"]
        {
            let body = format!(r#"{{"accounts":[{}]}}"#, entry(origin, "us"));
            let route = Routing { origin: None, override_value: Some("us".into()) };
            assert_eq!(Routing::parse(body.as_bytes(), ID, &backend), Ok(route), "{origin}");
        }
        let body = format!(r#"{{"accounts":[{}]}}"#, entry("http://127.0.0.1:8081", "us"));
        assert!(Routing::parse(body.as_bytes(), ID, &backend).is_err());
    }

    #[test]
    fn the_traps_of_the_reply_are_named() {
        let good = entry("NO_CONSTRAINT", "us");
        for value in ["eu", "default", "", "no_constraint"] {
            let unknown = RoutingProblem::OverrideUnknown { value: value.into() };
            assert_eq!(parse(&entry("NO_CONSTRAINT", value)), Err(unknown));
        }
        let without_override = format!(r#"{{"id":"{ID}","workspace_backend_origin":"NO_CONSTRAINT"}}"#);
        assert!(matches!(parse(&without_override), Err(RoutingProblem::OverrideUnknown { .. })));
        assert_eq!(parse(&format!(r#"{{"id":"{ID}"}}"#)), Err(RoutingProblem::OriginMissing));
        assert_eq!(parse(r#"{"id":"org-1"}"#), Err(RoutingProblem::AccountMissing));
        assert_eq!(parse(""), Err(RoutingProblem::AccountMissing));
        assert!(parse(&format!("{good},{good}")).is_ok(), "twice the same route is no contradiction");
        let other = entry("NO_CONSTRAINT", "us_cr");
        assert_eq!(parse(&format!("{good},{other}")), Err(RoutingProblem::Duplicate));
        let map = format!(r#"{{"accounts":{{"a":{{"account":{{"account_id":"{ID}"}}}}}}}}"#);
        assert_eq!(Routing::parse(map.as_bytes(), ID, &public()), Err(RoutingProblem::OriginMissing));
        for body in ["", "{}", "[]", r#"{"accounts":7}"#] {
            assert_eq!(
                Routing::parse(body.as_bytes(), ID, &public()),
                Err(RoutingProblem::Malformed),
                "{body}"
            );
        }
    }
}
