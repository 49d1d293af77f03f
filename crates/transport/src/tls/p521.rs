//! ECDSA with P-521 (FIPS 186-5), which *ring* does not have: some companies' authorities use it.

use std::sync::OnceLock;

use p521::ecdsa::signature::hazmat::PrehashVerifier as _;
use p521::ecdsa::{Signature, VerifyingKey};
use ring::digest::{SHA256, SHA384, SHA512};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};

/// Signatures with a P-521 key of one hash.
#[derive(Debug)]
struct P521 {
    id: AlgorithmIdentifier,
    hash: &'static ring::digest::Algorithm,
}

static ALL: [&dyn SignatureVerificationAlgorithm; 3] = [
    &P521 {
        id: alg_id::ECDSA_SHA512,
        hash: &SHA512,
    },
    &P521 {
        id: alg_id::ECDSA_SHA384,
        hash: &SHA384,
    },
    &P521 {
        id: alg_id::ECDSA_SHA256,
        hash: &SHA256,
    },
];

impl SignatureVerificationAlgorithm for P521 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let hash = ring::digest::digest(self.hash, message);
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        let verified = key.verify_prehash(hash.as_ref(), &signature);
        verified.map_err(|_| InvalidSignature)
    }
}

/// Adds P-521 to what a provider can verify.
pub(super) fn with_p521(provided: WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    static JOINED: OnceLock<WebPkiSupportedAlgorithms> = OnceLock::new();
    // Made once for the process, since it has to live as long.
    *JOINED.get_or_init(|| WebPkiSupportedAlgorithms {
        all: [provided.all, &ALL].concat().leak(),
        mapping: [
            provided.mapping,
            &[(SignatureScheme::ECDSA_NISTP521_SHA512, &ALL[..1])],
        ]
        .concat()
        .leak(),
    })
}
