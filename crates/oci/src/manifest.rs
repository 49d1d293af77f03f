//! Image manifests (image-spec, manifest.md) and Docker's of schema 2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Error, MediaType, Result, document};

/// An image manifest of either family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Media type of this document, where it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// Type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, base first.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Parses a manifest.
    ///
    /// # Errors
    /// [`Error::Document`] where it is not JSON of that form, has schema version 1, or carries
    /// `manifests` too (image-spec forbids documents that can be read both ways).
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let what = "image manifest";
        let manifest: Self = document::parse(what, bytes, &["manifests"])?;
        if manifest.schema_version != 2 {
            let reason = format!("schemaVersion is {}, not 2", manifest.schema_version);
            return Err(Error::Document { what, reason });
        }
        Ok(manifest)
    }

    /// Returns every descriptor that it refers to: the configuration, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}
