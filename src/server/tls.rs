//! What this node proves who it is with: a certificate and its key, read from files, and renewed while connections go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

use crate::server::content::content;

/// No certificate with its chain, and no key, is longer.
const MAX_FILE: u64 = 1 << 20;
/// What clients that name protocols (RFC 7301) name this one.
const ALPN: &[u8] = b"dot";

/// Why there is no identity in the files given.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate's file cannot be used.
    #[error("{0}")]
    Certificate(String),
    /// The key's file cannot be used.
    #[error("{0}")]
    Key(String),
}

impl IdentityError {
    /// Which of the two files it is about.
    pub fn file_of<'f>(&self, [certificate, key]: &'f [PathBuf; 2]) -> &'f Path {
        match self {
            IdentityError::Certificate(_) => certificate,
            IdentityError::Key(_) => key,
        }
    }
}

/// A certificate with the chain above it, and its key.
#[derive(Clone, Debug)]
pub struct Identity(Arc<CertifiedKey>);

/// The same certificate: it can have one key only.
impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.0.cert == other.0.cert
    }
}

impl Eq for Identity {}

impl Identity {
    /// Reads both from PEM files (RFC 7468), and sees that they belong together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Identity, IdentityError> {
        let at = |path: &Path, what: &str| format!("{what} in {}", path.display());
        let text = pem(certificate).map_err(|error| {
            IdentityError::Certificate(at(certificate, &format!("cannot read the certificate ({error})")))
        })?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| IdentityError::Certificate(at(certificate, &told(&error, "certificate"))))?;
        if chain.is_empty() {
            return Err(IdentityError::Certificate(at(
                certificate,
                &told(&Error::NoItemsFound, "certificate"),
            )));
        }
        let text = pem(key)
            .map_err(|error| IdentityError::Key(at(key, &format!("cannot read the key ({error})"))))?;
        let secret = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|error| IdentityError::Key(at(key, &told(&error, "private key"))))?;
        match CertifiedKey::from_der(chain, secret, &ring::default_provider()) {
            Ok(certified) => Ok(Identity(Arc::new(certified))),
            Err(rustls::Error::InconsistentKeys(_)) => Err(IdentityError::Key(at(
                key,
                "the private key does not match the certificate, which has to be the first in its file; this one is",
            ))),
            Err(rustls::Error::InvalidCertificate(error)) => {
                let what = format!("the certificate cannot be used ({error:?})");
                Err(IdentityError::Certificate(at(certificate, &what)))
            }
            Err(error) => Err(IdentityError::Key(at(key, &format!("the key cannot be used ({error})")))),
        }
    }
}

fn pem(path: &Path) -> io::Result<Vec<u8>> {
    content(path, MAX_FILE, || "it is larger than a megabyte; name a PEM file".to_owned())
}

fn told(error: &Error, what: &str) -> String {
    match error {
        // An encrypted key has another label.
        Error::NoItemsFound => format!("there is no {what} in PEM form, without a password,"),
        Error::MissingSectionEnd { .. } => format!("the {what} is not whole: its last line is missing,"),
        Error::Base64Decode(_) => format!("the {what} is not whole: it is no base64"),
        _ => format!("the {what} is not whole"),
    }
}

/// What new connections are shown, replaced when it is renewed; nothing before it could be read.
#[derive(Debug)]
pub struct Shown(ArcSwapOption<CertifiedKey>);

impl Shown {
    /// Shows an identity from the start, if there is one.
    pub fn new(identity: Option<Identity>) -> Shown {
        Shown(ArcSwapOption::new(identity.map(|Identity(certified)| certified)))
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.0.load().is_some()
    }

    /// Shows another from now on; connections that stand go on.
    pub fn renew(&self, identity: Identity) {
        self.0.store(Some(identity.0));
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// How connections are set up: TLS 1.2 or 1.3 (RFC 9325 3.1.1), and never with data before the handshake is over, which could be
/// replayed.
pub fn config(shown: &Arc<Shown>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(shown) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Whoever comes back saves a round trip and a signature; nothing is kept for it here.
    config.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(config))
}
