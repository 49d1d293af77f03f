//! Image references made full, by the rules of Docker's distribution/reference.

use crate::error::{Cause, Result};

const PATH_MAX: usize = 255;

/// A reference that was made full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads a reference; a name on Docker Hub may leave out the registry and `library/`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        read(text).map_err(|reason| {
            Cause::Reference {
                text: text.to_owned(),
                written: text.to_owned(),
                reason,
            }
            .into()
        })
    }

    /// Returns the full form: `docker.io/library/busybox:latest`. A name with neither tag nor
    /// digest gets `:latest`.
    pub(crate) fn full(&self) -> String {
        let tag = match (&self.tag, &self.digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag.as_deref(),
        };
        text(&self.domain, &self.path, tag, self.digest.as_deref())
    }

    /// Returns the key under which BuildKit looks for a named context: `busybox`,
    /// `ghcr.io/foo/tool:1`.
    pub(crate) fn context_key(&self) -> String {
        let (mut domain, mut path) = (self.domain.as_str(), self.path.as_str());
        if domain == "docker.io" {
            domain = "";
            let official = path.strip_prefix("library/");
            path = official.filter(|rest| !rest.contains('/')).unwrap_or(path);
        }
        let familiar = text(domain, path, self.tag.as_deref(), self.digest.as_deref());
        let key = familiar.strip_suffix(":latest").unwrap_or(&familiar);
        key.to_owned()
    }
}

fn text(domain: &str, path: &str, tag: Option<&str>, digest: Option<&str>) -> String {
    let mut out = String::from(domain);
    if !domain.is_empty() {
        out.push('/');
    }
    out.push_str(path);
    for (mark, part) in [(':', tag), ('@', digest)] {
        if let Some(part) = part {
            out.push(mark);
            out.push_str(part);
        }
    }
    out
}

fn read(text: &str) -> std::result::Result<Reference, &'static str> {
    if text.len() == 64 && text.bytes().all(is_lower_hex) {
        return Err("64 hexadecimal digits are an identifier, not a name");
    }
    let (domain, remainder) = split_domain(text);
    let remote = remainder.split(':').next().unwrap_or_default();
    if remote.to_lowercase() != remote {
        return Err("the repository name must be in lower case");
    }
    let full = format!("{domain}/{remainder}");
    let (rest, digest) = match full.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (full.as_str(), None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if !digest.is_none_or(is_digest) {
        return Err("its digest is not valid");
    }
    if !tag.is_none_or(is_tag) {
        return Err("its tag is not valid");
    }
    // What is no host name can still be the first part of a path.
    let (domain, path) = match name.split_once('/') {
        Some((domain, path)) if is_domain(domain) => (domain, path),
        _ => ("", name),
    };
    if !path.split('/').all(is_path_part) {
        return Err("its name is not valid");
    }
    if path.len() > PATH_MAX {
        return Err("its name is longer than 255 characters");
    }
    Ok(Reference {
        domain: domain.to_owned(),
        path: path.to_owned(),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

/// Tells the registry from the name, and puts in what Docker Hub's short names leave out.
fn split_domain(text: &str) -> (&str, String) {
    const HUB: &str = "docker.io";
    let (domain, remainder) = match text.split_once('/') {
        Some(("index.docker.io", rest)) => (HUB, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.to_lowercase() != first =>
        {
            (first, rest)
        }
        _ => (HUB, text),
    };
    if domain == HUB && !remainder.contains('/') {
        return (domain, format!("library/{remainder}"));
    }
    (domain, remainder.to_owned())
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

pub(crate) fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(is_lower_hex)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// Tells whether a text is `host` or `host:port`.
fn is_domain(text: &str) -> bool {
    let port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else {
            return false;
        };
        return !address.is_empty()
            && address
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
            && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port));
    }
    let (host, valid_port) = match text.split_once(':') {
        Some((host, digits)) => (host, port(digits)),
        None => (text, true),
    };
    valid_port
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// Tells whether a text is lower-case letters and digits, separated by `.`, `_`, `__` or dashes.
fn is_path_part(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !text.starts_with(alphanumeric) || !text.ends_with(alphanumeric) {
        return false;
    }
    text.split(alphanumeric).all(|separator| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn makes_references_full() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, full, key) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox"),
            (
                "busybox:1.36",
                "docker.io/library/busybox:1.36",
                "busybox:1.36",
            ),
            (
                "busybox:latest",
                "docker.io/library/busybox:latest",
                "busybox",
            ),
            ("a/b", "docker.io/a/b:latest", "a/b"),
            (
                "index.docker.io/busybox",
                "docker.io/library/busybox:latest",
                "busybox",
            ),
            (
                "docker.io/library/a/b",
                "docker.io/library/a/b:latest",
                "library/a/b",
            ),
            ("localhost/a:1", "localhost/a:1", "localhost/a:1"),
            ("h:5000/a", "h:5000/a:latest", "h:5000/a"),
            (
                "ghcr.io/foo/tool:1",
                "ghcr.io/foo/tool:1",
                "ghcr.io/foo/tool:1",
            ),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a"),
            ("UPPER/a", "UPPER/a:latest", "UPPER/a"),
            ("a_b.c/d", "a_b.c/d:latest", "a_b.c/d"),
            ("a__b/c--d", "docker.io/a__b/c--d:latest", "a__b/c--d"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.full(), full, "{text}");
            assert_eq!(reference.context_key(), key, "{text}");
        }
        let both = Reference::parse(&format!("busybox:1@{digest}")).unwrap();
        assert_eq!(both.full(), format!("docker.io/library/busybox:1@{digest}"));
        let pinned = Reference::parse(&format!("busybox@{digest}")).unwrap();
        assert_eq!(pinned.full(), format!("docker.io/library/busybox@{digest}"));
    }

    #[test]
    fn refuses_what_is_none() {
        let identifier = "a".repeat(64);
        let long = "a".repeat(300);
        for bad in [
            "",
            "Busybox",
            "a//b",
            "-a",
            "a-",
            "a:",
            "a:-x",
            "a@sha256:12",
            "a@md5:12",
            "a b",
            "a___b",
            "a..b",
            "h:port/a",
            "a:1:2",
            "/a",
            "a/",
            "\u{e9}",
            &identifier,
            &long,
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }
}
