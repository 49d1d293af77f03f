//! What a solve made, as the daemon's exporter reports it.

use std::collections::BTreeMap;

use sealift_oci::{Descriptor, Digest};

use crate::session::Traffic;
use crate::{Error, Result};

/// What a solve made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solved {
    /// All that the exporter reports, by BuildKit's keys.
    pub response: BTreeMap<String, String>,
    /// The image's manifest or index, where an image was made.
    pub image: Option<Descriptor>,
    /// What the daemon asked of us meanwhile.
    pub traffic: Traffic,
}

impl Solved {
    pub(crate) fn new(response: BTreeMap<String, String>, traffic: Traffic) -> Result<Self> {
        let image = response
            .get("containerimage.descriptor")
            .map(|text| descriptor(text))
            .transpose()?;
        Ok(Self {
            response,
            image,
            traffic,
        })
    }

    /// Returns the digest of the image's configuration, which docker calls the image's id.
    #[must_use]
    pub fn config_digest(&self) -> Option<Digest> {
        let text = self.response.get("containerimage.config.digest")?;
        Digest::parse(text).ok()
    }
}

fn descriptor(text: &str) -> Result<Descriptor> {
    use base64::Engine as _;
    let wrong = |reason: String| Error::Answer {
        call: "Solve",
        reason: format!("the image's descriptor: {reason}"),
    };
    let engine = base64::engine::general_purpose::STANDARD;
    let json = engine
        .decode(text)
        .map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| wrong(error.to_string()))
}
