//! What a solve made, as the daemon's exporter reports it.

use std::collections::BTreeMap;

use sealift_oci::{Descriptor, Digest};

use crate::output::Output;
use crate::session::{Record, Traffic};
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
    /// Reads the answer to a solve, and makes sure that its result is there.
    pub(crate) fn new(
        response: BTreeMap<String, String>,
        output: &Output,
        record: &Record,
    ) -> Result<Self> {
        let image = response
            .get("containerimage.descriptor")
            .map(|text| descriptor(text))
            .transpose()?;
        match (output, &image) {
            (Output::None, _) => {}
            (Output::Store(store), Some(image)) => {
                if store.size(&image.digest)? != Some(image.size) {
                    return Err(wrong(format!("{} was never sent", image.digest)));
                }
            }
            (Output::Store(_), None) => {
                return Err(wrong("it reports success, but no image".to_owned()));
            }
            (Output::Folder(_), _) if record.is_folder_written() => {}
            (Output::Folder(_), _) => {
                return Err(wrong("it reports success, but sent no files".to_owned()));
            }
        }
        Ok(Self {
            response,
            image,
            traffic: record.traffic(),
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
    let engine = base64::engine::general_purpose::STANDARD;
    let json = engine
        .decode(text)
        .map_err(|error| wrong(format!("the image's descriptor: {error}")))?;
    serde_json::from_slice(&json).map_err(|error| wrong(format!("the image's descriptor: {error}")))
}

fn wrong(reason: String) -> Error {
    let call = "Solve";
    Error::Answer { call, reason }
}
