//! What `auth` is told at start.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;

use crate::network::{Network, is_loopback};

/// Where the login is kept and where it may be sent. Fixed for the life of the daemon: nothing that a session says can
/// change it.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Canonical path of the credential file; the file need not exist.
    pub file: PathBuf,
    /// Where the history of refresh tokens is kept; its folder exists.
    pub history: PathBuf,
    /// Issuer URL; https, or http to loopback.
    pub issuer: String,
    /// Backend URL, of which the origin counts; https, or http to loopback.
    pub backend_origin: String,
    /// OAuth client id.
    pub client_id: String,
    /// Ports for the login's redirect, the first free one is taken. The issuer knows which are allowed (WIRE §2.2).
    pub callback_ports: Vec<u16>,
    /// Only these workspaces may sign in (WIRE §2.5); none named, any may.
    pub workspaces: Workspaces,
    /// `originator` of the authorize URL and of the refresh: our own name.
    pub originator: String,
    /// User-Agent of the refresh: our own.
    pub user_agent: String,
    /// How the issuer is reached.
    pub network: Network,
    /// The machine's id as it is, e.g. the text of `/etc/machine-id`; `None` where there is none.
    pub machine_id: Option<String>,
}

/// The workspaces that may be used.
#[derive(Clone, Debug, Default)]
pub struct Workspaces {
    /// Their ids.
    pub allowed: Vec<String>,
    /// The variable, or the key and its file, that names them.
    pub by: String,
}

impl fmt::Display for Workspaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} allows only `{}`", self.by, self.allowed.join("` or `"))
    }
}

/// A configured URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not an absolute URL, or one with user, query or fragment.
    #[error("could not use the {what} `{url}`: it is not a plain URL")]
    NotAUrl {
        /// `issuer` or `backend`.
        what: &'static str,
        /// As configured.
        url: String,
    },
    /// A token would cross a network in clear text.
    #[error("could not use the {what} `{url}`: only https, and http to loopback, may carry a login")]
    ClearText {
        /// `issuer` or `backend`.
        what: &'static str,
        /// As configured.
        url: String,
    },
}

impl AuthConfig {
    /// This configuration with the issuer's trailing slash removed and the backend cut to its origin, so that equal
    /// places are equal texts.
    pub(super) fn normalized(mut self) -> Result<Self, ConfigError> {
        let issuer = checked("issuer", &self.issuer)?;
        let backend = checked("backend", &self.backend_origin)?;
        issuer.as_str().trim_end_matches('/').clone_into(&mut self.issuer);
        self.backend_origin = backend.origin().ascii_serialization();
        Ok(self)
    }
}

fn checked(what: &'static str, text: &str) -> Result<Url, ConfigError> {
    let not_a_url = || ConfigError::NotAUrl { what, url: text.to_owned() };
    let url = Url::parse(text).map_err(|_| not_a_url())?;
    let plain = url.username().is_empty() && url.password().is_none();
    if !plain || url.query().is_some() || url.fragment().is_some() || url.host_str().is_none() {
        return Err(not_a_url());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(ConfigError::ClearText { what, url: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_http_may_carry_a_login() {
        for (url, result) in [
            ("https://auth.openai.com", Ok("https://auth.openai.com")),
            ("https://AUTH.openai.com:443/", Ok("https://auth.openai.com")),
            ("https://sso.example/tenant/", Ok("https://sso.example/tenant")),
            ("http://127.0.0.1:8080/", Ok("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Ok("http://[::1]:8080")),
            ("http://localhost:1", Ok("http://localhost:1")),
            ("http://auth.openai.com", Err("clear")),
            ("http://127.0.0.1.example.com", Err("clear")),
            ("http://localhost.example.com", Err("clear")),
            ("ftp://127.0.0.1", Err("clear")),
            ("https://user@auth.openai.com", Err("url")),
            ("https://auth.openai.com?x=1", Err("url")),
            ("https://auth.openai.com#x", Err("url")),
            ("auth.openai.com", Err("url")),
            ("file:///etc/passwd", Err("url")),
            ("", Err("url")),
        ] {
            let checked = checked("issuer", url);
            let found =
                checked.as_ref().map(|url| url.as_str().trim_end_matches('/')).map_err(|error| match error {
                    ConfigError::ClearText { .. } => "clear",
                    ConfigError::NotAUrl { .. } => "url",
                });
            assert_eq!(found, result, "{url}");
        }
    }

    #[test]
    fn the_backend_is_cut_to_its_origin() {
        let config = crate::auth::testing::config("https://auth.openai.com", "/nowhere".into());
        let config = AuthConfig { backend_origin: "https://ChatGPT.com/backend-api/".into(), ..config };
        assert_eq!(config.normalized().unwrap().backend_origin, "https://chatgpt.com");
    }
}
