//! Roots beside the system's, from a PEM file.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{Chosen, certificate};

/// The file of roots could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// It could not be read.
    #[error("could not read the CA file {file}")]
    Read {
        /// Which one, and who named it.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no certificate in it, or a broken one.
    #[error("could not use the CA file {file}: {reason}")]
    Parse {
        /// Which one, and who named it.
        file: String,
        /// Why.
        reason: &'static str,
    },
}

/// Longest file that is read: the bundle of a whole system has 250 KB.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// What OpenSSL writes around a certificate with its own trust settings behind it.
const TRUSTED: &str = "TRUSTED CERTIFICATE-----";

/// Reads every certificate of a bundle, those in `TRUSTED CERTIFICATE` blocks included (WIRE §12.5).
pub(super) fn read(file: &Chosen<PathBuf>) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let named = || format!("`{}` ({})", file.value.display(), file.by);
    let parse = |reason| RootsError::Parse { file: named(), reason };
    let read = |source| RootsError::Read { file: named(), source };
    // A pipe or a device would never end.
    let about = std::fs::metadata(&file.value).map_err(read)?;
    if !about.is_file() || about.len() > MOST_BYTES {
        return Err(parse("it is not a file of certificates"));
    }
    let pem = std::fs::read(&file.value).map_err(read)?;
    let pem = String::from_utf8_lossy(&pem).replace(TRUSTED, "CERTIFICATE-----");
    let mut roots = Vec::new();
    for found in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let found = found.map_err(|_| parse("a certificate in it is not readable PEM"))?;
        let root = certificate::first_value(&found)
            .map(|der| CertificateDer::from(der.to_vec()))
            .ok_or_else(|| parse("a certificate in it is broken"))?;
        RootCertStore::empty().add(root.clone()).map_err(|_| parse("a certificate in it is broken"))?;
        roots.push(root);
    }
    if roots.is_empty() {
        return Err(parse("there is no PEM certificate in it"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(path: PathBuf) -> Chosen<PathBuf> {
        Chosen { value: path, by: "SSL_CERT_FILE".to_owned() }
    }

    fn read_text(text: &str) -> Result<usize, String> {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read(&chosen(file.path().to_owned())).map(|roots| roots.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn plain_and_trusted_blocks_are_read_and_text_between_them_is_passed_over() {
        let pem = certificate::tests::authority();
        let trusted = trusted(&pem);
        assert_eq!(read_text(&format!("# one\n{pem}\n# two\n{trusted}")), Ok(2));
    }

    #[test]
    fn what_is_no_bundle_is_refused_by_path_and_chooser() {
        for (text, why) in [
            ("", "there is no PEM certificate in it"),
            ("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", "not readable PEM"),
            ("-----BEGIN CERTIFICATE-----\nTWFu\n-----END CERTIFICATE-----\n", "broken"),
        ] {
            let refused = read_text(text).unwrap_err();
            assert!(refused.contains(why) && refused.contains("(SSL_CERT_FILE)"), "{refused}");
        }
        let missing = read(&chosen("/nonexistent/corp.pem".into())).unwrap_err();
        let missing = codex_oauth_proto::connect::with_causes(&missing);
        assert!(missing.starts_with("could not read the CA file `/nonexistent/corp.pem` (SSL_CERT_FILE): "));
        #[cfg(unix)]
        assert!(read(&chosen("/dev/zero".into())).unwrap_err().to_string().contains("not a file"));
    }

    /// The same certificate as `openssl x509 -trustout` writes it: settings follow the certificate.
    fn trusted(pem: &str) -> String {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let mut der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
        der.extend_from_slice(&[0x30, 0x02, 0x30, 0x00]);
        let text = STANDARD.encode(der);
        format!("-----BEGIN TRUSTED CERTIFICATE-----\n{text}\n-----END TRUSTED CERTIFICATE-----\n")
    }
}
