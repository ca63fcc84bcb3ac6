//! The address of a proxy.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::secret::Secret;

/// Where a proxy is, and with what it is signed in to. It prints without user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    whole: Secret,
    shown: String,
}

impl ProxyAddress {
    /// `http://user:password@proxy:3128`; without a scheme `http` is meant, as everywhere. The error says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected a proxy such as http://proxy.example.com:3128";
        let whole =
            if text.contains("://") { text.trim().to_owned() } else { format!("http://{}", text.trim()) };
        let url = Url::parse(&whole).map_err(|_| EXPECTED)?;
        match url.scheme() {
            "http" | "https" => {}
            "socks4" | "socks4a" | "socks5" | "socks5h" => {
                return Err("SOCKS is not supported; expected a proxy such as http://proxy.example.com:3128");
            }
            _ => return Err(EXPECTED),
        }
        let host = url.host_str().ok_or(EXPECTED)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(EXPECTED);
        }
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        Ok(Self { shown: format!("{}://{host}{port}", url.scheme()), whole: Secret::new(whole) })
    }

    /// With what is secret in it: for a connection, nothing else.
    pub(super) fn url(&self) -> Url {
        Url::parse(self.whole.expose()).expect("it was parsed before")
    }

    /// `Basic …` (RFC 7617 §2), when a user name or a password is given.
    pub(super) fn basic(&self) -> Option<Secret> {
        let url = self.url();
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pair = format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()));
        self.has_login().then(|| Secret::new(format!("Basic {}", STANDARD.encode(pair))))
    }

    /// Whether a user name or a password is given.
    pub(super) fn has_login(&self) -> bool {
        let url = self.url();
        !url.username().is_empty() || url.password().is_some()
    }

    /// Host and port, for comparing it with what a session says of itself.
    pub fn host_and_port(&self) -> String {
        let url = self.url();
        format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyAddress({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_without_its_password() {
        let proxy = ProxyAddress::parse("http://ada:FAKE%40word@proxy.example.com:3128/").unwrap();
        assert_eq!(proxy.to_string(), "http://proxy.example.com:3128");
        assert!(!format!("{proxy:?} {proxy:#?}").contains("FAKE"));
        assert_eq!((proxy.has_login(), proxy.url().password()), (true, Some("FAKE%40word")));
        let token_alone = ProxyAddress::parse("http://:FAKE@proxy.example.com").unwrap();
        assert_eq!(token_alone.basic(), Some(Secret::new("Basic OkZBS0U=")));
        assert_eq!(proxy.host_and_port(), "proxy.example.com:3128");
    }

    #[test]
    fn without_a_scheme_http_is_meant() {
        assert_eq!(ProxyAddress::parse("proxy:3128").unwrap().to_string(), "http://proxy:3128");
        assert_eq!(ProxyAddress::parse("ada:FAKE@proxy:3128").unwrap().to_string(), "http://proxy:3128");
        assert_eq!(ProxyAddress::parse("https://proxy").unwrap().host_and_port(), "proxy:443");
    }

    #[test]
    fn what_is_no_proxy_is_refused_with_what_was_expected() {
        for text in ["", "http://", "ftp://proxy", "http://proxy:port", "http://proxy/path", "a b"] {
            assert!(ProxyAddress::parse(text).unwrap_err().starts_with("expected a proxy"), "{text}");
        }
        assert!(ProxyAddress::parse("socks5h://127.0.0.1:1080").unwrap_err().contains("SOCKS"));
    }
}
