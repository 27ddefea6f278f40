//! TLS with the mail server: the public authorities are trusted, and those of `imap.ca_file`.

use super::error::ImapError;
use super::line::Wire;
use super::settings::{ImapSettings, TlsMode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// How a connection is protected, with what that takes.
pub(super) enum Protection {
    /// Not at all.
    None,
    /// By STARTTLS.
    Starttls(Tls),
    /// From the first byte.
    Implicit(Tls),
}

impl Protection {
    /// What the settings ask for.
    pub(super) fn new(settings: &ImapSettings) -> Result<Self, ImapError> {
        Ok(match settings.tls {
            TlsMode::None => Self::None,
            TlsMode::Starttls => Self::Starttls(Tls::new(settings)?),
            TlsMode::Implicit => Self::Implicit(Tls::new(settings)?),
        })
    }
}

/// What a handshake needs.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Reads the certificates.
    fn new(settings: &ImapSettings) -> Result<Self, ImapError> {
        let name = ServerName::try_from(settings.host.clone())
            .map_err(|_| ImapError::Settings(format!("host: no certificate can be for `{}`", settings.host)))?;
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &settings.ca_file {
            trust(&mut roots, path)
                .map_err(|cause| ImapError::Settings(format!("ca_file {}: {cause}", path.display())))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|cause| ImapError::Settings(format!("tls: {cause}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Shakes hands over a connection on which nothing is left to be read.
    pub(super) async fn protect(&self, wire: Box<dyn Wire>) -> Result<Box<dyn Wire>, ImapError> {
        let protected = self.connector.connect(self.name.clone(), wire).await;
        protected.map(|wire| Box::new(wire) as Box<dyn Wire>).map_err(|cause| ImapError::Tls(cause.to_string()))
    }
}

fn trust(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let pem = std::fs::read(path).map_err(|cause| cause.to_string())?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|cause| cause.to_string())?;
        roots.add(certificate).map_err(|cause| cause.to_string())?;
        found = true;
    }
    if found { Ok(()) } else { Err("no certificate in PEM form is in it".to_owned()) }
}
