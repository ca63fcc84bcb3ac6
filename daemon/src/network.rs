//! How this daemon reaches other machines: through which proxy, trusting which roots, and who chose that.
//!
//! Promises: configuration and the daemon's own environment decide, once, at the start (DESIGN §3); nothing that listens on this
//! machine is reached through a proxy; a proxy's password is shown nowhere; what fails on the way says where and by whose choice.

mod certificate;
mod claims;
mod connector;
mod edge;
mod fault;
mod http;
mod probe;
mod proxy;
mod roots;
mod tls;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use hyper_util::client::proxy::matcher::Matcher;
use parking_lot::Mutex;
use reqwest::{Client, ClientBuilder, Proxy, Url, redirect, retry};
use rustls::pki_types::CertificateDer;

pub use certificate::{BadCertificate, Problem};
pub(crate) use claims::warnings;
pub use edge::EdgeBlock;
pub use fault::{Cause, Fault};
pub(crate) use http::{HttpClient, Request, Response, SendError};
pub(crate) use probe::{Answer, Probed, Stage};
pub use proxy::ProxyAddress;
pub use roots::RootsError;

/// A setting with who chose it: a variable of the daemon's own environment, or a key and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<T> {
    /// What was chosen.
    pub value: T,
    /// By whom, as it is said to a person.
    pub by: String,
}

/// What is configured about the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The proxy for everything that is not on this machine.
    pub proxy: Option<Chosen<ProxyAddress>>,
    /// Hosts that are reached without it, in the form of `NO_PROXY`.
    pub no_proxy: Option<Chosen<String>>,
    /// Roots beside the system's, PEM.
    pub ca_file: Option<Chosen<PathBuf>>,
    /// Where such a file is named, for whoever needs one: the key, and the file that it belongs in.
    pub ca_key: String,
    /// Servers in place of OpenAI's.
    pub addresses: Vec<Chosen<Url>>,
}

/// The network as it was configured; every clone is the same one. The default is no proxy and the system's roots.
#[derive(Clone, Default)]
pub struct Network {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    settings: NetworkSettings,
    /// Which hosts `no_proxy` names.
    no_proxy: Option<Matcher>,
    roots: Vec<CertificateDer<'static>>,
    /// What the clients that live check certificates with.
    verifier: Mutex<Weak<tls::Explaining>>,
}

/// How one address is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route<'a> {
    /// Through a proxy.
    Proxy(&'a Chosen<ProxyAddress>),
    /// Without one, and why.
    Direct(Direct<'a>),
}

/// Why there is no proxy on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direct<'a> {
    /// None is configured.
    Unconfigured,
    /// The address is on this machine.
    Loopback,
    /// It is excepted.
    Excepted(&'a Chosen<String>),
}

/// An HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The roots of the system could not be read, or TLS could not be set up with them.
    #[error("could not set up TLS")]
    Tls(#[source] rustls::Error),
    /// The client itself.
    #[error("could not set up the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl Network {
    /// Reads the file of roots.
    pub fn new(settings: NetworkSettings) -> Result<Self, RootsError> {
        let roots = settings.ca_file.as_ref().map_or_else(|| Ok(Vec::new()), roots::read)?;
        // The matcher answers only for addresses that some proxy would take; which one is not its matter.
        let no_proxy = settings
            .no_proxy
            .as_ref()
            .map(|list| Matcher::builder().all("http://proxy".to_owned()).no(&list.value).build());
        Ok(Self { inner: Arc::new(Inner { settings, no_proxy, roots, verifier: Mutex::default() }) })
    }

    /// A client with the daemon's TLS and its rules; `more` adds what is the caller's own. The system's roots are read now (4 to
    /// 10 ms) unless another client lives that has them, so clients are built at first use, and not on the thread that serves.
    ///
    /// Redirects are refused: a bearer token or a grant must not follow one. reqwest's own retries are off: whether a
    /// request may be sent again is decided where its error is understood.
    pub fn client(&self, more: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, ClientError> {
        let tls = tls::config_with(self.verifier().map_err(ClientError::Tls)?, &tls::EITHER_HTTP);
        let tls = tls.map_err(ClientError::Tls)?;
        let network = self.clone();
        let builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never());
        // Where none is configured reqwest has nothing to ask, which costs it two readings of the address for each request.
        let builder = if self.inner.settings.proxy.is_some() {
            builder.proxy(Proxy::custom(move |url| match network.route(url) {
                Route::Proxy(proxy) => Some(proxy.value.url()),
                Route::Direct(_) => None,
            }))
        } else {
            builder
        };
        more(builder).build().map_err(ClientError::Client)
    }

    /// The one of the clients that live; a new one, with the roots of now, after a refusal.
    fn verifier(&self) -> Result<Arc<tls::Explaining>, rustls::Error> {
        let mut kept = self.inner.verifier.lock();
        if let Some(verifier) = kept.upgrade().filter(|verifier| !verifier.has_refused()) {
            return Ok(verifier);
        }
        let verifier = Arc::new(tls::Explaining::new(&self.inner.roots)?);
        *kept = Arc::downgrade(&verifier);
        drop(kept);
        Ok(verifier)
    }

    /// How `url` is reached.
    pub(crate) fn route(&self, url: &Url) -> Route<'_> {
        let Some(proxy) = &self.inner.settings.proxy else { return Route::Direct(Direct::Unconfigured) };
        if is_loopback(url) {
            return Route::Direct(Direct::Loopback);
        }
        match (&self.inner.no_proxy, &self.inner.settings.no_proxy) {
            (Some(matcher), Some(list)) if is_named(matcher, url) => Route::Direct(Direct::Excepted(list)),
            _ => Route::Proxy(proxy),
        }
    }

    /// The file of roots, if one is configured.
    pub(crate) fn ca_file(&self) -> Option<&Chosen<PathBuf>> {
        self.inner.settings.ca_file.as_ref()
    }

    /// What is configured.
    pub(crate) fn settings(&self) -> &NetworkSettings {
        &self.inner.settings
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("settings", &self.inner.settings)
            .field("roots", &self.inner.roots.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Direct<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unconfigured => f.write_str("no proxy is configured"),
            Self::Loopback => f.write_str("it is on this machine"),
            Self::Excepted(list) => write!(f, "{} names it", list.by),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Chosen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.value, self.by)
    }
}

