//! Why there is no connection: from the HTTP client's chain of errors to what a person can act on.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use codex_oauth_proto::NextStep;
use reqwest::Url;
use rustls::CertificateError;

use super::{BadCertificate, Chosen, Network, Problem, ProxyAddress, Route};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a server was not reached. Nothing was sent to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The name leads to no address.
    #[error("could not find the address of `{host}`")]
    Dns {
        /// The server.
        host: String,
        /// Who named it, where it is not OpenAI's.
        chooser: Option<String>,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The proxy is not there, or not to be reached.
    #[error("could not reach the proxy {proxy}")]
    ProxyUnreachable {
        /// Which one.
        proxy: Box<Chosen<ProxyAddress>>,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The proxy answered 407 (RFC 9110 §15.5.8).
    #[error("the proxy {proxy} {}", if proxy.value.has_login() { "refuses the user name and password that it is given" } else { "wants a user name and a password" })]
    ProxyLogin {
        /// Which one.
        proxy: Box<Chosen<ProxyAddress>>,
    },
    /// The proxy does not connect on to the server.
    #[error("the proxy {proxy} does not let through to `{host}`{}", in_parens(*status))]
    ProxyRefused {
        /// Which one.
        proxy: Box<Chosen<ProxyAddress>>,
        /// The server.
        host: String,
        /// Its HTTP status, where it is known.
        status: Option<u16>,
    },
    /// Nothing came back in time from behind the proxy.
    #[error("could not get through the proxy {proxy} to `{host}` in time")]
    ProxySilent {
        /// Which one.
        proxy: Box<Chosen<ProxyAddress>>,
        /// The server.
        host: String,
    },
    /// The server's certificate was not accepted.
    #[error("{bad}{}{}", via(proxy.as_deref()), beside(ca_file.as_deref(), bad))]
    Certificate {
        /// What is wrong with it.
        bad: Box<BadCertificate>,
        /// What is on the way, and may have put its own certificate in the server's place.
        proxy: Option<Box<Chosen<ProxyAddress>>>,
        /// The file of roots, which does not hold the one that is needed.
        ca_file: Option<Box<Chosen<PathBuf>>>,
        /// Where a file of roots is configured.
        key: String,
    },
    /// Nobody listens there, or what does speaks something else.
    #[error("could not reach `{server}`{}", through(proxy.as_deref()))]
    Unreachable {
        /// Host and port.
        server: String,
        /// What is on the way.
        proxy: Option<Box<Chosen<ProxyAddress>>>,
        /// Who named the server, where it is not OpenAI's.
        chooser: Option<String>,
        /// Why.
        #[source]
        source: Cause,
    },
    /// An error that names no server, as the HTTP client says it.
    #[error(transparent)]
    Other(BoxError),
}

/// The last of a chain of errors, which says what the system said; those before it only name layers of the HTTP client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(String);

impl Cause {
    /// The cause of `error`.
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        Self(chain(error).last().map(ToString::to_string).unwrap_or_default())
    }
}

impl Fault {
    /// What to do about it; `None` when looking at the network is all that can be said.
    pub fn next_step(&self) -> Option<NextStep> {
        match self {
            Self::ProxyUnreachable { proxy, .. }
            | Self::ProxyLogin { proxy }
            | Self::ProxyRefused { proxy, .. }
            | Self::ProxySilent { proxy, .. } => Some(NextStep::Reconfigure { name: proxy.by.clone() }),
            Self::Certificate { bad, key, .. } => match bad.problem {
                Problem::Expired { .. } | Problem::NotYetValid { .. } => Some(NextStep::SetClock),
                Problem::UnknownIssuer => Some(NextStep::Reconfigure { name: key.clone() }),
                _ => None,
            },
            Self::Dns { chooser, .. } | Self::Unreachable { chooser, .. } => {
                chooser.clone().map(|name| NextStep::CheckAddress { name })
            }
            Self::Other(_) => None,
        }
    }

    /// Whether the same comes of it however often it is tried.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::ProxyLogin { .. } | Self::Certificate { .. } => true,
            Self::ProxyRefused { status, .. } => status.is_none_or(|status| status < 500),
            _ => false,
        }
    }

    /// No answer from the proxy itself.
    pub(super) fn unreachable(proxy: &Chosen<ProxyAddress>, error: &(dyn StdError + 'static)) -> Self {
        Self::ProxyUnreachable { proxy: Box::new(proxy.clone()), source: Cause::of(error) }
    }

    /// The fault in a chain of errors, if one is its cause.
    pub fn of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| (*error).source()).find_map(|error| error.downcast_ref())
    }
}

impl Network {
    /// Why the HTTP client has not connected.
    pub fn fault(&self, error: reqwest::Error) -> Fault {
        let url = error.url().cloned();
        let error = error.without_url();
        let Some(url) = url else { return Fault::Other(Box::new(error)) };
        self.explain(&url, error.is_dns(), error.is_timeout(), &error)
    }

