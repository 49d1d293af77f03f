//! Platforms: `os/architecture[/variant]` (image-spec, image-index.md, "platform").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An operating system and a processor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Processor architecture, in Go's words: `amd64`, `arm64`, `arm`.
    pub architecture: String,
    /// Operating system, in Go's words: `linux`.
    pub os: String,
    /// Version of the operating system, for Windows.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Features of the operating system, for Windows.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the architecture: `v7` of `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Makes a normalised platform of an operating system and an architecture.
    #[must_use]
    pub fn new(os: &str, architecture: &str) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: None,
            os_features: Vec::new(),
            variant: None,
        }
        .normalized()
    }

    /// Returns the platform of the machine that this program was compiled for, with `linux` as its
    /// operating system: BuildKit's workers run Linux on every host.
    #[must_use]
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH)
    }

    /// Parses `os/architecture[/variant]`, or an architecture alone (then of `linux`).
    ///
    /// # Errors
    /// [`Error::Platform`] for an empty part, more than three parts, or a character outside
    /// `A-Za-z0-9_.-`.
    pub fn parse(text: &str) -> Result<Self> {
        let error = |reason| Error::Platform {
            text: text.to_owned(),
            reason,
        };
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(error(
                "an empty part; the form is os/architecture[/variant]",
            ));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !parts.iter().all(|part| part.chars().all(allowed)) {
            return Err(error("a character that platforms do not have"));
        }
        let (os, architecture, variant) = match parts[..] {
            ["linux" | "windows" | "darwin" | "freebsd"] => {
                return Err(error("an operating system alone; add the architecture"));
            }
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => {
                return Err(error(
                    "more than three parts; the form is os/architecture[/variant]",
                ));
            }
        };
        let platform = Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: None,
            os_features: Vec::new(),
            variant,
        };
        Ok(platform.normalized())
    }

    /// Parses a comma-separated list, without repetitions, in order.
    ///
    /// # Errors
    /// [`Error::Platform`] as [`Platform::parse`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut platforms = Vec::new();
        for part in text.split(',') {
            let platform = Self::parse(part.trim())?;
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        Ok(platforms)
    }

    /// Brings the many names of one platform together, by containerd's rules: `x86_64` is `amd64`,
    /// `aarch64` and `arm64/v8` are `arm64`, `armhf` is `arm/v7`, `arm` is `arm/v7`.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.os = self.os.to_ascii_lowercase();
        if self.os == "macos" {
            "darwin".clone_into(&mut self.os);
        }
        self.architecture = self.architecture.to_ascii_lowercase();
        let mut variant = self
            .variant
            .take()
            .map(|variant| variant.to_ascii_lowercase());
        let (architecture, implied) = match self.architecture.as_str() {
            "x86_64" | "x86-64" | "amd64" => ("amd64", None),
            "aarch64" | "arm64" => ("arm64", None),
            "i386" | "i486" | "i586" | "i686" | "386" | "x86" => ("386", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            other => (other, None),
        };
        if variant.is_none() {
            variant = implied.map(str::to_owned);
        }
        let variant = match (architecture, variant.as_deref()) {
            ("amd64", Some("v1" | "")) | ("arm64", Some("v8" | "8" | "v8.0" | "")) => None,
            ("386", _) => None,
            ("arm", None | Some("" | "7")) => Some("v7".to_owned()),
            ("arm", Some(digit @ ("5" | "6" | "8"))) => Some(format!("v{digit}")),
            (_, Some("")) => None,
            _ => variant,
        };
        self.architecture = architecture.to_owned();
        self.variant = variant;
        self
    }

    /// Tells how well an image of platform `offered` serves this platform: 0 for the same, more
    /// for an older variant that it also runs (`arm/v7` takes `v6`, `arm64` takes `arm`,
    /// `amd64` takes `386`), nothing where it can't run it. The order is containerd's
    /// `platforms.Only`.
    #[must_use]
    pub fn rank(&self, offered: &Self) -> Option<usize> {
        let offered = offered.clone().normalized();
        if self.os != offered.os {
            return None;
        }
        let candidates = self.compatible();
        let key = (offered.architecture.as_str(), offered.variant.as_deref());
        candidates
            .iter()
            .position(|(arch, variant)| (arch.as_str(), variant.as_deref()) == key)
    }

    /// Lists (architecture, variant) that this platform runs, best first.
    fn compatible(&self) -> Vec<(String, Option<String>)> {
        let level = |variant: &Option<String>| -> Option<u32> {
            variant.as_deref()?.strip_prefix('v')?.parse().ok()
        };
        let down = |arch: &str, from: u32, to: u32| {
            let arch = arch.to_owned();
            (to..=from)
                .rev()
                .map(move |n| (arch.clone(), Some(format!("v{n}"))))
        };
        let mut list = vec![(self.architecture.clone(), self.variant.clone())];
        match self.architecture.as_str() {
            "arm64" => {
                if self.variant.is_some() {
                    list.push(("arm64".to_owned(), None));
                }
                list.extend(down("arm", 8, 5));
            }
            "arm" => list.extend(down("arm", level(&self.variant).unwrap_or(7), 5).skip(1)),
            "amd64" => {
                let from = level(&self.variant).unwrap_or(1);
                list.extend(down("amd64", from, 2).skip(1));
                if self.variant.is_some() {
                    list.push(("amd64".to_owned(), None));
                }
                list.push(("386".to_owned(), None));
            }
            _ => {}
        }
        list
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    #[test]
    fn normalises_the_names_in_use() {
        for (given, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("Linux/AMD64", "linux/amd64"),
            ("linux/386", "linux/386"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(platform(given).to_string(), normal, "{given}");
        }
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "",
            "linux",
            "linux/",
            "a/b/c/d",
            "linux/am d64",
            "linux/arm64/",
        ] {
            assert!(Platform::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranks_like_containerd() {
        let rank = |wanted: &str, offered: &str| platform(wanted).rank(&platform(offered));
        assert_eq!(rank("linux/arm64", "linux/arm64/v8"), Some(0));
        assert_eq!(rank("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert!(rank("linux/arm64", "linux/arm/v7").is_some());
        assert!(rank("linux/amd64/v3", "linux/amd64").is_some());
        assert_eq!(rank("linux/amd64", "linux/amd64/v2"), None);
        assert_eq!(rank("linux/amd64", "windows/amd64"), None);
    }

    #[test]
    fn lists_drop_repetitions() {
        let list = Platform::parse_list("linux/amd64, arm64,linux/arm64/v8").unwrap();
        assert_eq!(list, [platform("linux/amd64"), platform("linux/arm64")]);
    }
}
