//! TLS configurations, made once for each set of settings.

mod p521;
mod verifier;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use self::verifier::{Certified, Unverified};

use crate::error::Cause;
use crate::settings::Tls;

/// The system's trusted authorities, read once for the process: they cost some 10 ms.
static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();

/// Makes *ring* the cryptography of every TLS user in the process. Call it first in `main`; a second
/// call changes nothing.
pub fn install_crypto() {
    // An error says that a provider is installed already, which is all that is asked for.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// TLS configurations by settings.
#[derive(Default)]
pub(crate) struct Configurations {
    made: Mutex<HashMap<(Tls, bool), Arc<ClientConfig>>>,
}

impl Configurations {
    /// Returns the configuration for settings; `http2` says whether HTTP/2 is offered.
    pub(crate) fn get(
        &self,
        tls: &Tls,
        http2: bool,
        host: &str,
    ) -> Result<Arc<ClientConfig>, Cause> {
        let key = (tls.clone(), http2);
        let lock = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = lock().get(&key) {
            return Ok(Arc::clone(config));
        }
        let made = make(tls, http2).map_err(|reason| Cause::TlsSettings {
            host: host.to_owned(),
            reason,
        })?;
        let made = Arc::new(made);
        lock().insert(key, Arc::clone(&made));
        Ok(made)
    }
}

fn system() -> Arc<RootCertStore> {
    Arc::clone(SYSTEM.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    }))
}

fn make(tls: &Tls, http2: bool) -> Result<ClientConfig, String> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.signature_verification_algorithms =
        p521::with_p521(provider.signature_verification_algorithms);
    let provider = Arc::new(provider);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let verifier: Arc<dyn ServerCertVerifier> = if tls.skip_verify {
        Arc::new(Unverified(Arc::clone(&provider)))
    } else {
        verifier(tls, Arc::clone(&provider))?
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.certificates)?;
            let key = PrivateKeyDer::from_pem_slice(&identity.key)
                .map_err(|error| format!("client key: {error}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("client certificate: {error}"))?
        }
    };
    config.alpn_protocols = if http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    Ok(config)
}

fn verifier(
    tls: &Tls,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = (*system()).clone();
    let mut own = Vec::new();
    for pem in &tls.authorities {
        // One that cannot be read, of an old bundle as a rule, is no reason to refuse all others.
        let found = certificates(pem)?.into_iter();
        let before = own.len();
        own.extend(found.filter(|certificate| roots.add(certificate.clone()).is_ok()));
        if own.len() == before {
            return Err("no certificate of the file can be used as an authority".to_owned());
        }
    }
    if roots.is_empty() {
        return Err("the system has no certificate authorities (install ca-certificates), and none is configured".to_owned());
    }
    Ok(Arc::new(Certified::new(roots, own, provider)?))
}

/// Reads the certificates of a PEM file, each by itself: what is no certificate is left out.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(pem);
    let blocks = text.split_inclusive(END);
    let read = |block: &str| CertificateDer::from_pem_slice(block.as_bytes()).ok();
    let found: Vec<_> = blocks.filter_map(read).collect();
    if found.is_empty() {
        return Err("no PEM certificate in the file".to_owned());
    }
    Ok(found)
}