    /// The same for any error on the way to `url`.
    pub(super) fn explain(
        &self,
        url: &Url,
        is_dns: bool,
        is_timeout: bool,
        error: &(dyn StdError + 'static),
    ) -> Fault {
        /// As hyper-util prints these; a test against a real proxy holds it to that.
        const LOGIN: &str = "tunnel error: proxy authorization required";
        const NOT_REACHED: &str = "tunnel error: failed to create underlying connection";
        const TUNNEL: &str = "tunnel error: ";
        let host = url.host_str().unwrap_or_default().to_owned();
        let proxy = match self.route(url) {
            Route::Proxy(proxy) => Some(Box::new(proxy.clone())),
            Route::Direct(_) => None,
        };
        if let Some(bad) = chain(error).find_map(certificate) {
            return self.bad_certificate(bad, proxy);
        }
        let chooser = self.chooser(url);
        let says = |text: &str| chain(error).any(|cause| cause.to_string().starts_with(text));
        match proxy {
            Some(proxy) if says(LOGIN) => Fault::ProxyLogin { proxy },
            Some(proxy) if says(NOT_REACHED) || is_dns => {
                Fault::ProxyUnreachable { proxy, source: Cause::of(error) }
            }
            Some(proxy) if says(TUNNEL) => Fault::ProxyRefused { proxy, host, status: None },
            Some(proxy) if is_timeout => Fault::ProxySilent { proxy, host },
            None if is_dns => Fault::Dns { host, chooser, source: Cause::of(error) },
            proxy => {
                let port = url.port_or_known_default().unwrap_or_default();
                let in_time = || Cause("it does not answer in time".to_owned());
                let source = if is_timeout { in_time() } else { Cause::of(error) };
                Fault::Unreachable { server: format!("{host}:{port}"), proxy, chooser, source }
            }
        }
    }

    /// Who named the server in place of OpenAI's. Where two did, the one with more of the path, or both.
    fn chooser(&self, url: &Url) -> Option<String> {
        let named = self.settings().addresses.iter();
        let named = named.filter(|named| named.value.origin() == url.origin());
        let fits = |named: &&Chosen<Url>| {
            let path = named.value.path().trim_end_matches('/');
            if url.path().starts_with(path) { path.len() + 1 } else { 0 }
        };
        let best = named.clone().map(|named| fits(&named)).max()?;
        let by: Vec<&str> = named.filter(|named| fits(named) == best).map(|named| &*named.by).collect();
        Some(by.join(" and "))
    }

    fn bad_certificate(&self, bad: BadCertificate, proxy: Option<Box<Chosen<ProxyAddress>>>) -> Fault {
        let key = self.settings().ca_key.clone();
        Fault::Certificate { bad: Box::new(bad), proxy, ca_file: self.ca_file().cloned().map(Box::new), key }
    }
}

/// An error and its causes; also those that an I/O error holds without naming them as its source.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        held.map(|held| held as &(dyn StdError + 'static)).or_else(|| (*error).source())
    })
}

/// What our own verifier said of a certificate.
fn certificate(error: &(dyn StdError + 'static)) -> Option<BadCertificate> {
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref::<BadCertificate>().cloned()
        }
        _ => None,
    }
}

fn in_parens(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!(" (HTTP {status})"))
}

fn through(proxy: Option<&Chosen<ProxyAddress>>) -> String {
    proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"))
}

fn via(proxy: Option<&Chosen<ProxyAddress>>) -> String {
    proxy.map_or_else(String::new, |proxy| format!("; it came through the proxy {proxy}"))
}

/// A file of roots that does not help is named, since it is the one that was meant to.
fn beside(ca_file: Option<&Chosen<PathBuf>>, bad: &BadCertificate) -> String {
    match ca_file {
        Some(file) if bad.problem == Problem::UnknownIssuer => {
            format!("; the root is not in `{}` ({}) either", file.value.display(), file.by)
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NetworkSettings;

    #[test]
    fn an_address_in_place_of_openais_is_named_by_who_chose_it() {
        let chosen = |value: &str, by: &str| Chosen { value: value.parse().unwrap(), by: by.to_owned() };
        let addresses = vec![
            chosen("http://127.0.0.1:9", "CODEX_OAUTH_ISSUER_URL"),
            chosen("http://127.0.0.1:9/backend-api", "CODEX_OAUTH_BACKEND_URL"),
        ];
        let network = Network::new(NetworkSettings { addresses, ..NetworkSettings::default() }).unwrap();
        for (url, by) in [
            ("http://127.0.0.1:9/oauth/token", Some("CODEX_OAUTH_ISSUER_URL")),
            ("http://127.0.0.1:9/backend-api/codex/responses", Some("CODEX_OAUTH_BACKEND_URL")),
            ("https://chatgpt.com/backend-api/codex/responses", None),
        ] {
            let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
            let fault = network.explain(&url.parse().unwrap(), false, false, &refused);
            let step = by.map(|name| NextStep::CheckAddress { name: name.to_owned() });
            assert_eq!(fault.next_step(), step, "{url}");
            assert!(fault.to_string().starts_with("could not reach `"), "{fault}");
        }
        // Of one address for both nobody can tell which was meant.
        let addresses = vec![chosen("http://127.0.0.1:9", "ISSUER"), chosen("http://127.0.0.1:9", "BACKEND")];
        let network = Network::new(NetworkSettings { addresses, ..NetworkSettings::default() }).unwrap();
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let fault = network.explain(&"http://127.0.0.1:9/x".parse().unwrap(), false, false, &refused);
        assert_eq!(fault.next_step(), Some(NextStep::CheckAddress { name: "ISSUER and BACKEND".to_owned() }));
    }
}
