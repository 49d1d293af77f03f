//! Image indexes (image-spec, image-index.md) and Docker's manifest lists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Error, MediaType, Platform, Result, document};

/// An image index of either family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Media type of this document, where it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// Type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The manifests, in order of preference.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// Makes an OCI index of these manifests.
    #[must_use]
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::new(MediaType::OCI_INDEX)),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Parses an index.
    ///
    /// # Errors
    /// [`Error::Document`] where it is not JSON of that form, has another schema version, or
    /// carries `config` or `layers` too.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let what = "image index";
        let index: Self = document::parse(what, bytes, &["config", "layers"])?;
        if index.schema_version != 2 {
            let reason = format!("schemaVersion is {}, not 2", index.schema_version);
            return Err(Error::Document { what, reason });
        }
        Ok(index)
    }

    /// Selects the manifest that serves a platform best, by [`Platform::rank`]; the earlier of
    /// two equal ones. Entries without a platform and attestations (`unknown/unknown`) never match.
    #[must_use]
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        let ranked = self.manifests.iter().filter_map(|descriptor| {
            let rank = wanted.rank(descriptor.platform.as_ref()?)?;
            Some((rank, descriptor))
        });
        ranked
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, descriptor)| descriptor)
    }

    /// Lists the platforms there are, attestations left out, for messages.
    #[must_use]
    pub fn platforms(&self) -> Vec<Platform> {
        let known = self.manifests.iter().filter_map(|d| d.platform.clone());
        known.filter(|platform| platform.os != "unknown").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: &str, byte: u8) -> Descriptor {
        Descriptor::of(MediaType::OCI_MANIFEST, &[byte])
            .with_platform(Platform::parse(platform).unwrap())
    }

    #[test]
    fn selects_the_best_variant_not_the_first() {
        let index = Index::new(vec![entry("linux/arm/v6", 6), entry("linux/arm/v7", 7)]);
        let best = |text| index.select(&Platform::parse(text).unwrap()).cloned();
        assert_eq!(best("linux/arm/v7").unwrap(), entry("linux/arm/v7", 7));
        assert_eq!(best("linux/arm/v6").unwrap(), entry("linux/arm/v6", 6));
        assert_eq!(best("linux/arm64").unwrap(), entry("linux/arm/v7", 7));
        assert_eq!(best("linux/amd64"), None);
    }

    #[test]
    fn refuses_a_document_that_is_index_and_manifest() {
        let error = Index::parse(br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#).unwrap_err();
        assert!(error.to_string().contains("layers"), "{error}");
        let bytes = br#"{"schemaVersion":2,"manifests":[],"config":{}}"#;
        assert!(Index::parse(bytes).is_err());
        assert!(crate::Manifest::parse(bytes).is_err());
    }
}
