//! What the browser is shown: plain text and plain HTML, nothing loaded, nothing stored, nothing secret.

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::request::Refusal;

/// Nothing may be loaded, framed or sent from the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// How a login ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Page {
    /// The login is on disk.
    SignedIn {
        /// As whom.
        email: Option<String>,
    },
    /// It is not; a login from before is still in force.
    Failed {
        /// In the words of the daemon or the issuer; escaped here.
        reason: String,
    },
}

/// The page at the end of a login.
pub(super) fn page(page: &Page) -> Response<String> {
    let (title, text) = match page {
        Page::SignedIn { email: None } => ("Signed in", "You are signed in.".to_owned()),
        Page::SignedIn { email: Some(email) } => {
            ("Signed in", format!("You are signed in as <b>{}</b>.", escape(email)))
        }
        Page::Failed { reason } => {
            ("Not signed in", format!("{}.</p><p>Please start the login again.", escape(reason)))
        }
    };
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title} - codex-oauth</title></head>\n\
         <body><h1>{title}</h1><p>{text}</p><p>You can close this tab.</p></body></html>\n"
    );
    respond(StatusCode::OK, "text/html; charset=utf-8", html)
}

/// The answer to a request that is not the redirect of our login.
pub(super) fn refusal(refusal: Refusal) -> Response<String> {
    let (status, text) = match refusal {
        Refusal::Host => (StatusCode::FORBIDDEN, "Host not allowed"),
        Refusal::NotNavigation => (StatusCode::FORBIDDEN, "Only for a browser that follows a link"),
        Refusal::Path => (StatusCode::NOT_FOUND, "Not Found"),
        Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"),
        Refusal::Malformed => (StatusCode::BAD_REQUEST, "Bad Request"),
        Refusal::State => (StatusCode::BAD_REQUEST, "State mismatch: this is not the login that is waiting"),
        Refusal::Used => (StatusCode::GONE, "This login link was used already"),
    };
    let mut response = respond(status, "text/plain; charset=utf-8", format!("{text}\n"));
    if refusal == Refusal::Method {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    }
    response
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_escaped() {
        let page = page(&Page::Failed { reason: "<script>alert('x')</script> & \"y\"".to_owned() });
        let body = page.body();
        assert!(
            body.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;"),
            "{body}"
        );
        let page = super::page(&Page::SignedIn { email: Some("<b>@example.com".to_owned()) });
        assert!(page.body().contains("&lt;b&gt;@example.com"));
    }
}
