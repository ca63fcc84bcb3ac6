//! TLS of every connection to another machine: rustls on ring, the system's verdict on certificates, roots of the
//! configuration beside the system's. A certificate that is not accepted is described.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier as System;

use super::BadCertificate;

/// HTTP/2, else HTTP/1.1 (RFC 7301).
pub(super) const EITHER_HTTP: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// HTTP/1.1 alone.
pub(super) const HTTP_1: [&[u8]; 1] = [b"http/1.1"];

/// Reads the system's roots, which takes some milliseconds.
pub(super) fn config(roots: &[CertificateDer<'static>], protocols: &[&[u8]]) -> Result<ClientConfig, Error> {
    config_with(Arc::new(Explaining::new(roots)?), protocols)
}

/// The same with roots that were read before.
pub(super) fn config_with(verifier: Arc<Explaining>, protocols: &[&[u8]]) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// What the system decides; a refusal says whose certificate it is about.
#[derive(Debug)]
pub(super) struct Explaining {
    system: System,
    has_refused: AtomicBool,
}

impl Explaining {
    /// With the system's roots as they are now, and `roots`.
    pub(super) fn new(roots: &[CertificateDer<'static>]) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        // Wine makes no certificate engine of an empty store.
        let system = if roots.is_empty() {
            System::new(provider)?
        } else {
            System::new_with_extra_roots(roots.iter().cloned(), provider)?
        };
        Ok(Self { system, has_refused: AtomicBool::new(false) })
    }

    /// Whether it has refused a certificate. A person may have installed the missing root since.
    pub(super) fn has_refused(&self) -> bool {
        self.has_refused.load(Ordering::Relaxed)
    }
}

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.system.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map_err(
            |error| {
                self.has_refused.store(true, Ordering::Relaxed);
                let Error::InvalidCertificate(why) = error else { return error };
                // The one next to the missing root names what is missing.
                let last = intermediates.last().filter(|_| why == CertificateError::UnknownIssuer);
                let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
                let host = server_name.to_str().into_owned();
                let bad = BadCertificate::new(host, last.unwrap_or(end_entity), &why, clock);
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(bad))))
            },
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}
