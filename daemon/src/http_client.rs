//! How every HTTP client of the daemon is built: rustls on ring, the system's roots plus the configured ones, no
//! redirects, no hidden retries.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, redirect, retry};

/// The extra root file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file could not be read.
    #[error("could not read the CA file `{}`", path.display())]
    Read {
        /// The configured file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no PEM certificate, or a broken one.
    #[error("could not use the CA file `{}`: no readable PEM certificate in it", path.display())]
    Parse {
        /// The configured file.
        path: PathBuf,
    },
}

/// Reads a PEM bundle of further roots.
pub fn read_roots(path: &Path) -> Result<Vec<Certificate>, RootsError> {
    let pem = std::fs::read(path).map_err(|source| RootsError::Read { path: path.to_owned(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        _ => Err(RootsError::Parse { path: path.to_owned() }),
    }
}

/// A builder with the daemon's TLS and its rules. The system's roots are read when the client is built (4 ms), so
/// clients are built at first use and not at start.
///
/// Redirects are refused: a bearer token or a grant must not follow one. reqwest's own retries are off: whether a
/// request may be sent again is decided where its error is understood.
pub fn builder(extra_roots: &[Certificate]) -> ClientBuilder {
    // Fails when a provider is installed already, which is what is wanted.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .tls_certs_merge(extra_roots.iter().cloned())
}
