//! What the text of a setting means; an error says what was expected.

use crate::network::is_loopback;

/// Of a list of ports without any.
pub(super) const NO_PORTS: &str = "expected port numbers with commas between";

/// `1455,1457`.
pub(super) fn ports(text: &str) -> Result<Vec<u16>, &'static str> {
    text.split(',').map(|port| port.trim().parse().map_err(|_| NO_PORTS)).collect()
}

/// https anywhere, http to loopback only: a grant in clear text must not cross a network. Without a trailing slash.
pub(super) fn url(text: &str) -> Result<String, &'static str> {
    let url = reqwest::Url::parse(text).map_err(|_| "expected a URL such as https://example.com")?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err("http is allowed to loopback only; use https"),
        _ => return Err("expected https"),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("expected no user name, password or query in it");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Scheme, host and port.
pub(super) fn origin(url: &str) -> String {
    reqwest::Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization())
}

/// An address as it may be shown: `http://user:password@proxy:3128` → `http://proxy:3128`.
pub(super) fn without_user_info(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (text, shown) in [
            ("http://ada:FAKE@proxy:3128/", "http://proxy:3128/"),
            ("ada:FA@KE@proxy:3128", "proxy:3128"),
            ("https://example.com", "https://example.com"),
            ("issuer", "issuer"),
        ] {
            assert_eq!(without_user_info(text), shown);
        }
    }
}
