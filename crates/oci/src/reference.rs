//! Image references: `[registry/]repository[:tag][@digest]`, by the grammar that Docker and
//! containerd share (distribution/reference).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Digest, Error, Result};

const HUB: &str = "docker.io";
const NAME_MAX: usize = 255;

/// A repository of one registry, such as `docker.io/library/busybox`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// Returns the registry's host, with its port if it has one: `docker.io`, `127.0.0.1:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the path at the registry: `library/busybox`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// A full image reference. It always has a tag, a digest, or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference as people write it and makes it full: `busybox` becomes
    /// `docker.io/library/busybox:latest`.
    ///
    /// # Errors
    /// [`Error::Reference`] where it breaks the grammar.
    pub fn parse(text: &str) -> Result<Self> {
        let error = |reason| Error::Reference {
            text: text.to_owned(),
            reason,
        };
        if text.starts_with("docker://") {
            return Err(error("an image's name has no docker:// in front"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = Digest::parse(digest).map_err(|_| error("its digest is not valid"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag {
            check_tag(tag).map_err(error)?;
        }
        let repository = parse_name(name).map_err(error)?;
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        Ok(Self {
            repository,
            tag,
            digest,
        })
    }

    /// Returns the repository.
    #[must_use]
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the registry's host.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.repository.registry
    }

    /// Returns the tag, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if there is one.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the same repository by digest, without a tag.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self {
            repository: self.repository.clone(),
            tag: None,
            digest: Some(digest.clone()),
        }
    }

    /// Returns what stands after `/manifests/` in a request: the digest, else the tag.
    #[must_use]
    pub fn identifier(&self) -> String {
        let digest = self.digest.as_ref().map(ToString::to_string);
        digest.or_else(|| self.tag.clone()).unwrap_or_default()
    }

    /// Returns the short form that people and BuildKit's named contexts use: `busybox`, not
    /// `docker.io/library/busybox:latest`. The tag `latest` is left out, a digest is kept.
    #[must_use]
    pub fn familiar(&self) -> String {
        let Repository { registry, path } = &self.repository;
        // Docker's own short form of these stands for another registry.
        let is_ambiguous = path
            .split_once('/')
            .is_some_and(|(first, _)| is_host(first));
        let mut text = if registry == HUB && !is_ambiguous {
            path.strip_prefix("library/")
                .filter(|rest| !rest.contains('/'))
                .unwrap_or(path)
                .to_owned()
        } else {
            format!("{registry}/{path}")
        };
        if let Some(tag) = self
            .tag
            .as_deref()
            .filter(|tag| *tag != "latest" || self.digest.is_some())
        {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

/// Returns whether the first part of a name is a registry's host.
fn is_host(part: &str) -> bool {
    part.contains('.') || part.contains(':') || part == "localhost" || part.to_lowercase() != part
}

fn parse_name(name: &str) -> std::result::Result<Repository, &'static str> {
    if name.is_empty() {
        return Err("it has no repository");
    }
    if name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("64 hexadecimal digits are an image's identifier, not a name");
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest.to_owned()),
        _ => (HUB, name.to_owned()),
    };
    let registry = if registry == "index.docker.io" {
        HUB
    } else {
        registry
    };
    check_host(registry)?;
    let path = if registry == HUB && !path.contains('/') {
        format!("library/{path}")
    } else {
        path
    };
    if path.len() > NAME_MAX {
        return Err("the repository's name is longer than 255 characters");
    }
    if path.split('/').any(str::is_empty) {
        return Err("a part of the repository's name is empty");
    }
    if !path.split('/').all(is_component) {
        return Err(if path.chars().any(char::is_uppercase) {
            "the repository's name must be lower case"
        } else {
            "a part of the repository's name is not of the form [a-z0-9]+([._-][a-z0-9]+)*"
        });
    }
    Ok(Repository {
        registry: registry.to_owned(),
        path,
    })
}

fn check_host(host: &str) -> std::result::Result<(), &'static str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest
                .split_once(']')
                .ok_or("an IPv6 address without its bracket")?;
            if !name.chars().all(|c| c.is_ascii_hexdigit() || c == ':') {
                return Err("the registry's IPv6 address is not valid");
            }
            return match rest.strip_prefix(':') {
                None if rest.is_empty() => Ok(()),
                Some(port) => check_port(port),
                None => Err("the registry's IPv6 address is not valid"),
            };
        }
        None => host
            .split_once(':')
            .map_or((host, None), |(name, port)| (name, Some(port))),
    };
    // Docker takes a host with an underscore only where no port follows.
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || (c == '_' && port.is_none());
    let label = |part: &str| {
        !part.is_empty()
            && part.chars().all(letter)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if !name.split('.').all(label) {
        return Err("the registry's host name is not valid");
    }
    port.map_or(Ok(()), check_port)
}

