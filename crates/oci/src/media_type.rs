//! Media types of manifests, indexes, configurations and layers, in the OCI and Docker families.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A media type, kept as the text that it came as.
///
/// Media types are open-ended, so this is a checked view on text and not an enumeration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(String);

impl MediaType {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// An OCI image configuration.
    pub const OCI_CONFIG: &'static str = "application/vnd.oci.image.config.v1+json";
    /// An OCI layer, a tar archive compressed with gzip.
    pub const OCI_LAYER_GZIP: &'static str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// An OCI layer, an uncompressed tar archive.
    pub const OCI_LAYER: &'static str = "application/vnd.oci.image.layer.v1.tar";
    /// A Docker image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: &'static str =
        "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    pub const DOCKER_INDEX: &'static str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A Docker image configuration.
    pub const DOCKER_CONFIG: &'static str = "application/vnd.docker.container.image.v1+json";
    /// A Docker layer, a tar archive compressed with gzip.
    pub const DOCKER_LAYER_GZIP: &'static str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// A Docker image manifest, schema 1, signed: obsolete, refused.
    pub const DOCKER_SCHEMA1: &'static str =
        "application/vnd.docker.distribution.manifest.v1+prettyjws";

    /// Takes a media type, without parameters such as `; charset=utf-8`, in lower case.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let bare = text.split(';').next().unwrap_or_default();
        Self(bare.trim().to_ascii_lowercase())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether this is an index of either family.
    #[must_use]
    pub fn is_index(&self) -> bool {
        matches!(self.as_str(), Self::OCI_INDEX | Self::DOCKER_INDEX)
    }

    /// Tells whether this is an image manifest of either family.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        matches!(self.as_str(), Self::OCI_MANIFEST | Self::DOCKER_MANIFEST)
    }

    /// Tells whether this is an image configuration of either family.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.as_str(), Self::OCI_CONFIG | Self::DOCKER_CONFIG)
    }

    /// Tells whether this is a manifest of the obsolete schema 1, signed or not.
    #[must_use]
    pub fn is_schema1(&self) -> bool {
        self.as_str()
            .starts_with("application/vnd.docker.distribution.manifest.v1+")
    }

    /// Tells whether a layer of this type is kept by its origin only and must not be pushed.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.as_str().contains(".nondistributable.") || self.as_str().contains(".foreign.")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for MediaType {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
