//! The places that serve an image: endpoints with their transport security, and the rules by which
//! an image's name leads to them.

use std::fmt;
use std::path::Path;

use sealift_config::{Place, Reader, Sourced};
use sealift_registry::Secret;
use serde::Serialize;

use super::host::{HUB, HUB_SERVER, Host};
use super::pem::Pem;

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// HTTP, unencrypted.
    Http,
    /// HTTPS alone.
    Https,
    /// HTTPS, and HTTP where the other side does not speak TLS: Docker's "insecure".
    HttpsElseHttp,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::HttpsElseHttp => "https, else http",
        })
    }
}

/// What an endpoint may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Serves {
    /// Manifests by tag (containerd's `resolve`).
    pub tags: bool,
    /// References by digest (containerd's `pull`).
    pub digests: bool,
    /// What an image consists of, once it is resolved: manifests by digest, and blobs.
    pub content: bool,
    /// Pushes.
    pub push: bool,
}

impl Serves {
    /// What a mirror serves where nothing else is said: all reads.
    pub const READS: Self = Self {
        tags: true,
        digests: true,
        content: true,
        push: false,
    };
    /// What an origin serves.
    pub const ALL: Self = Self {
        tags: true,
        digests: true,
        content: true,
        push: true,
    };
}

/// A client certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyPair {
    /// The certificate.
    pub cert: Pem,
    /// The key, in the same file where both stand in one.
    pub key: Pem,
}

impl KeyPair {
    /// Reads both files, noting what cannot be read.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        cert: &Path,
        key: &Path,
        from: &Place,
    ) -> Option<Self> {
        let cert = Pem::read(reader, cert, from);
        let key = Pem::read(reader, key, from);
        Some(Self {
            cert: cert?,
            key: key?,
        })
    }
}

/// How one host is trusted and spoken to. Sources fill it host by host, and the token service on
/// a host gets the same as the registry there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostRule {
    /// How it is spoken to, where that is configured.
    pub scheme: Option<Sourced<Scheme>>,
    /// `false`: certificates are not checked.
    pub verify: Option<Sourced<bool>>,
    /// Authorities trusted besides the system's.
    pub ca: Vec<Sourced<Pem>>,
    /// Client certificates that may be shown.
    pub client: Vec<Sourced<KeyPair>>,
}

impl HostRule {
    /// Returns the places of everything here, each once.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        let scheme = self.scheme.iter().map(|value| &value.from);
        let verify = self.verify.iter().map(|value| &value.from);
        let ca = self.ca.iter().map(|value| &value.from);
        let client = self.client.iter().map(|value| &value.from);
        let mut places: Vec<Place> = Vec::new();
        for place in scheme.chain(verify).chain(ca).chain(client) {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        places
    }

    /// Returns whether something here only makes sense over TLS.
    #[must_use]
    pub const fn wants_tls(&self) -> bool {
        !self.ca.is_empty() || !self.client.is_empty()
    }
}

/// One place that serves a registry's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host that is dialled.
    pub host: Host,
    /// How it is spoken to.
    pub scheme: Scheme,
    /// The path of the API's root: `/v2`, or `/hub/v2` behind a reverse proxy.
    pub api: String,
    /// What is put before a repository's name: `hub` makes `library/busybox` `hub/library/busybox`.
    pub prefix: String,
    /// What is taken off a repository's name first: a registries.conf prefix with a path.
    pub strip: String,
    /// What it may be asked for.
    pub serves: Serves,
    /// Headers that every request to it carries.
    pub headers: Vec<(String, Secret)>,
    /// Where it was found.
    pub from: Place,
}

impl Endpoint {
    /// Makes an endpoint at the usual place: `/v2`, no prefix, all reads.
    #[must_use]
    pub fn new(host: Host, scheme: Scheme, from: Place) -> Self {
        Self {
            host,
            scheme,
            api: "/v2".to_owned(),
            prefix: String::new(),
            strip: String::new(),
            serves: Serves::READS,
            headers: Vec::new(),
            from,
        }
    }

    /// Returns whether this is the registry itself that an image names, and no mirror of it.
    #[must_use]
    pub fn is_for(&self, registry: &str) -> bool {
        self.host.as_str() == registry || (registry == HUB && self.host.as_str() == HUB_SERVER)
    }

    /// Returns whether two endpoints lead to the same content under the same names.
    #[must_use]
    pub fn same_place(&self, other: &Self) -> bool {
        self.host == other.host
            && self.api == other.api
            && self.prefix == other.prefix
            && self.strip == other.strip
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Http {
            "http"
        } else {
            "https"
        };
        write!(f, "{scheme}://{}", self.host)?;
        if self.api != "/v2" {
            f.write_str(&self.api)?;
        }
        if self.prefix.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.prefix)
        }
    }
}

/// Which images a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All images of a host.
    Host(Host),
    /// The images below a path of a host (registries.conf): `docker.io/library`.
    Path(Host, String),
    /// The images of all hosts of a domain (registries.conf): `*.example.com`.
    Domain(String),
    /// All images that no other rule is for (containerd's `_default`).
    Any,
}

impl Scope {
    /// Tells how well the scope fits an image, more is better; nothing where it does not.
    #[must_use]
    pub fn fit(&self, host: &Host, repository: &str) -> Option<usize> {
        match self {
            Self::Any => Some(0),
            Self::Domain(domain) => {
                let below = host.name().strip_suffix(domain.as_str())?;
                below.ends_with('.').then_some(1 + domain.len())
            }
            Self::Host(own) => (own == host).then_some(1000),
            Self::Path(own, path) => {
                let rest = repository.strip_prefix(path.as_str())?;
                let inside = rest.is_empty() || rest.starts_with('/');
                (own == host && inside).then_some(1001 + path.len())
            }
        }
    }

    /// Returns the host, where the scope names one.
    #[must_use]
    pub const fn host(&self) -> Option<&Host> {
        match self {
            Self::Host(host) | Self::Path(host, _) => Some(host),
            Self::Domain(_) | Self::Any => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host}"),
            Self::Path(host, path) => write!(f, "{host}/{path}"),
            Self::Domain(domain) => write!(f, "*.{domain}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_scope_fits_best() {
        let host = |text: &str| Host::parse(text).unwrap();
        let hub = host("docker.io");
        for (scope, at, repository, fit) in [
            (Scope::Any, "a.b", "c", Some(0)),
            (Scope::Domain("b".into()), "a.b", "c", Some(2)),
            (Scope::Domain("b".into()), "b", "c", None),
            (Scope::Domain("b".into()), "ab", "c", None),
            (Scope::Host(hub.clone()), "docker.io", "c", Some(1000)),
            (Scope::Host(hub.clone()), "docker.io:5000", "c", None),
            (
                Scope::Path(hub.clone(), "library".into()),
                "docker.io",
                "library/x",
                Some(1008),
            ),
            (
                Scope::Path(hub.clone(), "library".into()),
                "docker.io",
                "library",
                Some(1008),
            ),
            (
                Scope::Path(hub.clone(), "library".into()),
                "docker.io",
                "libraryx/x",
                None,
            ),
        ] {
            assert_eq!(
                scope.fit(&host(at), repository),
                fit,
                "{scope} {at}/{repository}"
            );
        }
    }
}
