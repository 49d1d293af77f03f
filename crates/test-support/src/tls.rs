//! Certificates for tests: an authority, and server and client identities signed by it.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority of a test's own.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, PEM.
    pub certificate: String,
    /// The private key, PEM.
    pub key: String,
}

impl Authority {
    /// Makes an authority.
    ///
    /// # Panics
    /// Where the machine has no random bytes.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("the machine has random bytes");
        let certificate = parameters
            .self_signed(&key)
            .expect("the parameters are complete")
            .pem();
        Self {
            issuer: Issuer::new(parameters, key),
            certificate,
        }
    }

    /// Returns the authority's own certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Makes a server's identity for host names and addresses.
    ///
    /// # Panics
    /// Where a name is no host name.
    #[must_use]
    pub fn server(&self, names: &[&str]) -> Identity {
        self.sign(names, "server", ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Makes a client's identity.
    ///
    /// # Panics
    /// Where the machine has no random bytes.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        self.sign(&[], name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, names: &[&str], name: &str, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let names: Vec<String> = names.iter().map(|text| (*text).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("these are host names");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("the machine has random bytes");
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .expect("the parameters are complete");
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}
