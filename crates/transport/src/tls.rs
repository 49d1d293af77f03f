//! TLS configurations, made once for each set of settings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let verifier: Arc<dyn ServerCertVerifier> = if tls.skip_verify {
        Arc::new(Trusting(Arc::clone(&provider)))
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
    for pem in &tls.authorities {
        for certificate in certificates(pem)? {
            roots
                .add(certificate)
                .map_err(|error| format!("certificate authority: {error}"))?;
        }
    }
    if roots.is_empty() {
        return Err("the system has no certificate authorities (install ca-certificates), and none is configured".to_owned());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(verifier)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| format!("certificate: {error}"))?;
    if found.is_empty() {
        return Err("no PEM certificate in the file".to_owned());
    }
    Ok(found)
}

/// Trusts every certificate, as `skip_verify` asks; signatures of the handshake are still checked.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
