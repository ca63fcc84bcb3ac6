//! Where the backend is and under which name we speak to it, checked once.

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::network::{Network, is_loopback};

/// How to reach the backend.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// E.g. `https://chatgpt.com/backend-api`; https, or http to a loopback host.
    pub backend: String,
    /// Our own name (`originator` header).
    pub originator: String,
    /// `User-Agent` header.
    pub user_agent: String,
    /// The Codex version whose protocol we speak (`version` header, `client_version` parameter): the backend lists and serves
    /// the models that this version understands.
    pub client_version: String,
    /// How it is reached.
    pub network: Network,
}

/// The configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No absolute URL, or one with user, query or fragment.
    #[error("could not use the backend `{backend}`: it is not a plain URL")]
    NotPlain {
        /// As configured.
        backend: String,
    },
    /// Plain http to another machine would show the token to everybody on the way.
    #[error("could not use the backend `{backend}`: it must be https, or http to a loopback address")]
    NotSecure {
        /// As configured.
        backend: String,
    },
    /// A value that no HTTP header can carry.
    #[error("could not use the {name} `{value}`: it cannot be sent in a header")]
    NotAHeader {
        /// Which one.
        name: &'static str,
        /// As configured.
        value: String,
    },
}

/// Where turns go, below the backend (WIRE §7).
pub(super) const RESPONSES_PATH: &str = "codex/responses";

/// A checked [`UpstreamConfig`].
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Without a slash at its end.
    pub(super) backend: Url,
    /// Where turns go, unless the account names another origin.
    pub(super) responses: Url,
    pub(super) originator: HeaderValue,
    pub(super) user_agent: HeaderValue,
    pub(super) version_header: HeaderValue,
    pub(super) client_version: String,
    pub(super) network: Network,
    #[cfg(test)]
    pub(super) http2_only: bool,
}

impl Settings {
    pub(super) fn new(config: UpstreamConfig) -> Result<Self, ConfigError> {
        let backend = config.backend;
        let not_plain = || ConfigError::NotPlain { backend: backend.clone() };
        let url: Url = backend.trim_end_matches('/').parse().map_err(|_| not_plain())?;
        let is_plain = url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain {
            return Err(not_plain());
        }
        let is_loopback = is_loopback(&url);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err(ConfigError::NotSecure { backend });
        }
        let responses = below(url.clone(), RESPONSES_PATH);
        Ok(Self {
            responses,
            originator: header("originator", &config.originator)?,
            user_agent: header("user agent", &config.user_agent)?,
            version_header: header("client version", &config.client_version)?,
            client_version: config.client_version,
            network: config.network,
            backend: url,
            #[cfg(test)]
            http2_only: false,
        })
    }

    /// `path` below the backend, e.g. `codex/models`.
    pub(super) fn url(&self, path: &str) -> Url {
        self.url_at(None, path)
    }

    /// As [`Settings::url`], at another origin when one is given.
    pub(super) fn url_at(&self, origin: Option<&str>, path: &str) -> Url {
        let mut url = self.backend.clone();
        if let Some(origin) = origin.and_then(|origin| Url::parse(origin).ok()) {
            url = origin;
            url.set_path(self.backend.path());
        }
        below(url, path)
    }
}

fn below(mut base: Url, path: &str) -> Url {
    let path = format!("{}/{path}", base.path().trim_end_matches('/'));
    base.set_path(&path);
    base
}

fn header(name: &'static str, value: &str) -> Result<HeaderValue, ConfigError> {
    HeaderValue::try_from(value)
        .ok()
        .filter(|_| !value.trim().is_empty())
        .ok_or_else(|| ConfigError::NotAHeader { name, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(backend: &str) -> UpstreamConfig {
        UpstreamConfig {
            backend: backend.into(),
            originator: "codex_oauth".into(),
            user_agent: "codex-oauth/0.1.0".into(),
            client_version: "0.169.0".into(),
            network: Network::default(),
        }
    }

    #[test]
    fn https_anywhere_and_http_to_loopback_are_accepted() {
        for backend in [
            "https://chatgpt.com/backend-api",
            "https://chatgpt.com/backend-api/",
            "http://127.0.0.1:8080/backend-api",
            "http://localhost:1",
            "http://[::1]:1/x",
        ] {
            assert!(Settings::new(config(backend)).is_ok(), "{backend}");
        }
        for backend in ["http://chatgpt.com/backend-api", "http://127.0.0.1.evil.example", "ftp://127.0.0.1"]
        {
            assert!(
                matches!(Settings::new(config(backend)), Err(ConfigError::NotSecure { .. })),
                "{backend}"
            );
        }
        for backend in ["", "chatgpt.com", "https://user@chatgpt.com", "https://chatgpt.com/?x", "data:,x"] {
            assert!(matches!(Settings::new(config(backend)), Err(ConfigError::NotPlain { .. })), "{backend}");
        }
    }

    #[test]
    fn paths_are_below_the_backend_at_either_origin() {
        let settings = Settings::new(config("https://chatgpt.com/backend-api/")).expect("usable");
        assert_eq!(
            settings.url("codex/responses").as_str(),
            "https://chatgpt.com/backend-api/codex/responses"
        );
        let other = settings.url_at(Some("https://gov.chatgpt.com"), "codex/responses");
        assert_eq!(other.as_str(), "https://gov.chatgpt.com/backend-api/codex/responses");
        let bare = Settings::new(config("http://127.0.0.1:1")).expect("usable");
        assert_eq!(bare.url("codex/models").as_str(), "http://127.0.0.1:1/codex/models");
    }

    #[test]
    fn a_name_that_no_header_can_carry_is_refused() {
        for originator in ["", "a\nb"] {
            let config = UpstreamConfig { originator: originator.into(), ..config("https://chatgpt.com") };
            assert!(matches!(Settings::new(config), Err(ConfigError::NotAHeader { .. })));
        }
    }
}
