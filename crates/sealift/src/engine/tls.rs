//! TLS to a daemon, from the three files that docker keeps: `ca.pem`, `cert.pem`, `key.pem`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Kind, Result};

/// Makes the client's side of TLS from docker's three files.
pub(super) fn client(folder: &Path) -> Result<ClientConfig> {
    let unusable = |name: &str, cause: Box<dyn std::error::Error + Send + Sync>| {
        let path = folder.join(name);
        let what = format!("cannot use {} for docker", path.display());
        Error::new(Kind::Config, what).because(cause)
    };
    let read = |name: &str| match std::fs::read(folder.join(name)) {
        Ok(pem) => Ok(Some(pem)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(name, error.into())),
    };
    let chain = |name: &str, pem: &[u8]| {
        let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        found.map_err(|error| unusable(name, error.into()))
    };
    let mut roots = RootCertStore::empty();
    match read("ca.pem")? {
        Some(pem) => {
            for certificate in chain("ca.pem", &pem)? {
                let added = roots.add(certificate);
                added.map_err(|error| unusable("ca.pem", error.into()))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            roots.add_parsable_certificates(found);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("", error.into()))?
        .with_root_certificates(roots);
    let (Some(certificate), Some(key)) = (read("cert.pem")?, read("key.pem")?) else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_slice(&key);
    let key = key.map_err(|error| unusable("key.pem", error.into()))?;
    builder
        .with_client_auth_cert(chain("cert.pem", &certificate)?, key)
        .map_err(|error| unusable("cert.pem", error.into()))
}