/// Whether the host is this machine. A name below `localhost` may be asked for at a name server, so it is none of this.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

fn is_named(matcher: &Matcher, url: &Url) -> bool {
    url.as_str().parse().is_ok_and(|uri| matcher.intercept(&uri).is_none())
}

#[cfg(test)]
mod tests {
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    fn network(proxy: Option<&str>, no_proxy: Option<&str>) -> Network {
        let by = |name: &str| name.to_owned();
        Network::new(NetworkSettings {
            proxy: proxy
                .map(|text| Chosen { value: ProxyAddress::parse(text).unwrap(), by: by("HTTPS_PROXY") }),
            no_proxy: no_proxy.map(|text| Chosen { value: text.to_owned(), by: by("NO_PROXY") }),
            ..NetworkSettings::default()
        })
        .unwrap()
    }

    fn way(network: &Network, url: &str) -> String {
        match network.route(&url.parse().unwrap()) {
            Route::Proxy(proxy) => proxy.to_string(),
            Route::Direct(why) => why.to_string(),
        }
    }

    #[test]
    fn what_listens_on_this_machine_is_never_reached_through_a_proxy() {
        let network = network(Some("http://proxy:3128"), None);
        for url in ["http://127.0.0.1:1455/x", "https://localhost:9", "http://[::1]:1"] {
            assert_eq!(way(&network, url), "it is on this machine", "{url}");
        }
        for url in ["https://chatgpt.com/x", "https://localhost.example.com", "https://128.0.0.1"] {
            assert_eq!(way(&network, url), "`http://proxy:3128` (HTTPS_PROXY)", "{url}");
        }
    }

    #[test]
    fn a_host_that_no_proxy_names_is_reached_directly() {
        let list = "example.com, .corp.example,10.0.0.0/8";
        let network = network(Some("proxy:3128"), Some(list));
        for url in
            ["https://example.com", "https://a.example.com/", "https://b.corp.example", "https://10.1.2.3"]
        {
            assert_eq!(way(&network, url), "NO_PROXY names it", "{url}");
        }
        for url in ["https://notexample.com", "https://chatgpt.com", "https://11.1.2.3"] {
            assert_eq!(way(&network, url), "`http://proxy:3128` (HTTPS_PROXY)", "{url}");
        }
        assert_eq!(
            way(&self::network(Some("http://p:1"), Some("*")), "https://chatgpt.com"),
            "NO_PROXY names it"
        );
    }

    #[test]
    fn the_roots_are_read_once_for_all_clients_that_live_and_again_after_a_refusal() {
        let network = Network::default();
        let first = network.verifier().unwrap();
        assert!(Arc::ptr_eq(&first, &network.clone().verifier().unwrap()));
        let stranger = certificate::tests::authority();
        let stranger = CertificateDer::from_pem_slice(stranger.as_bytes()).unwrap();
        let host = ServerName::try_from("localhost").unwrap();
        first.verify_server_cert(&stranger, &[], &host, &[], UnixTime::now()).unwrap_err();
        let second = network.verifier().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        let gone = Arc::downgrade(&second);
        drop(second);
        assert!(gone.upgrade().is_none(), "nobody else keeps roots in memory");
    }

    #[test]
    fn without_a_proxy_everything_is_direct() {
        assert_eq!(way(&network(None, Some("*")), "https://chatgpt.com"), "no proxy is configured");
        assert_eq!(way(&Network::default(), "https://chatgpt.com"), "no proxy is configured");
    }
}
