//! TLS of every connection to another machine: rustls on ring, the system's verdict on certificates, roots of the
//! configuration beside the system's. A certificate that is not accepted is described.

use std::sync::Arc;
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
    let provider = Arc::new(ring::default_provider());
    // Wine makes no certificate engine of an empty store.
    let system = if roots.is_empty() {
        System::new(Arc::clone(&provider))?
    } else {
        System::new_with_extra_roots(roots.iter().cloned(), Arc::clone(&provider))?
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Explaining(system)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// What the system decides; a refusal says whose certificate it is about.
#[derive(Debug)]
struct Explaining(System);

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map_err(
            |error| {
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
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
