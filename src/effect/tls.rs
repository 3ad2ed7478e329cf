//! Whom connections by TLS trust, for all that is not HTTP: rustls, as for everything else.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum Bad {
    /// The certificates in the file cannot be read.
    #[error("{0}; hint: `ca_file` names a PEM file")]
    Certificates(String),
    /// The library cannot do it.
    #[error("no TLS: {0}")]
    Library(String),
}

/// Trusts the certificates of this PEM file, or the usual ones.
pub(super) fn trusting(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, Bad> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            let bad = |why: &dyn std::fmt::Display| {
                Bad::Certificates(format!("the certificates in `{}` cannot be read: {why}", file.display()))
            };
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))? {
                roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Bad::Library(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
