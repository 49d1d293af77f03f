//! Image configurations (image-spec, config.md): the parts that a build reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Result, document};

/// An image configuration. Fields that sealift never reads are left out, so a value of this type
/// must not be written back as the image's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Operating system.
    #[serde(default)]
    pub os: String,
    /// Processor architecture.
    #[serde(default)]
    pub architecture: String,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version of the operating system, for Windows.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Features of the operating system that it uses.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// What a container of it runs with.
    #[serde(default)]
    pub config: Config,
    /// The layers' uncompressed digests.
    #[serde(default)]
    pub rootfs: RootFs,
}

/// What a container of an image runs with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// Environment, `NAME=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// Entry point.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Command.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Instructions that a build FROM this image runs first (Docker's extension).
    #[serde(default)]
    pub on_build: Vec<String>,
}

/// The layers of an image as they are on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Digests of the uncompressed layers, base first.
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Parses an image configuration.
    ///
    /// # Errors
    /// [`crate::Error::Document`] where it is not JSON of that form.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        document::parse("image configuration", bytes, &[])
    }

    /// Returns the platform that it names, normalised.
    #[must_use]
    pub fn platform(&self) -> crate::Platform {
        crate::Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
        }
        .normalized()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_writes() {
        let text = br#"{"architecture":"arm64","os":"linux","variant":"v8",
            "config":{"Env":null,"OnBuild":["COPY . /"]},
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let config = ImageConfig::parse(text).unwrap();
        assert_eq!(config.config.on_build, ["COPY . /"]);
        assert_eq!(config.platform().to_string(), "linux/arm64");
        let text = br#"{"architecture":"amd64","os":"windows","os.version":"10.0.17763.1",
            "os.features":["win32k"],"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let platform = ImageConfig::parse(text).unwrap().platform();
        assert_eq!(platform.to_string(), "windows(10.0.17763.1+win32k)/amd64");
    }
}
