//! Platforms: `os/architecture[/variant]` (image-spec, image-index.md, "platform"), read, written
//! and compared by the rules of containerd's package `platforms`.

mod compatibility;
mod specifier;
mod windows;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An operating system and a processor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Processor architecture, in Go's words: `amd64`, `arm64`, `arm`.
    #[serde(default)]
    pub architecture: String,
    /// Operating system, in Go's words: `linux`.
    #[serde(default)]
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
        let little = cfg!(target_endian = "little");
        let architecture = match std::env::consts::ARCH {
            "x86" => "386",
            "powerpc64" if little => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            "mips64" if little => "mips64le",
            "mips" if little => "mipsle",
            same => same,
        };
        Self::new("linux", architecture)
    }

    /// Parses `os[(version+feature…)]/architecture[/variant]`, an operating system alone (then of this
    /// machine's architecture) or an architecture alone (then of `linux`), and normalises it.
    ///
    /// # Errors
    /// [`Error::Platform`] for what has no such form.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self::parse_written(text, &Self::host())?.normalized())
    }

    /// Parses a platform and keeps its variant as it was written (`linux/arm64/v8`, `linux/arm`), as
    /// build arguments show it. What a short form leaves out is taken from `host`.
    ///
    /// # Errors
    /// As [`Platform::parse`].
    pub fn parse_written(text: &str, host: &Self) -> Result<Self> {
        specifier::read(text, host).map_err(|reason| Error::Platform {
            text: text.to_owned(),
            reason,
        })
    }

    /// Writes it without the version and the features of the operating system.
    #[must_use]
    pub fn short(&self) -> String {
        let plain = Self {
            os_version: None,
            os_features: Vec::new(),
            ..self.clone()
        };
        plain.to_string()
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

    /// Brings the many names of one platform together: `x86_64` is `amd64`, `aarch64` and
    /// `arm64/v8` are `arm64`, `armhf` is `arm/v7`, `arm` is `arm/v7`; features are sorted.
    #[must_use]
    pub fn normalized(self) -> Self {
        let os = match self.os.to_ascii_lowercase() {
            os if os == "macos" => "darwin".to_owned(),
            os => os,
        };
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self.variant.unwrap_or_default().to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            same => same,
        };
        let mut os_features = self.os_features;
        os_features.sort();
        os_features.dedup();
        Self {
            architecture: architecture.to_owned(),
            os,
            os_version: self.os_version.filter(|version| !version.is_empty()),
            os_features,
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
        }
    }

    /// Tells how well an image of platform `offered` serves this platform: lower is better, nothing
    /// where it can't run it. It also runs older variants (`arm/v7` takes `v6`, `arm64` takes
    /// `arm`, `amd64` takes `386`), images that use no feature which it lacks, and on Windows
    /// those of the versions that Windows allows. The order is containerd's `platforms.Only`.
    #[must_use]
    pub fn rank(&self, offered: &Self) -> Option<usize> {
        compatibility::rank(self, offered)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&specifier::write(self))
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
            ("linux/arm64/9.0", "linux/arm64/v9"),
            ("macos/arm64", "darwin/arm64"),
            ("wasi/wasm", "wasi/wasm"),
            ("windows/amd64", "windows/amd64"),
            ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
            (
                "Windows(10.0.17763+win32k+a%2Bb+win32k)/x86_64",
                "windows(10.0.17763+a%2Bb+win32k)/amd64",
            ),
            ("linux(+sve)/arm64/v8", "linux(+sve)/arm64"),
            ("windows()/amd64", "windows/amd64"),
        ] {
            assert_eq!(platform(given).to_string(), normal, "{given}");
        }
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "",
            "solaris64",
            "linux/",
            "/amd64",
            "a/b/c/d",
            "linux/am d64",
            "linux/arm64/",
            "lin.ux/amd64",
            "linux/*",
            "linux(/amd64",
            "linux1)/amd64",
            "linux(1)x/amd64",
            "linux(a/b)/amd64",
            "linux(1+)/amd64",
            "linux(%4)/amd64",
            "linux(%zz)/amd64",
            "linux(%ff)/amd64",
            "linux(%00)/amd64",
            "linux/amd64(1)",
        ] {
            assert!(Platform::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn variants_stay_as_they_are_written() {
        let host = platform("linux/arm/v7");
        for (given, written, short) in [
            ("linux/arm64/v8", "linux/arm64/v8", "linux/arm64/v8"),
            ("linux/aarch64", "linux/arm64", "linux/arm64"),
            ("linux/arm", "linux/arm", "linux/arm"),
            ("linux/arm/v7", "linux/arm/v7", "linux/arm/v7"),
            ("armhf", "linux/arm", "linux/arm"),
            ("linux", "linux/arm", "linux/arm"),
            ("linux/amd64/v1", "linux/amd64", "linux/amd64"),
            (
                "windows(1+b+a)/amd64",
                "windows(1+a+b)/amd64",
                "windows/amd64",
            ),
        ] {
            let parsed = Platform::parse_written(given, &host).unwrap();
            assert_eq!(
                (parsed.to_string().as_str(), parsed.short().as_str()),
                (written, short)
            );
        }
    }

    #[test]
    fn what_is_left_out_is_this_machine() {
        assert_eq!(platform("linux"), Platform::host());
        let windows = Platform {
            os_version: Some("10.0.17763".to_owned()),
            ..Platform::new("windows", &Platform::host().architecture)
        };
        assert_eq!(platform("windows(10.0.17763)"), windows);
        assert_eq!(platform("s390x"), Platform::new("linux", "s390x"));
    }

    #[test]
    fn ranks_like_containerd() {
        let rank = |wanted: &str, offered: &str| platform(wanted).rank(&platform(offered));
        assert!(rank("linux/arm64", "linux/arm64/v8") < rank("linux/arm64", "linux/arm/v8"));
        assert!(rank("linux/arm/v7", "linux/arm/v7") < rank("linux/arm/v7", "linux/arm/v6"));
        let windows = "windows(10.0.17763)/amd64";
        assert!(rank(windows, "windows(10.0.17763.1999+win32k)/amd64").is_some());
        assert_eq!(rank(windows, "windows(10.0.20348.1)/amd64"), None);
        assert!(rank("windows/amd64", "windows(10.0.20348.1)/amd64").is_some());
        assert_eq!(rank("linux/amd64", "linux(+sve)/amd64"), None);
        let both = "linux(+a+b)/amd64";
        assert!(rank(both, "linux(+a)/amd64") < rank(both, "linux/amd64"));
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
