//! Which requests are the redirect of our login.

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Method, Request};

use super::query::{Denial, Query, is_state};
use crate::secret::Secret;

/// The path of the redirect URI, which the issuer has on its list (WIRE §2.1).
pub(in crate::auth) const PATH: &str = "/auth/callback";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What the redirect is known by.
#[derive(Debug)]
pub(in crate::auth) struct Expected {
    /// Ours.
    pub(in crate::auth) port: u16,
    /// As in the authorize URL.
    pub(in crate::auth) state: Secret,
    /// Whose pages may send the browser here.
    pub(in crate::auth) issuer: String,
}

/// Why a request is not the redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Refusal {
    /// Not addressed to a loopback name and our port: DNS rebinding, or a mistake.
    Host,
    /// Sent by a script, a frame or an image, not by a person's browser going somewhere.
    NotNavigation,
    /// Another path.
    Path,
    /// Another method.
    Method,
    /// A field twice, or an absolute URI.
    Malformed,
    /// Not our login.
    State,
    /// The redirect has been here already.
    Used,
}

/// The code of a request that is the redirect of our login.
pub(in crate::auth) fn judge<B>(
    request: &Request<B>,
    expected: &Expected,
) -> Result<Result<Secret, Denial>, Refusal> {
    let headers = request.headers();
    if request.uri().authority().is_some() {
        return Err(Refusal::Malformed);
    }
    if !only(headers, &HOST).is_some_and(|host| is_ours(host, expected.port)) {
        return Err(Refusal::Host);
    }
    if request.uri().path() != PATH {
        return Err(Refusal::Path);
    }
    if request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    if !is_navigation(headers, &expected.issuer) {
        return Err(Refusal::NotNavigation);
    }
    let query = Query::parse(request.uri().query().unwrap_or_default())?;
    if !query.state.as_ref().is_some_and(|state| is_state(state, &expected.state)) {
        return Err(Refusal::State);
    }
    Ok(query.outcome())
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn is_ours(host: &str, port: u16) -> bool {
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|name| host.eq_ignore_ascii_case(&format!("{name}:{port}")))
}

/// A browser says of each request where it comes from and what it is for, and no script can make it say otherwise. What
/// says no `Sec-Fetch-Site` is a program, or a browser too old, and is let in; Node's `fetch` says a mode alone. `Origin`
/// does not come with a navigation by GET, but browsers differ after a redirected form (`null`).
/// `Referer` is not looked at: the issuer's page sets it or not as it likes.
fn is_navigation(headers: &HeaderMap, issuer: &str) -> bool {
    let says = |name: &HeaderName, allowed: &[&str]| {
        !headers.contains_key(name) || only(headers, name).is_some_and(|value| allowed.contains(&value))
    };
    let is_browser = headers.contains_key(&SEC_FETCH_SITE);
    (!is_browser || (says(&SEC_FETCH_MODE, &["navigate"]) && says(&SEC_FETCH_DEST, &["document"])))
        && says(&ORIGIN, &["null", origin_of(issuer)])
}

/// Scheme, host and port of a URL that has no user.
fn origin_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    &url[..end]
}