fn check_port(port: &str) -> std::result::Result<(), &'static str> {
    let digits = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    if digits && port.parse::<u16>().is_ok() {
        Ok(())
    } else {
        Err("the registry's port is not valid")
    }
}

/// path-component: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = part;
    loop {
        let end = rest.find(|c: char| !alphanumeric(c)).unwrap_or(rest.len());
        if end == 0 {
            return false;
        }
        rest = &rest[end..];
        if rest.is_empty() {
            return true;
        }
        let end = rest.find(alphanumeric).unwrap_or(rest.len());
        let separator = &rest[..end];
        let dashes = !separator.is_empty() && separator.chars().all(|c| c == '-');
        if !(matches!(separator, "." | "_" | "__") || dashes) {
            return false;
        }
        rest = &rest[end..];
    }
}

fn check_tag(tag: &str) -> std::result::Result<(), &'static str> {
    if tag.is_empty() {
        return Err("its tag is empty");
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut chars = tag.chars();
    let first = chars.next().is_some_and(word);
    if first && tag.len() <= 128 && chars.all(|c| word(c) || matches!(c, '.' | '-')) {
        Ok(())
    } else {
        Err("its tag is not of the form [A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest
            .as_ref()
            .map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn full_and_familiar_forms() {
        let pinned = format!("busybox:1.36@sha256:{HEX}");
        let by_digest = format!("ghcr.io/a/b@sha256:{HEX}");
        for (given, full, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox"),
            (
                "busybox:1.36",
                "docker.io/library/busybox:1.36",
                "busybox:1.36",
            ),
            (
                "docker.io/busybox",
                "docker.io/library/busybox:latest",
                "busybox",
            ),
            (
                "index.docker.io/library/busybox:1",
                "docker.io/library/busybox:1",
                "busybox:1",
            ),
            (
                "moby/buildkit:latest",
                "docker.io/moby/buildkit:latest",
                "moby/buildkit",
            ),
            ("localhost/x", "localhost/x:latest", "localhost/x"),
            (
                "127.0.0.1:5000/x:y",
                "127.0.0.1:5000/x:y",
                "127.0.0.1:5000/x:y",
            ),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x"),
            (
                "ghcr.io/foo/tool:1",
                "ghcr.io/foo/tool:1",
                "ghcr.io/foo/tool:1",
            ),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b"),
            ("a_b.c/d", "a_b.c/d:latest", "a_b.c/d"),
            (&pinned, &format!("docker.io/library/{pinned}"), &pinned),
            (&by_digest, &by_digest, &by_digest),
            // Found by fuzzing.
            (
                "docker.io/a.b/c",
                "docker.io/a.b/c:latest",
                "docker.io/a.b/c",
            ),
            (
                "docker.io/localhost/c:1",
                "docker.io/localhost/c:1",
                "docker.io/localhost/c:1",
            ),
        ] {
            let reference = Reference::parse(given).unwrap();
            assert_eq!(reference.to_string(), full, "{given}");
            assert_eq!(reference.familiar(), familiar, "{given}");
            assert_eq!(Reference::parse(full).unwrap(), reference, "{given}");
            assert_eq!(Reference::parse(familiar).unwrap(), reference, "{given}");
        }
    }

    #[test]
    fn refuses_what_is_no_reference() {
        let long = "a".repeat(256);
        let identifier = "a".repeat(64);
        for text in [
            "",
            ":tag",
            "Busybox",
            "a//b",
            "a/",
            "/a",
            "a:",
            "a:b:c",
            "a@sha256:12",
            "a b",
            "-a",
            "a..b",
            "a___b",
            "host.io/",
            "a_b.c:5000/d",
            "host.io:99999/a",
            "../../etc",
            "http://x/y",
            "a:-b",
            &long,
            &identifier,
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }
}
