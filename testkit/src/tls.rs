//! A certificate authority made at start, and the server certificate it signs.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

/// Names the server certificate is valid for; the real hosts are there for clients that come through a proxy.
const NAMES: [&str; 5] = ["localhost", "127.0.0.1", "::1", "auth.openai.com", "chatgpt.com"];

/// When a server certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// It ended in 2020.
    Past,
    /// It begins in 2090.
    Future,
}

/// The authority, reduced to what is needed of it.
pub(crate) struct Authority {
    /// Its certificate, PEM.
    pub(crate) pem: String,
    server: Arc<ServerConfig>,
}

impl Authority {
    /// A fresh authority and a fresh server certificate (ECDSA P-256).
    pub(crate) fn generate() -> io::Result<Self> {
        Self::named("fake-openai FAKE CA", Validity::Now)
    }

    /// The same under a name; its server certificate holds at that time.
    pub(crate) fn named(name: &str, validity: Validity) -> io::Result<Self> {
        let ca_key = KeyPair::generate().map_err(io::Error::other)?;
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.distinguished_name.push(DnType::CommonName, name);
        let pem = ca.self_signed(&ca_key).map_err(io::Error::other)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
        let mut leaf = CertificateParams::new(names).map_err(io::Error::other)?;
        leaf.distinguished_name.push(DnType::CommonName, "fake-openai");
        match validity {
            Validity::Now => {}
            Validity::Past => leaf.not_after = date_time_ymd(2020, 1, 1),
            Validity::Future => leaf.not_before = date_time_ymd(2090, 1, 1),
        }
        let certificate = leaf.signed_by(&key, &issuer).map_err(io::Error::other)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .map_err(io::Error::other)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { pem, server: Arc::new(server) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.server))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
